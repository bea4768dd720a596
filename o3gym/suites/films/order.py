"""Order family: things that stand on the table one after the other, each for a short time. Which is first?"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from o3gym.suites.films.base import FILM_ASPECT, Film, FilmFamily, Moment, slots, spacing
from o3gym.suites.films.room import paint_room, random_room
from o3gym.suites.films.sprites import icon_sprite, put
from o3gym.suites.scenes.icons import ICONS
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.types import Box

THING_SIDE: Mapping[str, float] = {"easy": 0.34, "medium": 0.25, "hard": 0.19}
"""Side of a thing on the table in board units."""
TABLE_LINE = 0.94
"""Where things stand, in board units from above."""
_THINGS: Mapping[str, int] = {"easy": 4, "medium": 5, "hard": 6}
_SHARE = (0.4, 0.6)
"""How long a thing is shown, as a share of the time between two frames of the overview."""
_HOP = 0.04
_NUMBERS = {4: "Four", 5: "Five", 6: "Six"}


class _Showing(NamedTuple):
    kind: str
    colour: str
    x: float
    start: int
    end: int

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    def box(self, side: float) -> Box:
        return (self.x, TABLE_LINE - side - _HOP, self.x + side, TABLE_LINE)


def build_order(rng: Random, difficulty: str, frames: int) -> Film:
    """Show things one after the other, and ask which is first, last, or next after another."""
    room, count, side = random_room(rng, frames), _THINGS[difficulty], THING_SIDE[difficulty]
    lengths = [max(2, round(rng.uniform(*_SHARE) * spacing(frames))) for _ in range(count)]
    kinds = rng.sample(list(ICONS), count)
    shown = [
        _Showing(kind, rng.choice(list(COLOURS)), rng.uniform(0.05, FILM_ASPECT - side - 0.05), start, end)
        for kind, (start, end) in zip(kinds, slots(rng, 1, frames, lengths), strict=True)
    ]

    def paint(painter: Painter, frame: int) -> None:
        paint_room(painter, room, frame)
        for thing in shown:
            if thing.start <= frame < thing.end:
                sprite = icon_sprite(thing.kind, thing.colour, round(side * painter.image.height))
                put(painter, sprite, thing.x, TABLE_LINE - side - _HOP * ((frame - thing.start) % 2))

    names = [thing.name for thing in shown]
    question, answer, others = ask_order(rng, difficulty, names)
    moments = tuple(Moment(thing.name, thing.box(side), thing.start, thing.end) for thing in shown)
    return Film(question, answer, tuple(rng.sample(others, len(others))), moments, (paint,))


def ask_order(rng: Random, difficulty: str, names: list[str]) -> tuple[str, str, list[str]]:
    """A question about things in the order of time, its answer, and the wrong answers."""
    intro = f"{_NUMBERS[len(names)]} things appear on the table one after the other."
    form = rng.choice({"easy": ("first",), "medium": ("first", "last"), "hard": ("first", "last", "next")}[difficulty])
    if form == "next":
        place = rng.randrange(len(names) - 1)
        others = [name for i, name in enumerate(names) if i not in (place, place + 1)]
        return f"{intro} Which comes right after the {names[place]}?", names[place + 1], others
    answer = names[0] if form == "first" else names[-1]
    return f"{intro} Which of them is {form}?", answer, [name for name in names if name != answer]


ORDER_FAMILY = FilmFamily(build_order)
