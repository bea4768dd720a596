"""Glimpse family: a card with a code that hangs on the wall for half a second, which is a single frame."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from o3gym.suites.films.base import FILM_ASPECT, FILM_SIZES, Film, FilmFamily, Moment
from o3gym.suites.films.event import Lighting, plan_lighting
from o3gym.suites.films.room import TABLE_TOP, Chapter, paint_room
from o3gym.suites.scenes.outlines import rectangle
from o3gym.suites.scenes.painter import Painter, text_width
from o3gym.suites.scenes.palette import CARD, INK
from o3gym.suites.scenes.text import near, plate_code
from o3gym.types import Box

_EM_PIXELS: Mapping[str, float] = {"easy": 17.0, "medium": 15.0, "hard": 15.0}
"""Height of a code's letters in native pixels; those of medium and hard frames need a crop at the suite's budget."""
_CLIP_FRAMES = 16
"""Maximum number of frames for which a lamp is on while a code is shown: all of them fit into one clip."""


class Card(NamedTuple):
    """A card with a code: its box in board units, and the frame that shows it."""

    code: str
    box: Box
    frame: int


def plan_cards(rng: Random, difficulty: str, frames: int) -> tuple[Lighting, list[Card]]:
    """Decides when lamps are on, and shows a card during each of these times; the first card is asked for.

    On easy, the wall alone says when: that card is shown at any time of the chapter.
    """
    plan = plan_lighting(rng, difficulty, frames, _CLIP_FRAMES)
    lit = _any_time(rng, plan.chapter) if difficulty == "easy" else plan.lit
    return plan, [_card(rng, difficulty, times) for times in (lit, *plan.decoys)]


def build_glimpse(rng: Random, difficulty: str, frames: int) -> Film:
    """Show a card for one frame while a lamp is on, and ask for its code; on easy, the wall alone says when."""
    plan, cards = plan_cards(rng, difficulty, frames)
    wanted = cards[0]

    def paint(painter: Painter, frame: int) -> None:
        paint_room(painter, plan.room, frame)
        for card in cards:
            if card.frame == frame:
                paint_code(painter, card.code, card.box, difficulty)

    moment = Moment(wanted.code, wanted.box, wanted.frame, wanted.frame + 1)
    lamp = "" if difficulty == "easy" else plan.lamp.colour
    wrong = _wrong(rng, [card.code for card in cards])
    return Film(ask_glimpse(rng, plan.chapter.wall, lamp), wanted.code, wrong, (moment,), (paint,))


def _any_time(rng: Random, chapter: Chapter) -> tuple[int, int]:
    start = rng.randint(chapter.start + 1, chapter.end - 2)
    return start, start + 1


def _card(rng: Random, difficulty: str, times: tuple[int, int]) -> Card:
    """A card with a random code at a random place on the wall, in one of the frames of an interval."""
    text, em = plate_code(rng), _em(difficulty)
    width, height = text_width(text, em) + em, em * 1.8
    x = rng.uniform(0.03, FILM_ASPECT - width - 0.03)
    y = rng.uniform(0.06, TABLE_TOP - 0.07 - height)
    return Card(text, (x, y, x + width, y + height), rng.randrange(*times))


def _wrong(rng: Random, codes: list[str]) -> tuple[str, ...]:
    """Codes of other cards of the film, if there are any, and otherwise codes like the right one."""
    if len(codes) == 1:
        return near(rng, codes[0])
    wrong = dict.fromkeys(rng.sample(codes[1:], min(3, len(codes) - 1)))
    while len(wrong) < 4:
        wrong[plate_code(rng)] = None
    return tuple(other for other in wrong if other != codes[0])


def paint_code(painter: Painter, text: str, box: Box, difficulty: str) -> None:
    """Draws a card with a code; `box` is in board units."""
    (x0, y0, x1, y1), em = box, _em(difficulty)
    painter.fill([rectangle(box, em * 0.2)], INK)
    painter.box((x0 + em * 0.1, y0 + em * 0.1, x1 - em * 0.1, y1 - em * 0.1), CARD, em * 0.15)
    painter.text(((x0 + x1) / 2, (y0 + y1) / 2), text, em, INK)


def _em(difficulty: str) -> float:
    return _EM_PIXELS[difficulty] / FILM_SIZES[difficulty][1]


def ask_glimpse(rng: Random, wall: str, lamp: str) -> str:
    """A question about the code that is shown while the wall has a colour and, unless it is "", a lamp is on."""
    when = f"While the wall is {wall}" + (f" and the {lamp} lamp is on" if lamp else "")
    return rng.choice(
        (
            f"{when}, a card with a code is shown for half a second. Which code is it?",
            f"{when}, a code flashes up on a card. What does it say?",
            f"{when}, there is a code on the wall for a moment. Which one?",
        )
    )


GLIMPSE_FAMILY = FilmFamily(build_glimpse)
