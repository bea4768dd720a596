"""Map family: a town with a grid, a legend of symbols and marked trails; questions need both legend and map."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.base import Family, Scene, levels, others
from o3gym.suites.scenes.cartography import (
    MAP,
    MAP_ASPECT,
    MAP_FRAME,
    MapSheet,
    Symbol,
    Trail,
    badge_box,
    key_box,
    label_boxes,
    legend_box,
    map_cell_box,
    paint_map,
)
from o3gym.suites.scenes.outlines import SHAPES, Point, curve
from o3gym.types import Box

_KINDS = (
    "bakery", "library", "museum", "hospital", "school", "hotel", "theatre", "pharmacy", "market", "cinema", "bank",
    "post office",
)  # fmt: skip
BADGES = ("red", "orange", "green", "blue", "purple", "black")
_TRAILS = (("Heron trail", "red"), ("Otter trail", "purple"), ("Badger trail", "black"), ("Lark trail", "orange"))
_ATTEMPTS = 120
_NEAREST = 1.4
"""Smallest ratio of the distance to the second-nearest place to that of the nearest."""


@dataclass(frozen=True)
class _Size:
    cells: int
    kinds: int
    symbols: int
    trails: int
    em: float
    radius: float


_SIZES: Mapping[str, _Size] = {
    "easy": _Size(5, 7, 11, 2, 0.0185, 0.0175),
    "medium": _Size(7, 9, 20, 3, 0.0125, 0.0105),
    "hard": _Size(10, 12, 44, 4, 0.0080, 0.0064),
}


def build_map(rng: Random, difficulty: str) -> Scene:
    """Lay out the town and ask for a grid square, the nearest place or the end of a trail."""
    size = _SIZES[difficulty]
    key = _key(rng, size.kinds)
    symbols = _place(rng, size, key)
    trails = _walks(rng, size, symbols)
    sheet = MapSheet(size.cells, size.em, size.radius, symbols, key, trails, rng.getrandbits(32))
    ask = rng.choice((_ask_square, ask_nearest, _ask_trail))
    question, answer, wrong, targets = ask(rng, sheet)
    layouts = (("map", MAP), ("legend", key_box(sheet)))
    return Scene(question, answer, wrong, tuple(targets), lambda painter: paint_map(painter, sheet), layouts=layouts)


_Asked = tuple[str, str, tuple[str, ...], list[tuple[str, Box]]]
"""Question, answer, wrong answers, and targets with their labels."""


def _key(rng: Random, count: int) -> list[Symbol]:
    """One symbol per kind of place. Any two badges differ in shape or colour, and many in only one of these."""
    badges = rng.sample([(shape, colour) for shape in SHAPES for colour in BADGES], count)
    kinds = rng.sample(_KINDS, count)
    return [Symbol(kind, *badge, (0.0, 0.0)) for kind, badge in zip(kinds, badges, strict=True)]


def _place(rng: Random, size: _Size, key: list[Symbol]) -> list[Symbol]:
    """Symbols for every kind once, then for more of the first half of the kinds, each in its own grid square."""
    squares = rng.sample(range(size.cells**2), size.symbols)
    common = key[: max(2, len(key) // 2)]
    kinds = key + [rng.choice(common) for _ in range(size.symbols - len(key))]
    symbols: list[Symbol] = []
    for square, kind in zip(squares, kinds, strict=True):
        x0, y0, x1, y1 = map_cell_box(size.cells, square % size.cells, square // size.cells)
        at = (x0 + (x1 - x0) * rng.uniform(0.25, 0.75), y0 + (y1 - y0) * rng.uniform(0.25, 0.75))
        symbols.append(Symbol(kind.kind, kind.shape, kind.colour, at))
    return symbols


def _walks(rng: Random, size: _Size, symbols: list[Symbol]) -> list[Trail]:
    """Up to `size.trails` trails between symbols of different kinds, clear of all others, with no shared ends."""
    free = list(symbols)
    trails: list[Trail] = []
    for _ in range(_ATTEMPTS):
        a, b = rng.sample(free, 2)
        path = _path(rng, a.at, b.at)
        if a.kind != b.kind and _fits(path, [s.at for s in symbols if s not in (a, b)], 2.6 * size.radius):
            trails.append(Trail(*_TRAILS[len(trails)], (a, b), path))
            free = [s for s in free if s not in (a, b)]
            if len(trails) == size.trails:
                break
    return trails


def _path(rng: Random, a: Point, b: Point) -> list[Point]:
    """A winding path from `a` to `b` that never turns back."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    bends = [(t + rng.uniform(-0.05, 0.05), rng.uniform(-0.2, 0.2)) for t in (0.25, 0.5, 0.75)]
    return curve([a, *((a[0] + dx * t - dy * off, a[1] + dy * t + dx * off) for t, off in bends), b])


def _fits(path: list[Point], obstacles: list[Point], room: float) -> bool:
    """Whether a path is long enough, inside the frame, and more than `room` away from all obstacles."""
    x0, y0, x1, y1 = MAP_FRAME
    inside = all(x0 + room < x < x1 - room and y0 + room < y < y1 - room for x, y in path[5:-5])
    return inside and math.dist(path[0], path[-1]) > 0.22 and all(_clearance(path, at) > room for at in obstacles)


def _clearance(path: list[Point], at: Point) -> float:
    """Distance from `at` to the nearest point of the path."""
    return min(math.dist(point, at) for point in path)


def _unique(sheet: MapSheet) -> list[Symbol]:
    found = Counter(symbol.kind for symbol in sheet.symbols)
    return [symbol for symbol in sheet.symbols if found[symbol.kind] == 1]


def _line(sheet: MapSheet, kind: str) -> tuple[str, Box]:
    """The legend line of a kind as a target: label and box."""
    return f"legend: {kind}", legend_box(sheet, [symbol.kind for symbol in sheet.key].index(kind))


def _ask_square(rng: Random, sheet: MapSheet) -> _Asked:
    wanted = rng.choice(_unique(sheet))
    x0, y0, x1, y1 = MAP_FRAME
    column = int((wanted.at[0] - x0) / (x1 - x0) * sheet.cells)
    row = int((wanted.at[1] - y0) / (y1 - y0) * sheet.cells)
    question = rng.choice(
        (
            f"In which grid square is the {wanted.kind}?",
            f"The legend explains the symbols. Which grid square has the {wanted.kind}?",
        )
    )
    letter, number = label_boxes(sheet, column, row)
    name = "ABCDEFGHIJ"[column]
    targets = [(wanted.kind, badge_box(sheet, wanted)), _line(sheet, wanted.kind)]
    targets += [(f"column {name}", letter), (f"row {row + 1}", number)]
    return question, f"{name}{row + 1}", _squares(rng, sheet.cells, column, row), targets


def _squares(rng: Random, cells: int, column: int, row: int) -> tuple[str, ...]:
    """Wrong squares: a block of two columns by two or three rows that contains the right one, without it."""
    columns = [column, *rng.sample([c for c in range(cells) if c != column], 1)]
    rows = [row, *rng.sample([r for r in range(cells) if r != row], rng.choice((1, 2)))]
    return tuple(f"{'ABCDEFGHIJ'[c]}{r + 1}" for c in columns for r in rows if (c, r) != (column, row))


def ask_nearest(rng: Random, sheet: MapSheet) -> _Asked:
    """Ask which place is nearest to a unique one, or for a grid square if no place is clearly nearest to any."""
    clear: list[tuple[Symbol, Symbol]] = []
    for start in _unique(sheet):
        near = sorted((s for s in sheet.symbols if s is not start), key=lambda s: math.dist(s.at, start.at))
        if math.dist(near[1].at, start.at) > _NEAREST * math.dist(near[0].at, start.at):
            clear.append((start, near[0]))
    if not clear:
        return _ask_square(rng, sheet)
    start, found = rng.choice(clear)
    question = rng.choice(
        (
            f"Which place is nearest to the {start.kind} in a straight line?",
            f"In a straight line, what is the closest place to the {start.kind}?",
        )
    )
    return question, found.kind, _other_kinds(rng, sheet, start, found), _pair(sheet, start, found)


def _ask_trail(rng: Random, sheet: MapSheet) -> _Asked:
    if not sheet.trails:
        return _ask_square(rng, sheet)
    trail = rng.choice(sheet.trails)
    start, end = rng.sample(trail.ends, 2)
    question = rng.choice(
        (
            f"The {trail.name} starts at the {start.kind}. At which place does it end?",
            f"Follow the {trail.name} from the {start.kind}. What is at its other end?",
        )
    )
    line = legend_box(sheet, len(sheet.key) + sheet.trails.index(trail))
    return question, end.kind, _other_kinds(rng, sheet, start, end), [
        *_pair(sheet, start, end)[:2], (f"legend: {trail.name}", line), _line(sheet, end.kind)
    ]  # fmt: skip


def _pair(sheet: MapSheet, start: Symbol, end: Symbol) -> list[tuple[str, Box]]:
    return [
        (start.kind, badge_box(sheet, start)),
        (end.kind, badge_box(sheet, end)),
        _line(sheet, start.kind),
        _line(sheet, end.kind),
    ]


def _other_kinds(rng: Random, sheet: MapSheet, start: Symbol, end: Symbol) -> tuple[str, ...]:
    kinds = [symbol.kind for symbol in sheet.key if symbol.kind != start.kind]
    return others(rng, kinds, end.kind, rng.choice((3, 4, 5)))


MAP_FAMILY = Family(
    aspect=MAP_ASPECT,
    levels=levels(1_400_000, {d: size.em for d, size in _SIZES.items()}),
    build=build_map,
)
