"""Icons of everyday things, each with one main colour that a person would call the colour of the thing.

An icon is a list of layers, back to front, in a unit square (x to the right, y down, 0..1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from o3gym.suites.scenes.outlines import Ring, arc_band, ellipse, move, rectangle, segment, stroke
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS, RGB, WHITE, mix, tone
from o3gym.types import Box

Paint: TypeAlias = Literal["main", "tone", "light", "grey", "cream"]
Layer: TypeAlias = tuple[Paint, list[Ring]]

_GREY: RGB = (112, 116, 124)
_CREAM: RGB = (248, 240, 222)


def _mug() -> list[Layer]:
    return [
        ("main", [arc_band(0.70, 0.55, 0.24, 0.14), rectangle((0.14, 0.22, 0.70, 0.90), 0.10)]),
        ("tone", [ellipse(0.42, 0.24, 0.25, 0.06)]),
    ]


def _umbrella() -> list[Layer]:
    scallops = [ellipse(x, 0.52, 0.148, 0.09) for x in (0.20, 0.50, 0.80)]
    return [
        ("grey", [segment((0.5, 0.06), (0.5, 0.86), 0.055), arc_band(0.41, 0.85, 0.117, 0.06, 0, 180)]),
        ("main", [ellipse(0.5, 0.53, 0.45, 0.43, 180, 360)]),
        ("tone", scallops),
    ]


def _balloon() -> list[Layer]:
    return [
        ("grey", stroke([(0.5, 0.72), (0.46, 0.84), (0.53, 0.97)], 0.035)),
        ("main", [ellipse(0.5, 0.37, 0.31, 0.35), [(0.5, 0.68), (0.41, 0.79), (0.59, 0.79)]]),
        ("light", [ellipse(0.39, 0.25, 0.06, 0.10)]),
    ]


def _fish() -> list[Layer]:
    return [
        ("main", [ellipse(0.42, 0.5, 0.37, 0.24), [(0.68, 0.5), (0.96, 0.26), (0.90, 0.5), (0.96, 0.74)]]),
        ("tone", [[(0.36, 0.36), (0.50, 0.13), (0.58, 0.36)], arc_band(0.20, 0.5, 0.21, 0.17, -45, 45)]),
        ("cream", [ellipse(0.21, 0.44, 0.05, 0.05)]),
    ]


def _car() -> list[Layer]:
    return [
        ("main", [rectangle((0.04, 0.46, 0.96, 0.72), 0.09), [(0.20, 0.50), (0.32, 0.26), (0.68, 0.26), (0.82, 0.50)]]),
        ("cream", [[(0.28, 0.46), (0.36, 0.32), (0.47, 0.32), (0.47, 0.46)]]),
        ("cream", [[(0.53, 0.32), (0.65, 0.32), (0.73, 0.46), (0.53, 0.46)]]),
        ("grey", [ellipse(x, 0.72, 0.12, 0.12) for x in (0.26, 0.74)]),
    ]


def _boat() -> list[Layer]:
    return [
        ("grey", [segment((0.5, 0.06), (0.5, 0.70), 0.05)]),
        (
            "main",
            [[(0.55, 0.10), (0.55, 0.62), (0.90, 0.62)], [(0.06, 0.68), (0.94, 0.68), (0.80, 0.90), (0.20, 0.90)]],
        ),
        ("light", [[(0.45, 0.20), (0.45, 0.62), (0.16, 0.62)]]),
    ]


def _flag() -> list[Layer]:
    return [
        ("grey", [segment((0.16, 0.05), (0.16, 0.96), 0.07)]),
        ("main", [[(0.19, 0.10), (0.94, 0.10), (0.78, 0.34), (0.94, 0.58), (0.19, 0.58)]]),
    ]


def _key() -> list[Layer]:
    shaft = [segment((0.40, 0.5), (0.96, 0.5), 0.12), segment((0.76, 0.5), (0.76, 0.72), 0.09)]
    return [("main", [arc_band(0.25, 0.5, 0.23, 0.115), *shaft, segment((0.915, 0.5), (0.915, 0.70), 0.09)])]


def _hat() -> list[Layer]:
    return [
        ("main", [rectangle((0.26, 0.16, 0.74, 0.74), 0.06), ellipse(0.5, 0.75, 0.47, 0.11)]),
        ("tone", [rectangle((0.26, 0.54, 0.74, 0.66))]),
    ]


def _mushroom() -> list[Layer]:
    return [
        ("cream", [rectangle((0.37, 0.48, 0.63, 0.94), 0.12)]),
        ("main", [ellipse(0.5, 0.56, 0.45, 0.46, 180, 360)]),
        ("light", [ellipse(0.35, 0.34, 0.07, 0.07), ellipse(0.63, 0.28, 0.06, 0.06), ellipse(0.66, 0.46, 0.05, 0.05)]),
    ]


def _book() -> list[Layer]:
    return [
        ("main", [rectangle((0.14, 0.08, 0.86, 0.92), 0.05)]),
        ("cream", [rectangle((0.22, 0.80, 0.86, 0.87))]),
        ("tone", [rectangle((0.14, 0.08, 0.25, 0.92), 0.03)]),
        ("light", [rectangle((0.38, 0.24, 0.74, 0.32)), rectangle((0.38, 0.40, 0.64, 0.46))]),
    ]


def _bottle() -> list[Layer]:
    return [
        ("main", [rectangle((0.30, 0.36, 0.70, 0.96), 0.09), rectangle((0.42, 0.12, 0.58, 0.48))]),
        ("grey", [rectangle((0.40, 0.03, 0.60, 0.14), 0.02)]),
        ("cream", [rectangle((0.30, 0.56, 0.70, 0.80))]),
    ]


def _kite() -> list[Layer]:
    return [
        ("grey", stroke([(0.5, 0.62), (0.60, 0.74), (0.46, 0.84), (0.56, 0.96)], 0.035)),
        ("main", [[(0.5, 0.03), (0.84, 0.30), (0.5, 0.74), (0.16, 0.30)]]),
        ("tone", [segment((0.5, 0.03), (0.5, 0.74), 0.035), segment((0.16, 0.30), (0.84, 0.30), 0.035)]),
    ]


def _bell() -> list[Layer]:
    dome = [(0.12, 0.76), (0.24, 0.62), (0.27, 0.36)]
    return [
        ("tone", [ellipse(0.5, 0.80, 0.12, 0.12)]),
        ("main", [dome + ellipse(0.5, 0.38, 0.23, 0.24, 180, 360) + [(1 - x, y) for x, y in reversed(dome)]]),
        ("main", [ellipse(0.5, 0.12, 0.07, 0.07)]),
    ]


def _chair() -> list[Layer]:
    legs = [rectangle((x, 0.62, x + 0.09, 0.96)) for x in (0.20, 0.71)]
    return [
        ("tone", legs),
        ("main", [rectangle((0.20, 0.05, 0.33, 0.62), 0.04), rectangle((0.20, 0.50, 0.82, 0.66), 0.04)]),
    ]


def _lamp() -> list[Layer]:
    return [
        ("grey", [segment((0.5, 0.50), (0.5, 0.90), 0.07), rectangle((0.28, 0.87, 0.72, 0.96), 0.04)]),
        ("main", [[(0.34, 0.06), (0.66, 0.06), (0.88, 0.56), (0.12, 0.56)]]),
    ]


def _butterfly() -> list[Layer]:
    wings = [ellipse(x, y, r, s) for x in (0.26, 0.74) for y, r, s in ((0.34, 0.23, 0.25), (0.70, 0.17, 0.18))]
    feelers = stroke([(0.36, 0.05), (0.5, 0.24), (0.64, 0.05)], 0.03)
    return [("main", wings), ("tone", [ellipse(0.5, 0.52, 0.055, 0.32), *feelers])]


def _envelope() -> list[Layer]:
    return [
        ("main", [rectangle((0.06, 0.22, 0.94, 0.80), 0.04)]),
        ("tone", stroke([(0.08, 0.25), (0.5, 0.56), (0.92, 0.25)], 0.05)),
    ]


def _crown() -> list[Layer]:
    spikes = [(0.10, 0.80), (0.06, 0.26), (0.30, 0.50), (0.5, 0.14), (0.70, 0.50), (0.94, 0.26), (0.90, 0.80)]
    return [("main", [spikes]), ("tone", [rectangle((0.10, 0.70, 0.90, 0.82))])]


_DRAWN: Mapping[str, Callable[[], list[Layer]]] = {
    "mug": _mug,
    "umbrella": _umbrella,
    "balloon": _balloon,
    "fish": _fish,
    "car": _car,
    "boat": _boat,
    "flag": _flag,
    "key": _key,
    "hat": _hat,
    "mushroom": _mushroom,
    "book": _book,
    "bottle": _bottle,
    "kite": _kite,
    "bell": _bell,
    "chair": _chair,
    "lamp": _lamp,
    "butterfly": _butterfly,
    "envelope": _envelope,
    "crown": _crown,
}
ICONS: Mapping[str, list[Layer]] = {name: draw() for name, draw in _DRAWN.items()}


def paint_icon(painter: Painter, name: str, box: Box, colour: str, shadow: float = 0.28) -> None:
    """Draw the icon `name` inside the square `box`, over a soft shadow of the given strength."""
    main = COLOURS[colour]
    inks = {"main": main, "tone": tone(main), "light": mix(main, WHITE, 0.75), "grey": _GREY, "cream": _CREAM}
    x, y, side = box[0], box[1], box[2] - box[0]
    layers = [(paint, [move(ring, x, y, side) for ring in rings]) for paint, rings in ICONS[name]]
    silhouette = [move(ring, 0.03 * side, 0.04 * side, 1.0) for _, rings in layers for ring in rings]
    painter.fill(silhouette, (20, 20, 30), shadow)
    for paint, rings in layers:
        painter.fill(rings, inks[paint])
