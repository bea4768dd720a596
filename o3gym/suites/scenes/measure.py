"""Measure family: ratios of the lengths of rods, and sums over the bars of a chart without numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.base import COLOUR_MASK, Family, Scene, levels, progression
from o3gym.suites.scenes.chart import grid_boxes, titles
from o3gym.suites.scenes.grounds import choose_ground, paint_ground
from o3gym.suites.scenes.outlines import Point, segment
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS, INK, RGB, WHITE
from o3gym.suites.scenes.panels import SERIES
from o3gym.types import Box, Size

MEASURE_ASPECT = 4 / 3
_CELLS: Mapping[str, tuple[int, int]] = {"easy": (2, 2), "medium": (3, 4), "hard": (4, 5)}
"""Rows and columns of cells; each holds one rod."""
_RATIOS = range(13, 31)
"""Ratios of two rods, in tenths."""
_SHORT, _LONG, _THICK = 0.29, 0.94, 0.05
"""Smallest and largest length of a rod and its width, as shares of the shorter side of its cell."""
_CHARTS: Mapping[str, tuple[int, int]] = {"easy": (1, 1), "medium": (2, 2), "hard": (2, 3)}
"""Rows and columns of charts."""
_BARS: Mapping[str, int] = {"easy": 5, "medium": 6, "hard": 8}
CHART_EM: Mapping[str, float] = {"easy": 0.034, "medium": 0.02, "hard": 0.018}
_AXIS: RGB = (230, 20, 130)
"""Colour of the axes of charts, which is unlike all other colours in them."""
_BAR_COLOURS = tuple(colour for colour in SERIES if colour != (190, 70, 90))
_WALL: RGB = (222, 224, 228)

RATIO = f"""\
{COLOUR_MASK}
def length(colour):
    y, x = np.nonzero(mask(image, colour))
    points = np.stack([x - x.mean(), y - y.mean()])
    return np.ptp(np.linalg.eigh(points @ points.T)[1][:, 1] @ points) + 1
"""
"""Measures the rod of a colour along its principal axis."""
SUM = f"""\
{COLOUR_MASK}
chart = image.crop(CROP)
axis = mask(chart, {_AXIS}).any(axis=1).sum()
total = top = 0
for height in [*mask(chart, COLOUR).sum(axis=0), 0]:
    if top and not height:
        total += round(float(100 * top / axis))
        top = 0
    top = max(top, height)
print(total)"""
"""Adds up the bars of a chart: the height of each in hundredths of the length of the axis, to the next whole number."""


@dataclass(frozen=True)
class Rod:
    """A straight rod in board units, at an angle in degrees from the horizontal."""

    colour: str
    middle: Point
    length: float
    width: float
    angle: float

    @property
    def ends(self) -> tuple[Point, Point]:
        """The middles of both ends."""
        a, (x, y) = math.radians(self.angle), self.middle
        dx, dy = math.cos(a) * self.length / 2, math.sin(a) * self.length / 2
        return (x - dx, y - dy), (x + dx, y + dy)

    @property
    def box(self) -> Box:
        """The box around the rod."""
        ring = segment(*self.ends, self.width)
        xs, ys = [x for x, _ in ring], [y for _, y in ring]
        return (min(xs), min(ys), max(xs), max(ys))


@dataclass(frozen=True)
class BarChart:
    """A bar chart without numbers, on an axis from 0 to 100.

    Attributes:
        box: box of its card, in board units.
        title: title above it.
        values: the height of each bar, on the axis.
        colour: colour of the bars.
    """

    box: Box
    title: str
    values: tuple[int, ...]
    colour: RGB

    def plot(self, em: float) -> Box:
        """The area of the bars, from the axis on, given the size of the labels; its height is 100 on the axis."""
        x0, y0, x1, y1 = self.box
        return (x0 + em * 3.2, y0 + em * 3.2, x1 - em, y1 - em * 2.2)

    def crop(self, size: Size) -> tuple[int, int, int, int]:
        """The card in pixels of a picture of `size`, rounded inwards."""
        x0, y0, x1, y1 = (edge * size[1] for edge in self.box)
        return (math.ceil(x0), math.ceil(y0), math.floor(x1), math.floor(y1))


def build_measure(rng: Random, difficulty: str) -> Scene:
    """Lay out rods and ask for a ratio, or lay out charts and ask for a sum."""
    return (_rod_scene if asks_ratio(rng) else _chart_scene)(rng, difficulty)


def asks_ratio(rng: Random) -> bool:
    """Whether a scene is about rods; the first draw of every scene."""
    return rng.random() < 0.5


def _rod_scene(rng: Random, difficulty: str) -> Scene:
    rods, long, short, tenths = lay_rods(rng, difficulty)
    ground = choose_ground(rng)

    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        for rod in rods:
            painter.fill([segment(*rod.ends, rod.width)], COLOURS[rod.colour])

    lengths = " / ".join(f"length({COLOURS[rod.colour]})" for rod in (long, short))
    return Scene(
        f"How many times as long as the {short.colour} rod is the {long.colour} rod? Round to one decimal.",
        f"{tenths / 10:.1f}",
        tuple(f"{1 + wrong / 10:.1f}" for wrong in progression(rng, tenths - 10, (1,))),
        tuple((f"{rod.colour} rod", rod.box) for rod in (long, short)),
        paint,
        program=lambda size: f'{RATIO}\nprint(f"{{{lengths}:.1f}}")',
    )


def lay_rods(rng: Random, difficulty: str) -> tuple[list[Rod], Rod, Rod, int]:
    """One rod per cell; the longer and the shorter one that are asked for; and the ratio of their lengths in tenths."""
    rows, columns = _CELLS[difficulty]
    cell = min(1 / rows, MEASURE_ASPECT / columns)
    boxes = grid_boxes(rows, columns, 0.0, MEASURE_ASPECT)
    one, other = rng.sample(range(len(boxes)), 2)
    colours = rng.sample(list(COLOURS), len(COLOURS))
    tenths = rng.choice(_RATIOS)
    short = rng.uniform(_SHORT, _LONG * 10 / tenths)
    rods: list[Rod] = []
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        length = {one: short * tenths / 10, other: short}.get(i, rng.uniform(_SHORT, _LONG))
        colour = {one: colours[0], other: colours[1]}.get(i, colours[2 + (i + one) % 6])
        angle = rng.choice((0.0, 90.0)) if difficulty == "easy" else rng.uniform(0, 180)
        rods.append(Rod(colour, ((x0 + x1) / 2, (y0 + y1) / 2), length * cell, _THICK * cell, angle))
    return rods, rods[one], rods[other], tenths


def _chart_scene(rng: Random, difficulty: str) -> Scene:
    charts, asked = lay_charts(rng, difficulty)
    seed = rng.getrandbits(32)

    def paint(painter: Painter) -> None:
        painter.backdrop([_WALL] * 4, seed)
        for chart in charts:
            paint_bars(painter, chart, CHART_EM[difficulty])

    return Scene(
        f'The axis of "{asked.title}" goes from 0 to 100, and each bar is a whole number. What do its bars add up to?',
        str(sum(asked.values)),
        tuple(map(str, progression(rng, sum(asked.values)))),
        ((asked.title, asked.box),),
        paint,
        program=lambda size: summing(asked, size),
    )


def lay_charts(rng: Random, difficulty: str) -> tuple[list[BarChart], BarChart]:
    """All charts in reading order, and the one that is asked for."""
    boxes = grid_boxes(*_CHARTS[difficulty], 0.02, MEASURE_ASPECT)
    charts = [
        BarChart(box, title, _values(rng, _BARS[difficulty]), rng.choice(_BAR_COLOURS))
        for box, title in zip(boxes, titles(rng, len(boxes)), strict=True)
    ]
    return charts, rng.choice(charts)


def _values(rng: Random, count: int) -> tuple[int, ...]:
    return tuple(rng.randrange(12, 99) for _ in range(count))


def summing(chart: BarChart, size: Size) -> str:
    """The program that adds up the bars of a chart in a picture of `size`."""
    return SUM.replace("CROP", str(chart.crop(size))).replace("COLOUR", str(chart.colour))


def paint_bars(painter: Painter, chart: BarChart, em: float) -> None:
    """Draw the card, the title, the axis with its ends named, and the bars with a letter below each."""
    x0, y0, *_ = chart.box
    painter.box(chart.box, WHITE, em * 0.5)
    painter.text((x0 + em, y0 + em * 1.4), chart.title, em * 1.2, INK, "lm", weight=0.02)
    left, top, right, bottom = chart.plot(em)
    painter.box((left - em * 0.15, top, left, bottom), _AXIS)
    painter.text((left - em * 0.5, top), "100", em, INK, "rm")
    painter.text((left - em * 0.5, bottom), "0", em, INK, "rm")
    step = (right - left) / len(chart.values)
    for i, value in enumerate(chart.values):
        x = left + step * (i + 0.5)
        painter.box((x - step * 0.28, bottom - (bottom - top) * value / 100, x + step * 0.28, bottom), chart.colour)
        painter.text((x, bottom + em), chr(ord("A") + i), em, INK)


def _details() -> dict[str, float]:
    """Heights of the finest details: legible rods have 60 pixels or more, and a unit of a legible axis has 8/3."""
    details = {}
    for difficulty, (rows, columns) in _CELLS.items():
        rod = _SHORT * min(1 / rows, MEASURE_ASPECT / columns) / 7.5
        plot = lay_charts(Random(0), difficulty)[1].plot(CHART_EM[difficulty])
        unit = (plot[3] - plot[1]) / 100
        details[difficulty] = min(rod, 3 * unit)
    return details


MEASURE_FAMILY = Family(aspect=MEASURE_ASPECT, levels=levels(1_200_000, _details()), build=build_measure)
