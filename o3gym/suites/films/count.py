"""Count family: things cross the room on the table, one at a time. How often does one of them come by?"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from o3gym.suites.films.base import FILM_ASPECT, Film, FilmFamily, Moment, slots, spacing
from o3gym.suites.films.order import TABLE_LINE, THING_SIDE
from o3gym.suites.films.room import paint_room, random_room
from o3gym.suites.films.sprites import icon_sprite, put
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.types import Box

MOVERS = ("car", "boat", "fish", "butterfly", "balloon", "kite")
"""The icons that move by themselves."""
PASS_EDGE = 0.05
"""Distance of a passing thing from the sides of the picture in its first and last frame."""
_TIMES: Mapping[str, tuple[int, int]] = {"easy": (2, 4), "medium": (3, 6), "hard": (4, 8)}
_OTHERS: Mapping[str, int] = {"easy": 2, "medium": 4, "hard": 6}
_SHARE = 0.5
"""How long a pass takes, as a share of the time between two frames of the overview."""
_FRAMES_EACH = 4


class Pass(NamedTuple):
    """A thing that crosses the room from frame `start` up to `end`, from left to right or the other way."""

    kind: str
    colour: str
    rightwards: bool
    start: int
    end: int


def pass_x(passing: Pass, frame: float, side: float) -> float:
    """The left edge of a passing thing in a frame, in board units."""
    share = (frame - passing.start) / max(1, passing.end - 1 - passing.start)
    return PASS_EDGE + (FILM_ASPECT - side - 2 * PASS_EDGE) * (share if passing.rightwards else 1 - share)


def pass_box(side: float) -> Box:
    """The strip that a passing thing crosses, in board units."""
    return (PASS_EDGE, TABLE_LINE - side, FILM_ASPECT - PASS_EDGE, TABLE_LINE)


def build_count(rng: Random, difficulty: str, frames: int) -> Film:
    """Let things pass by, and ask how often one of them does."""
    room, side = random_room(rng, frames), THING_SIDE[difficulty]
    kind, colour = rng.choice(MOVERS), rng.choice(list(COLOURS))
    times = min(rng.randint(*_TIMES[difficulty]), frames // _FRAMES_EACH)
    things = [(kind, colour)] * times
    things += [_other(rng, kind, colour) for _ in range(min(_OTHERS[difficulty], frames // _FRAMES_EACH - times))]
    rng.shuffle(things)
    length = max(3, min(round(_SHARE * spacing(frames)), (frames - 1) // len(things) - 1))
    passes = [
        Pass(*thing, rng.random() < 0.5, *when)
        for thing, when in zip(things, slots(rng, 1, frames, [length] * len(things)), strict=True)
    ]

    def paint(painter: Painter, frame: int) -> None:
        paint_room(painter, room, frame)
        for passing in passes:
            if passing.start <= frame < passing.end:
                sprite = icon_sprite(passing.kind, passing.colour, round(side * painter.image.height))
                put(painter, sprite, pass_x(passing, frame, side), TABLE_LINE - side)

    name = f"{colour} {kind}"
    moments = tuple(
        Moment(name, pass_box(side), p.start, p.end) for p in passes if (p.kind, p.colour) == (kind, colour)
    )
    return Film(ask_how_often(rng, name), str(times), _wrong_counts(rng, times), moments, (paint,))


def _other(rng: Random, kind: str, colour: str) -> tuple[str, str]:
    """A thing of another colour, or another thing of that colour."""
    if rng.random() < 0.5:
        return kind, rng.choice([other for other in COLOURS if other != colour])
    return rng.choice([other for other in MOVERS if other != kind]), colour


def _wrong_counts(rng: Random, times: int) -> tuple[str, ...]:
    """Three or four other numbers in a row with the right one, which may be any of them."""
    count = rng.choice((4, 5))
    first = max(1, times - rng.randrange(count))
    return tuple(str(number) for number in range(first, first + count) if number != times)


def ask_how_often(rng: Random, name: str) -> str:
    """A question about the number of times that a thing passes by."""
    article = "an" if name[0] in "aeiou" else "a"
    return rng.choice(
        (
            f"How many times does {article} {name} cross the room?",
            f"How often does {article} {name} come by?",
            f"Count how many times {article} {name} passes.",
        )
    )


COUNT_FAMILY = FilmFamily(build_count)
