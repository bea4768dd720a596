"""Closed outlines as lists of points, x to the right and y down, in the units of the arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from o3gym.types import Box

Point: TypeAlias = tuple[float, float]
Ring: TypeAlias = list[Point]


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0, steps: int = 40) -> Ring:
    """Points of the ellipse around (x, y) from angle `start` to `end`, degrees clockwise from the right."""
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def arc_band(x: float, y: float, outer: float, inner: float, start: float = 0.0, end: float = 360.0) -> Ring:
    """The band between two radii around (x, y), from angle `start` to `end`, degrees clockwise from the right."""
    return ellipse(x, y, outer, outer, start, end) + ellipse(x, y, inner, inner, end, start)


def rectangle(box: Box, radius: float = 0.0) -> Ring:
    """A box with corners rounded by `radius`."""
    x0, y0, x1, y1 = box
    r = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    if r <= 0:
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    corners = [(x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180), (x1 - r, y0 + r, 270)]
    return [point for x, y, start in corners for point in ellipse(x, y, r, r, start, start + 90, 8)]


def segment(a: Point, b: Point, width: float) -> Ring:
    """A straight stroke of the given width."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1.0
    nx, ny = -dy / length * width / 2, dx / length * width / 2
    return [(a[0] + nx, a[1] + ny), (b[0] + nx, b[1] + ny), (b[0] - nx, b[1] - ny), (a[0] - nx, a[1] - ny)]


def stroke(points: Sequence[Point], width: float) -> list[Ring]:
    """A polyline of the given width with round joints and ends."""
    legs = [segment(a, b, width) for a, b in pairwise(points)]
    return legs + [ellipse(x, y, width / 2, width / 2, steps=16) for x, y in points]


def curve(points: Sequence[Point], steps: int = 10) -> list[Point]:
    """A Catmull-Rom curve through all `points`."""
    padded = [points[0], *points, points[-1]]
    out: list[Point] = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        out += [
            (_spline(p0[0], p1[0], p2[0], p3[0], i / steps), _spline(p0[1], p1[1], p2[1], p3[1], i / steps))
            for i in range(steps)
        ]
    return [*out, points[-1]]


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)


def move(ring: Ring, x: float, y: float, scale: float) -> Ring:
    """The ring scaled about the origin, then shifted by (x, y)."""
    return [(x + px * scale, y + py * scale) for px, py in ring]


def _polar(radii: Sequence[float]) -> Ring:
    step = 2 * math.pi / len(radii)
    return [(r * math.sin(i * step), -r * math.cos(i * step)) for i, r in enumerate(radii)]


def _heart() -> Ring:
    angles = [2 * math.pi * i / 48 for i in range(48)]
    return [
        (math.sin(a) ** 3, -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16)
        for a in angles
    ]


def _cross(arm: float = 0.34) -> Ring:
    quarter = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
    turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    return [(x * c - y * s, x * s + y * c) for c, s in turns for x, y in quarter]


def _unit_area(ring: Ring) -> Ring:
    """Scale to area 1, and shift so that the bounding box is centred on the origin."""
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    scale = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs) / 2) ** -0.5
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return move(ring, -scale * (min(xs) + max(xs)) / 2, -scale * (min(ys) + max(ys)) / 2, scale)


SHAPES: Mapping[str, Ring] = {
    name: _unit_area(ring)
    for name, ring in {
        "star": _polar([1.0, 0.42] * 5),
        "circle": _polar([1.0] * 40),
        "square": rectangle((-1, -1, 1, 1)),
        "triangle": _polar([1.0] * 3),
        "diamond": [(0.0, -1.0), (0.72, 0.0), (0.0, 1.0), (-0.72, 0.0)],
        "cross": _cross(),
        "heart": _heart(),
    }.items()
}
"""Named shapes around the origin. All have area 1, so they are equal blots of colour when too small to recognise."""
