"""Drawing of town maps: land, water, roads, grid, trails, places and the legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.outlines import SHAPES, Point, curve, move
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import CARD, COLOURS, INK, RGB, WHITE
from o3gym.types import Box

MAP_ASPECT = 4 / 3
MAP_FRAME: Box = (0.045, 0.055, 0.985, 0.975)
"""The frame of the map in board units; the legend is to its right."""
MAP: Box = (0.0, 0.0, MAP_FRAME[2], 1.0)
"""The map including the letters and numbers of its grid, in board units."""
_LEGEND = (1.01, 0.055, 1.315)
_PAGE: RGB = (240, 237, 230)
_LAND: RGB = (232, 228, 212)
_WATER: RGB = (160, 200, 226)
_PARK: RGB = (198, 220, 180)
_HOUSE: RGB = (206, 200, 188)
_GRID: RGB = (168, 164, 156)


@dataclass(frozen=True)
class Symbol:
    """A place on the map: its kind, its badge and its position."""

    kind: str
    shape: str
    colour: str
    at: Point


@dataclass(frozen=True)
class Trail:
    """A marked trail between two symbols, with the points of its path."""

    name: str
    colour: str
    ends: tuple[Symbol, Symbol]
    path: list[Point]


@dataclass(frozen=True)
class MapSheet:
    """The contents of one map. `key` has one symbol per kind, in legend order; sizes are in board units."""

    cells: int
    em: float
    radius: float
    symbols: list[Symbol]
    key: list[Symbol]
    trails: list[Trail]
    seed: int


def map_cell_box(sheet_cells: int, column: int, row: int) -> Box:
    """The box of one grid square."""
    x0, y0, x1, y1 = MAP_FRAME
    w, h = (x1 - x0) / sheet_cells, (y1 - y0) / sheet_cells
    return (x0 + column * w, y0 + row * h, x0 + (column + 1) * w, y0 + (row + 1) * h)


def badge_box(sheet: MapSheet, symbol: Symbol) -> Box:
    """The box of a symbol on the map."""
    (x, y), r = symbol.at, sheet.radius
    return (x - r, y - r, x + r, y + r)


def legend_box(sheet: MapSheet, line: int) -> Box:
    """The box of a line of the legend, which lists kinds first, then trails."""
    top = _LEGEND[1] + sheet.em * (3.2 + 2.1 * line)
    return (_LEGEND[0] + sheet.em * 0.4, top, _LEGEND[2] - sheet.em * 0.4, top + sheet.em * 2.1)


def key_box(sheet: MapSheet) -> Box:
    """The box of the whole legend."""
    x0, y0, x1 = _LEGEND
    return (x0, y0, x1, legend_box(sheet, len(sheet.key) + len(sheet.trails))[1] + sheet.em * 0.6)


def label_boxes(sheet: MapSheet, column: int, row: int) -> tuple[Box, Box]:
    """The boxes of the letter above a column and of the number left of a row."""
    x0, y0, x1, y1 = map_cell_box(sheet.cells, column, row)
    x, y, em = (x0 + x1) / 2, (y0 + y1) / 2, sheet.em
    above, left = MAP_FRAME[1] - em * 0.9, MAP_FRAME[0] - em * 0.95
    return (x - em, above - em * 0.8, x + em, above + em * 0.8), (left - em * 0.9, y - em, left + em * 0.9, y + em)


def paint_map(painter: Painter, sheet: MapSheet) -> None:
    """Draw the whole map."""
    rng = Random(sheet.seed)
    painter.backdrop([_LAND] * 4, sheet.seed, grain=3)
    _paint_land(painter, rng, sheet)
    _paint_margin(painter, sheet)
    for trail in sheet.trails:
        painter.line(trail.path, sheet.em * 0.42, WHITE)
        painter.line(trail.path, sheet.em * 0.24, COLOURS[trail.colour])
    for symbol in sheet.symbols:
        paint_badge(painter, symbol, symbol.at, sheet.radius)
    _paint_legend(painter, sheet)
    _paint_compass(painter, sheet.em)


def paint_badge(painter: Painter, symbol: Symbol, at: Point, radius: float) -> None:
    """Draw a badge: a coloured disc with a white rim and a white shape."""
    painter.disc(at, radius, INK)
    painter.disc(at, radius * 0.94, WHITE)
    painter.disc(at, radius * 0.86, COLOURS[symbol.colour])
    painter.fill([move(SHAPES[symbol.shape], *at, radius * 0.82)], WHITE)


def _paint_land(painter: Painter, rng: Random, sheet: MapSheet) -> None:
    """Draw parks, houses, a river and roads. They extend beyond the frame; the margin is painted over them."""
    x0, y0, x1, y1 = MAP_FRAME
    for _ in range(7):
        _paint_park(painter, rng, (rng.uniform(x0, x1), rng.uniform(y0, y1)))
    for _ in range(sheet.cells**2 * 4):
        w, h = rng.uniform(0.006, 0.016), rng.uniform(0.006, 0.016)
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        painter.box((x, y, x + w, y + h), _HOUSE)
    river = [(rng.uniform(x0, x1), y0 - 0.03 + i * 0.245) for i in range(5)]
    painter.line(curve(river), 0.034, _WATER)
    for road in _roads(rng, 3 + sheet.cells // 3):
        painter.line(road, 0.0085, (196, 190, 178))
        painter.line(road, 0.0062, WHITE)


def _paint_park(painter: Painter, rng: Random, at: Point) -> None:
    ring = [(at[0] + rng.uniform(0.03, 0.07) * dx, at[1] + rng.uniform(0.03, 0.07) * dy) for dx, dy in _COMPASS]
    painter.fill([curve([*ring, ring[0]])], _PARK)


_COMPASS: Sequence[Point] = ((1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7))


def _roads(rng: Random, count: int) -> list[list[Point]]:
    """Gently bent roads across the map, `count` in each direction."""
    x0, y0, x1, y1 = MAP_FRAME
    roads: list[list[Point]] = []
    for i in range(count):
        y = y0 + (y1 - y0) * (i + rng.uniform(0.2, 0.8)) / count
        x = x0 + (x1 - x0) * (i + rng.uniform(0.2, 0.8)) / count
        roads.append(curve([(x0 - 0.02 + k * 0.245, y + rng.uniform(-0.02, 0.02)) for k in range(5)]))
        roads.append(curve([(x + rng.uniform(-0.02, 0.02), y0 - 0.02 + k * 0.24) for k in range(5)]))
    return roads


def _paint_margin(painter: Painter, sheet: MapSheet) -> None:
    """Draw the grid lines, the page around the map, the frame, and the letters and numbers of the grid."""
    x0, y0, x1, y1 = MAP_FRAME
    for i in range(1, sheet.cells):
        box = map_cell_box(sheet.cells, i, i)
        painter.rule((box[0], y0), (box[0], y1), 0.0013, _GRID)
        painter.rule((x0, box[1]), (x1, box[1]), 0.0013, _GRID)
    for page in ((0, 0, painter.aspect, y0), (0, y1, painter.aspect, 1), (0, 0, x0, 1), (x1, 0, painter.aspect, 1)):
        painter.box(page, _PAGE)
    for a, b in (((x0, y0), (x1, y0)), ((x1, y0), (x1, y1)), ((x0, y1), (x1, y1)), ((x0, y0), (x0, y1))):
        painter.rule(a, b, 0.003, INK)
    for i in range(sheet.cells):
        letter, number = label_boxes(sheet, i, i)
        painter.text(((letter[0] + letter[2]) / 2, (letter[1] + letter[3]) / 2), "ABCDEFGHIJ"[i], sheet.em, INK)
        painter.text(((number[0] + number[2]) / 2, (number[1] + number[3]) / 2), str(i + 1), sheet.em, INK)


def _paint_legend(painter: Painter, sheet: MapSheet) -> None:
    em, (x0, y0, x1, y1) = sheet.em, key_box(sheet)
    painter.box((x0, y0, x1, y1), INK, em * 0.4)
    painter.box((x0 + 0.0015, y0 + 0.0015, x1 - 0.0015, y1 - 0.0015), CARD, em * 0.4)
    painter.text((x0 + em, y0 + em * 1.7), "Legend", em * 1.25, INK, "lm", weight=0.03)
    for i, symbol in enumerate(sheet.key):
        middle = legend_box(sheet, i)[1] + em * 1.05
        paint_badge(painter, symbol, (x0 + em * 2.0, middle), em * 0.85)
        painter.text((x0 + em * 3.9, middle), symbol.kind, em, INK, "lm")
    for i, trail in enumerate(sheet.trails, len(sheet.key)):
        middle = legend_box(sheet, i)[1] + em * 1.05
        painter.line([(x0 + em * 1.1, middle), (x0 + em * 2.9, middle)], em * 0.24, COLOURS[trail.colour])
        painter.text((x0 + em * 3.9, middle), trail.name, em, INK, "lm")


def _paint_compass(painter: Painter, em: float) -> None:
    """Draw a north arrow and a scale bar in the lower right corner."""
    x, y, r = (_LEGEND[0] + _LEGEND[2]) / 2, MAP_FRAME[3] - em * 7.5, em * 2.6
    painter.disc((x, y), r * 1.12, INK)
    painter.disc((x, y), r * 1.06, CARD)
    painter.fill([[(x, y - r), (x + r * 0.34, y), (x, y + r), (x - r * 0.34, y)]], (188, 188, 186))
    painter.fill([[(x, y - r), (x + r * 0.34, y), (x - r * 0.34, y)]], COLOURS["red"])
    painter.text((x, y - r - em), "N", em * 1.1, INK)
    for i in range(4):
        left = x + (i - 2) * em * 2.2
        painter.box((left, MAP_FRAME[3] - em * 1.1, left + em * 2.2, MAP_FRAME[3] - em * 0.7), (CARD, INK)[i % 2])
    painter.text((x, MAP_FRAME[3] - em * 2.1), "0 to 500 m", em * 0.9, INK)
