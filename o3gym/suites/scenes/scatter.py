"""Everyday things, large and tiny, scattered over a background without touching one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.base import jittered_grid
from o3gym.suites.scenes.icons import ICONS, paint_icon
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.types import Box

SCATTER_ASPECT = 4 / 3
SCATTER_ROWS: Mapping[str, int] = {"easy": 5, "medium": 8, "hard": 14}
"""Rows of cells. A cell holds one large thing or four tiny ones, or is kept free for a thing that a question needs."""
TINY: Mapping[str, float] = {"easy": 0.055, "medium": 0.028, "hard": 0.0164}
"""Side of a tiny thing in board units; on hard, it covers 2e-4 of the picture."""
_TINY_SHARE = 0.35


@dataclass(frozen=True)
class Thing:
    """An icon of one kind and colour in a square box, in board units."""

    kind: str
    colour: str
    box: Box


@dataclass(frozen=True)
class Strewn:
    """Boxes for large and tiny things, and one whole cell that is kept free, in board units."""

    large: list[Box]
    tiny: list[Box]
    free: Box


def strew(rng: Random, difficulty: str) -> Strewn:
    """Divide the board into cells and place boxes in all of them except one inner cell."""
    rows = SCATTER_ROWS[difficulty]
    cell, columns = 1 / rows, round(SCATTER_ASPECT * rows)
    width = SCATTER_ASPECT / columns
    kept = (rng.randrange(1, columns - 1), rng.randrange(1, rows - 1))
    strewn = Strewn([], [], (kept[0] * width, kept[1] * cell, (kept[0] + 1) * width, (kept[1] + 1) * cell))
    quartered = set(rng.sample(range(columns * rows), round(_TINY_SHARE * columns * rows)))
    for i in range(columns * rows):
        x, y = i % columns, i // columns
        area = (x * width, y * cell, (x + 1) * width, (y + 1) * cell)
        if (x, y) == kept:
            continue
        if i in quartered:
            strewn.tiny.extend(jittered_grid(rng, area, 2, 2, (TINY[difficulty], TINY[difficulty])))
        else:
            side = cell * rng.uniform(0.5, 0.78)
            strewn.large.extend(jittered_grid(rng, area, 1, 1, (side, side)))
    return strewn


def random_things(rng: Random, boxes: Sequence[Box], without: Sequence[str]) -> list[Thing]:
    """A random thing for each box, of any kind except those in `without`."""
    kinds = [kind for kind in ICONS if kind not in without]
    return [Thing(rng.choice(kinds), rng.choice(list(COLOURS)), box) for box in boxes]


def paint_things(painter: Painter, things: Sequence[Thing]) -> None:
    """Draw all things with their shadows."""
    for thing in things:
        paint_icon(painter, thing.kind, thing.box, thing.colour)
