"""Tally family: so many beads that they must be counted by code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.base import COLOUR_MASK, Family, Scene, jittered_grid, levels, progression
from o3gym.suites.scenes.grounds import choose_ground, paint_ground
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS

TALLY_ASPECT = 4 / 3
BEAD_ROWS: Mapping[str, int] = {"easy": 13, "medium": 17, "hard": 24}
"""Rows of cells; a cell holds one bead or none."""
_FREE = 0.15
"""Share of the cells without a bead."""
_BEAD = (0.32, 0.82)
"""Smallest and largest diameter of a bead, as a share of its cell's height."""
_GAP = 0.08
"""Smallest gap between two beads, as a share of the same. At the smallest legible size it is almost two pixels wide."""

COUNTING = f"""\
{COLOUR_MASK}
def count(colour):
    m = mask(image, colour)
    pairs = (m[1:] & m[:-1]).sum() + (m[:, 1:] & m[:, :-1]).sum()
    return m.sum() - pairs + (m[1:, 1:] & m[1:, :-1] & m[:-1, 1:] & m[:-1, :-1]).sum()
"""
"""Counts the beads of a colour by their Euler characteristic: pixels − pairs of neighbours + blocks of four.

It is 1 for any connected set of pixels without a hole, so the sum over the picture is the number of beads.
"""


@dataclass(frozen=True)
class Bead:
    """A round bead in board units."""

    middle: tuple[float, float]
    radius: float
    colour: str


def scatter_beads(rng: Random, difficulty: str) -> list[Bead]:
    """Beads of all colours and sizes that do not touch. Some colours are more frequent than others."""
    rows = BEAD_ROWS[difficulty]
    columns, cell = round(rows * TALLY_ASPECT), 1 / rows
    colours = rng.sample(list(COLOURS), 6)
    weights = [rng.uniform(0.5, 2.0) for _ in colours]
    beads: list[Bead] = []
    for i in range(rows * columns):
        x, y = i % columns * cell, i // columns * cell
        side = cell * rng.uniform(*_BEAD)
        gap = cell * _GAP / 2
        (box,) = jittered_grid(rng, (x + gap, y + gap, x + cell - gap, y + cell - gap), 1, 1, (side, side))
        (colour,) = rng.choices(colours, weights)
        if rng.random() >= _FREE:
            beads.append(Bead(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), side / 2, colour))
    return beads


def build_tally(rng: Random, difficulty: str) -> Scene:
    """Scatter beads and ask how many there are of a colour, of two colours, or how many more of one than of another."""
    beads, ground = scatter_beads(rng, difficulty), choose_ground(rng)
    kind = "one" if difficulty == "easy" else rng.choice(("one", "both", "more"))
    (first, many), (second, few) = Counter(bead.colour for bead in beads).most_common(6)[rng.randrange(3) :][:2]

    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        for bead in beads:
            painter.disc(bead.middle, bead.radius, COLOURS[bead.colour])

    if kind == "more" and many - few < 3:
        kind = "both"
    answer = {"one": many, "both": many + few, "more": many - few}[kind]
    wrong = tuple(map(str, progression(rng, answer, (1,))))
    named = (first,) if kind == "one" else (first, second)
    return Scene(_ask(kind, *named), str(answer), wrong, (), paint, program=lambda size: counting(kind, named))


def _ask(kind: str, first: str, second: str = "") -> str:
    if kind == "one":
        return f"How many {first} beads are there?"
    if kind == "both":
        return f"How many beads are {first} or {second}?"
    return f"How many more {first} beads than {second} beads are there?"


def counting(kind: str, colours: Sequence[str]) -> str:
    """The program that answers a question of a kind ("one", "both" or "more") about colours."""
    sign = " - " if kind == "more" else " + "
    return f"{COUNTING}\nprint({sign.join(f'count({COLOURS[colour]})' for colour in colours)})"


TALLY_FAMILY = Family(
    aspect=TALLY_ASPECT,
    levels=levels(1_200_000, {d: _BEAD[0] / rows for d, rows in BEAD_ROWS.items()}),
    build=build_tally,
)
