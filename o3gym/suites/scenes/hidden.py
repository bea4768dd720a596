"""Hidden family: many similar places, one of which holds the target; the overview does not show which.

Easy: the only star among other shapes of equal area. Medium and hard: a letter on one of many parcels. The answer is a
colour. Every place has a random colour, so nothing but the small shape or letter marks the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.base import Family, Scene, jittered_grid, levels, others, square
from o3gym.suites.scenes.grounds import choose_ground, paint_ground
from o3gym.suites.scenes.outlines import SHAPES, Point, move
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import CARD, COLOURS, INK, tone
from o3gym.types import Box

MARK_LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ"
PLACE_SIDE: Mapping[str, float] = {"easy": 0.1, "medium": 0.0284, "hard": 0.01414}
"""Side of a place in board units. Boards are 1 × 1, so a hard target covers 2e-4 of the picture."""
_GRID: Mapping[str, int] = {"easy": 4, "medium": 8, "hard": 15}
GLYPH: Mapping[str, float] = {"easy": 0.018, "medium": 0.0060, "hard": 0.0046}

_SPECKS = 7


@dataclass(frozen=True)
class Place:
    """A card or parcel that may hold the target.

    Attributes:
        box: box of the card or parcel, in board units.
        mark: its shape or letter.
        colour: colour of the shape, or of the parcel's tape.
        shift: offset of the mark from the middle, −1..1 in both directions.
        scale: scale of a shape, about 1.
        specks: specks around a shape, which make its blot uneven when it is too small to recognise: offset and size of
            each, in units of the shape's size.
    """

    box: Box
    mark: str
    colour: str
    shift: tuple[float, float]
    scale: float
    specks: tuple[tuple[Point, float], ...]


def lay_places(rng: Random, difficulty: str) -> tuple[list[Place], Place]:
    """All places in reading order, and the target among them, which is the only one with its mark."""
    side, cells = PLACE_SIDE[difficulty], _GRID[difficulty]
    boxes = jittered_grid(rng, (0.025, 0.025, 0.975, 0.975), cells, cells, (side, side))
    target = rng.randrange(len(boxes))
    wanted = "star" if difficulty == "easy" else rng.choice(MARK_LETTERS)
    rest = [mark for mark in (SHAPES if difficulty == "easy" else MARK_LETTERS) if mark != wanted]
    places: list[Place] = []
    for i, box in enumerate(boxes):
        shift = (rng.uniform(-1, 1), rng.uniform(-1, 1))
        mark, colour = wanted if i == target else rng.choice(rest), rng.choice(list(COLOURS))
        places.append(Place(box, mark, colour, shift, rng.uniform(0.88, 1.16), _specks(rng)))
    return places, places[target]


def scatter_place(rng: Random, box: Box, mark: str, colour: str) -> Place:
    """A place with the given mark and colour, and random values otherwise."""
    return Place(box, mark, colour, (rng.uniform(-1, 1), rng.uniform(-1, 1)), rng.uniform(0.88, 1.16), _specks(rng))


def _specks(rng: Random) -> tuple[tuple[Point, float], ...]:
    angles = [2 * math.pi * (i + rng.uniform(-0.35, 0.35)) / _SPECKS for i in range(_SPECKS)]
    return tuple(
        ((math.cos(a) * (r := rng.uniform(0.98, 1.2)), math.sin(a) * r), rng.uniform(0.08, 0.17)) for a in angles
    )


def build_hidden(rng: Random, difficulty: str) -> Scene:
    """Lay out the places and ask for the colour of the target."""
    places, target = lay_places(rng, difficulty)
    crumbs = [(rng.random(), rng.random(), rng.random()) for _ in range(len(places) * 2 + 60)]
    ground, side = choose_ground(rng), PLACE_SIDE[difficulty]

    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        for x, y, size in crumbs:
            painter.disc((x, y), side * (0.03 + 0.05 * size), (60, 56, 50), 0.15 + 0.2 * size)
        for place in places:
            (paint_card if difficulty == "easy" else _paint_parcel)(painter, place, GLYPH[difficulty])

    wrong = others(rng, list(COLOURS), target.colour, rng.choice((3, 4, 5)))
    items = tuple((f"{place.colour} {place.mark}", place.box) for place in places)
    return Scene(
        ask_hidden(rng, difficulty, target.mark), target.colour, wrong, ((target.mark, target.box),), paint, items
    )


def ask_hidden(rng: Random, difficulty: str, wanted: str) -> str:
    """A question about the colour of the place with the mark `wanted`."""
    if difficulty == "easy":
        return rng.choice(
            (
                f"Exactly one card shows a {wanted}. What colour is the {wanted}?",
                f"There is a single {wanted} among the shapes. Which colour does it have?",
                f"Find the one {wanted} in this picture. What is its colour?",
            )
        )
    return rng.choice(
        (
            f'Only one parcel carries the letter "{wanted}". What colour is the tape on that parcel?',
            f'Find the parcel that is marked "{wanted}". Which colour is its tape?',
            f'What is the colour of the tape on the one parcel labelled "{wanted}"?',
        )
    )


def paint_card(painter: Painter, place: Place, glyph: float) -> None:
    """Draw a cream card in a dark frame with one small shape near its middle."""
    x0, y0, x1, y1 = place.box
    side = x1 - x0
    painter.box((x0, y0, x1, y1), (86, 78, 70), side * 0.12)
    painter.box((x0 + side * 0.06, y0 + side * 0.06, x1 - side * 0.06, y1 - side * 0.06), CARD, side * 0.08)
    x = (x0 + x1) / 2 + place.shift[0] * side * 0.12
    y = (y0 + y1) / 2 + place.shift[1] * side * 0.12
    colour = COLOURS[place.colour]
    for (dx, dy), size in place.specks:
        painter.disc((x + dx * glyph, y + dy * glyph), size * glyph, tone(colour))
    painter.fill([move(SHAPES[place.mark], x, y, glyph * place.scale)], tone(colour))
    painter.fill([move(SHAPES[place.mark], x, y, glyph * place.scale * 0.86)], colour)


def _paint_parcel(painter: Painter, place: Place, glyph: float) -> None:
    """Draw a cardboard parcel with a strip of coloured tape and a small label with a letter."""
    x0, y0, x1, y1 = place.box
    side = x1 - x0
    painter.box(place.box, (118, 88, 58), side * 0.06)
    painter.box((x0 + side * 0.04, y0 + side * 0.04, x1 - side * 0.04, y1 - side * 0.04), (206, 172, 126), side * 0.04)
    painter.box((x0 + side * 0.04, y0 + side * 0.10, x1 - side * 0.04, y0 + side * 0.32), COLOURS[place.colour])
    x = (x0 + x1) / 2 + place.shift[0] * side * 0.14
    y = y0 + side * (0.66 + 0.03 * place.shift[1])
    painter.box(square(x, y, glyph * 1.5), CARD)
    painter.text((x, y), place.mark, glyph, INK)


HIDDEN_FAMILY = Family(
    aspect=1.0,
    levels=levels(1_440_000, GLYPH),
    build=build_hidden,
)
