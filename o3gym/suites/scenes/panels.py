"""Chart panels with a title, a chart and one printed number per category; shared by chart and region scenes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.outlines import Point, ellipse
from o3gym.suites.scenes.painter import Anchor, Painter, text_width
from o3gym.suites.scenes.palette import INK, RGB, WHITE, mix
from o3gym.types import Box

SERIES: tuple[RGB, ...] = (
    (47, 110, 180),
    (222, 120, 40),
    (70, 150, 110),
    (190, 70, 90),
    (120, 90, 170),
    (200, 160, 40),
)
PANEL_KINDS: tuple[str, ...] = ("bar", "line", "pie")
_GAP = 4
"""Smallest difference between two values of a bar or line panel, on an axis of 0..100."""


@dataclass(frozen=True)
class Panel:
    """One chart panel.

    Attributes:
        box: box of the panel's card, in board units.
        title: title above the chart.
        kind: one of `PANEL_KINDS`.
        names: category names, in drawing order.
        values: distinct whole numbers, one per category; in a pie they add up to 100.
        colour: index into `SERIES`.
    """

    box: Box
    title: str
    kind: str
    names: tuple[str, ...]
    values: tuple[int, ...]
    colour: int

    def value(self, name: str) -> int:
        """The value of a category."""
        return self.values[self.names.index(name)]

    def extreme(self, highest: bool) -> str:
        """The category with the highest (or lowest) value."""
        pick = max if highest else min
        return self.names[self.values.index(pick(self.values))]


def random_panel(rng: Random, box: Box, title: str, kind: str, names: tuple[str, ...]) -> Panel:
    """A panel with random values that are well apart from one another."""
    count = len(names)
    values = _shares(rng, count) if kind == "pie" else _heights(rng, count)
    return Panel(box, title, kind, names, values, rng.randrange(len(SERIES)))


def _heights(rng: Random, count: int) -> tuple[int, ...]:
    """Random numbers in 14..97, any two at least `_GAP` apart."""
    slack = sorted(rng.randrange(0, 97 - 14 - _GAP * (count - 1) + 1) for _ in range(count))
    values = [14 + v + _GAP * i for i, v in enumerate(slack)]
    rng.shuffle(values)
    return tuple(values)


def _shares(rng: Random, count: int) -> tuple[int, ...]:
    """Random numbers of at least 7 that add up to 100, any two at least 2 apart."""
    base = [7 + 2 * i for i in range(count)]
    spare = 100 - sum(base)
    cuts = sorted(rng.randrange(spare + 1) for _ in range(count - 1))
    parts = sorted(b - a for a, b in zip([0, *cuts], [*cuts, spare], strict=True))
    values = [b + p for b, p in zip(base, parts, strict=True)]
    rng.shuffle(values)
    return tuple(values)


def paint_panel(painter: Painter, panel: Panel, em: float) -> None:
    """Draw the card, the title and the chart; `em` is the size of its labels in board units."""
    x0, y0, x1, y1 = panel.box
    painter.box((x0 + em * 0.2, y0 + em * 0.25, x1 + em * 0.2, y1 + em * 0.25), (40, 44, 60), em * 0.6, alpha=0.22)
    painter.box(panel.box, WHITE, em * 0.6)
    painter.text((x0 + em, y0 + em * 1.4), panel.title, em * 1.2, INK, "lm", room=x1 - x0 - em * 2, weight=0.02)
    _CHARTS[panel.kind](painter, panel, (x0 + em * 1.6, y0 + em * 3.4, x1 - em * 1.6, y1 - em * 2.4), em)


def panel_blocks(panel: Panel, em: float) -> list[tuple[str, Box]]:
    """The layout-detection blocks of the panel that `paint_panel` draws with the same arguments: title and chart.

    Returns:
        Class and box (board units) of each block. The box of the chart includes its labels; the title is above it.
    """
    x0, y0, x1, y1 = panel.box
    # The extra 0.3 em allows for letters being set at whole pixels.
    title = min(text_width(panel.title, em * 1.2) + em * 0.3, x1 - x0 - em * 2)
    return [
        ("figure_title", (x0 + em, y0 + em * 0.6, x0 + em + title, y0 + em * 2.1)),
        ("chart", (x0 + em * 0.6, y0 + em * 2.1, x1 - em * 0.6, y1 - em * 0.6)),
    ]


def _axes(painter: Painter, plot: Box, em: float) -> None:
    x0, y0, x1, y1 = plot
    for i in range(5):
        y = y1 - (y1 - y0) * i / 4
        painter.rule((x0, y), (x1, y), em * 0.06, (120, 126, 138) if i == 0 else (226, 229, 235))


def _columns(panel: Panel, plot: Box) -> list[tuple[str, int, Point]]:
    """Name, value and top point of each category, left to right."""
    x0, y0, x1, y1 = plot
    step = (x1 - x0) / len(panel.names)
    return [
        (name, value, (x0 + step * (i + 0.5), y1 - (y1 - y0) * value / 100))
        for i, (name, value) in enumerate(zip(panel.names, panel.values, strict=True))
    ]


def _bar(painter: Painter, panel: Panel, plot: Box, em: float) -> None:
    _axes(painter, plot, em)
    step = (plot[2] - plot[0]) / len(panel.names)
    for name, value, (x, y) in _columns(panel, plot):
        painter.box((x - step * 0.3, y, x + step * 0.3, plot[3]), SERIES[panel.colour])
        painter.text((x, y - em * 0.75), str(value), em, INK)
        painter.text((x, plot[3] + em * 1.0), name, em, INK, room=step * 0.98)


def _line(painter: Painter, panel: Panel, plot: Box, em: float) -> None:
    _axes(painter, plot, em)
    columns = _columns(panel, plot)
    step = (plot[2] - plot[0]) / len(panel.names)
    painter.line([point for _, _, point in columns], em * 0.22, SERIES[panel.colour])
    for i, (name, value, (x, y)) in enumerate(columns):
        painter.disc((x, y), em * 0.32, SERIES[panel.colour])
        painter.disc((x, y), em * 0.15, WHITE)
        beside = [*panel.values[max(i - 1, 0) : i], *panel.values[i + 1 : i + 2]]
        label = y + em * (1.05 if sum(beside) > value * len(beside) else -1.05)  # on the side facing away from the line
        painter.box((x - em * 0.7, label - em * 0.5, x + em * 0.7, label + em * 0.5), WHITE, em * 0.2, alpha=0.8)
        painter.text((x, label), str(value), em, INK)
        painter.text((x, plot[3] + em * 1.0), name, em, INK, room=step * 0.98)


def _pie(painter: Painter, panel: Panel, plot: Box, em: float) -> None:
    """Draw slices clockwise from the top, each with its name and share outside."""
    x0, y0, x1, y1 = plot
    x, y = (x0 + x1) / 2, (y0 + y1) / 2 + em * 0.4
    radius = min((x1 - x0) / 2 - em * 4.2, (y1 - y0) / 2 - em * 0.6)
    angle = -90.0
    for i, (name, value) in enumerate(zip(panel.names, panel.values, strict=True)):
        end = angle + value * 3.6
        colour = mix(SERIES[(panel.colour + i) % len(SERIES)], WHITE, 0.12)
        painter.fill([[(x, y), *ellipse(x, y, radius, radius, angle, end)]], colour)
        middle = math.radians((angle + end) / 2)
        dx, dy = math.cos(middle), math.sin(middle)
        anchor: Anchor = "mm" if abs(dx) < 0.25 else "lm" if dx > 0 else "rm"
        at = (x + dx * (radius + em * 0.6), y + dy * (radius + em * 1.0))
        painter.text(at, f"{name} {value}", em, INK, anchor)
        angle = end
    for share in _edges(panel.values):
        a = math.radians(share * 3.6 - 90)
        painter.line([(x, y), (x + math.cos(a) * radius, y + math.sin(a) * radius)], em * 0.12, WHITE)


def _edges(values: tuple[int, ...]) -> list[int]:
    return [sum(values[:i]) for i in range(len(values))]


_CHARTS: Mapping[str, Callable[[Painter, Panel, Box, float], None]] = {"bar": _bar, "line": _line, "pie": _pie}
