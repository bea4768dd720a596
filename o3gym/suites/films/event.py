"""Event family: when is a lamp on? It is the time that is asked for, and the colour of the wall says where to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from o3gym.suites.films.base import Film, FilmFamily, Moment, spacing
from o3gym.suites.films.room import LAMP_COLOURS, Chapter, Lamp, Room, lamp_places, paint_room, random_room
from o3gym.suites.scenes.painter import Painter

LAMP_SCALE: Mapping[str, float] = {"easy": 1.0, "medium": 0.8, "hard": 0.62}
_LAMPS: Mapping[str, int] = {"easy": 2, "medium": 3, "hard": 4}
_DECOYS: Mapping[str, int] = {"easy": 0, "medium": 3, "hard": 7}
"""Number of other times at which a lamp is on: that lamp in front of another wall, or another lamp."""
_SHARE = (0.22, 0.34)
"""How long a lamp is on, as a share of the time between two frames of the overview."""


@dataclass(frozen=True)
class Lighting:
    """A room whose lamps are on at times, one of which is asked for.

    Attributes:
        room: the room with its lamps.
        lamp: the lamp that is asked for.
        chapter: when the question is about.
        lit: the frames in which that lamp is on in that chapter.
        decoys: the other intervals in which a lamp is on.
    """

    room: Room
    lamp: Lamp
    chapter: Chapter
    lit: tuple[int, int]
    decoys: tuple[tuple[int, int], ...]


def plan_lighting(rng: Random, difficulty: str, frames: int, most: int) -> Lighting:
    """Decides when lamps are on, each time within one chapter and for at most `most` frames.

    A lamp is on at most once in a chapter, so that its colour and that of the wall name one time. While the lamp that
    is asked for is on, no other one is.
    """
    room, count = random_room(rng, frames), _LAMPS[difficulty]
    colours, places = rng.sample(LAMP_COLOURS, count), lamp_places(rng, count)
    asked, chapter = rng.randrange(count), rng.choice(room.chapters)
    wanted = _within(rng, chapter, frames, most)
    decoys = [
        (lamp, times)
        for lamp, part in _decoys(rng, _DECOYS[difficulty], (asked, chapter), count, room.chapters)
        if not _overlaps(times := _within(rng, part, frames, most), wanted)
    ]
    lamps = tuple(
        Lamp(colours[i], places[i], LAMP_SCALE[difficulty], _times_of(i, [(asked, wanted), *decoys]))
        for i in range(count)
    )
    return Lighting(replace(room, lamps=lamps), lamps[asked], chapter, wanted, tuple(times for _, times in decoys))


def _decoys(
    rng: Random, number: int, asked: tuple[int, Chapter], lamps: int, chapters: tuple[Chapter, ...]
) -> list[tuple[int, Chapter]]:
    """Other pairs of a lamp and a chapter, half of which share the lamp or the chapter that is asked for.

    Without those, the colour of the lamp or that of the wall would be enough.
    """
    others = [(lamp, part) for lamp in range(lamps) for part in chapters if (lamp, part) != asked]
    others.sort(key=lambda pair: ((pair[0] != asked[0]) + (pair[1] != asked[1]), rng.random()))
    half = number // 2
    return [*others[:half], *rng.sample(others[half:], min(number - half, len(others) - half))]


def _within(rng: Random, chapter: Chapter, frames: int, most: int) -> tuple[int, int]:
    """A short interval inside a chapter."""
    length = min(max(2, round(rng.uniform(*_SHARE) * spacing(frames))), most)
    start = rng.randint(chapter.start + 1, max(chapter.start + 1, chapter.end - 1 - length))
    return start, start + length


def _overlaps(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _times_of(lamp: int, pairs: list[tuple[int, tuple[int, int]]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(times for other, times in pairs if other == lamp))


def build_event(rng: Random, difficulty: str, frames: int) -> Film:
    """Plan when lamps are on, and ask for one of these times."""
    plan = plan_lighting(rng, difficulty, frames, frames)
    moment = Moment(f"{plan.lamp.colour} lamp", plan.lamp.box, *plan.lit)

    def paint(painter: Painter, frame: int) -> None:
        paint_room(painter, plan.room, frame)

    return Film(ask_when(rng, plan.lamp.colour, plan.chapter.wall), "", (), (moment,), (paint,))


def ask_when(rng: Random, lamp: str, wall: str) -> str:
    """A question about the time at which a lamp is on in front of a wall."""
    return rng.choice(
        (
            f"When is the {lamp} lamp on in front of the {wall} wall?",
            f"While the wall is {wall}, the {lamp} lamp is switched on and off again. From when to when is it on?",
            f"During which time does the {lamp} lamp shine while the wall is {wall}?",
        )
    )


EVENT_FAMILY = FilmFamily(build_event)
