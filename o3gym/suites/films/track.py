"""Track family: a ball is hidden under one of several cups, which then change places. Where is it at the end?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import NamedTuple

from o3gym.suites.films.base import FILM_ASPECT, Film, FilmFamily, Moment, slots, spacing
from o3gym.suites.films.room import joined, paint_room, random_room
from o3gym.suites.films.sprites import Sprite, cut_out, put
from o3gym.suites.scenes.outlines import ellipse
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import CARD, COLOURS, INK, mix
from o3gym.types import Box

CUP = (0.22, 0.28)
"""Width and height of a cup in board units."""
_CUPS: Mapping[str, int] = {"easy": 3, "medium": 3, "hard": 4}
_SWAPS: Mapping[str, int] = {"easy": 3, "medium": 5, "hard": 7}
_SHARE = (0.5, 0.7)
"""How long a swap takes, as a share of the time between two frames of the overview."""
_FRAMES_EACH = 4
_FOOT = 0.86
_LIFT, _FRONT, _BACK = 0.20, 0.06, 0.12
_CUP_COLOUR = (226, 222, 210)


class _Swap(NamedTuple):
    """Two places whose cups change places; the cup of the first one moves in front."""

    a: int
    b: int
    start: int
    end: int


class _Cups(NamedTuple):
    places: tuple[float, ...]
    ball: int
    colour: str
    shown: int
    swaps: tuple[_Swap, ...]


def build_track(rng: Random, difficulty: str, frames: int) -> Film:
    """Hide a ball, move the cups about, and ask for the number of the place where it ends."""
    room, count = random_room(rng, frames), _CUPS[difficulty]
    step = FILM_ASPECT / count
    shown = max(2, round(0.5 * spacing(frames)))
    lengths = [max(3, round(rng.uniform(*_SHARE) * spacing(frames))) for _ in range(_SWAPS[difficulty])]
    lengths = lengths[: max(1, (frames - shown) // _FRAMES_EACH)]
    times = slots(rng, shown, frames, [min(n, (frames - shown) // len(lengths) - 1) for n in lengths])
    ball = rng.randrange(count)
    swaps, at = [], ball
    for start, end in times:
        a, b = (
            rng.sample(range(count), 2)
            if rng.random() < 0.4
            else (at, rng.choice([p for p in range(count) if p != at]))
        )
        a, b = (b, a) if rng.random() < 0.5 else (a, b)
        swaps.append(_Swap(a, b, start, end))
        at = b if at == a else a if at == b else at
    cups = _Cups(tuple((i + 0.5) * step for i in range(count)), ball, rng.choice(list(COLOURS)), shown, tuple(swaps))

    def paint(painter: Painter, frame: int) -> None:
        paint_room(painter, room, frame)
        _paint_cups(painter, cups, frame)

    moments = (
        Moment("ball", _around(cups, ball, ball), 0, shown),
        *(Moment(f"swap {i}", _around(cups, s.a, s.b), s.start, s.end) for i, s in enumerate(swaps, start=1)),
    )
    wrong = tuple(str(i + 1) for i in range(count) if i != at)
    return Film(ask_where(rng, count, cups.colour), str(at + 1), wrong, moments, (paint,))


def _around(cups: _Cups, a: int, b: int) -> Box:
    """The box in which the cups of two places are while they are moved or lifted."""
    width, height = CUP
    return joined(
        [
            (x - width / 2, _FOOT - height - max(_LIFT, _BACK), x + width / 2, _FOOT + _FRONT)
            for x in (cups.places[a], cups.places[b])
        ]
    )


def _paint_cups(painter: Painter, cups: _Cups, frame: int) -> None:
    scale = painter.image.height
    for number, x in enumerate(cups.places, start=1):
        painter.text((x, 0.965), str(number), 0.075, CARD)
    lifted = frame < cups.shown
    if lifted:
        ball = _ball(cups.colour, scale)
        put(painter, ball, cups.places[cups.ball] - 0.06, _FOOT - 0.12)
    swap = next((s for s in cups.swaps if s.start <= frame < s.end), None)
    standing = [(x, _FOOT) for i, x in enumerate(cups.places) if swap is None or i not in (swap.a, swap.b)]
    if lifted:
        standing[cups.ball] = (cups.places[cups.ball], _FOOT - _LIFT)
    moving = [] if swap is None else _moving(cups, swap, frame)
    for x, foot in sorted([*standing, *moving], key=lambda place: place[1]):
        put(painter, _cup(scale), x - CUP[0] / 2, foot - CUP[1])


def _moving(cups: _Cups, swap: _Swap, frame: int) -> list[tuple[float, float]]:
    """Where the two cups of a swap are: on half circles, one in front and one behind."""
    angle = math.pi * (frame - swap.start + 1) / (swap.end - swap.start + 1)
    a, b = cups.places[swap.a], cups.places[swap.b]
    along, off = (1 - math.cos(angle)) / 2, math.sin(angle)
    return [(a + (b - a) * along, _FOOT + _FRONT * off), (b + (a - b) * along, _FOOT - _BACK * off)]


@lru_cache(maxsize=16)
def _cup(height: int) -> Sprite:
    """A cup that stands upside down."""
    size = (round(CUP[0] * height), round(CUP[1] * height))
    middle = size[0] / size[1] / 2

    def draw(painter: Painter) -> None:
        outer = [(middle - 0.25, 0.02), (middle + 0.25, 0.02), (middle * 2 - 0.01, 0.98), (0.01, 0.98)]
        inner = [(middle - 0.225, 0.045), (middle + 0.225, 0.045), (middle * 2 - 0.045, 0.95), (0.045, 0.95)]
        painter.fill([outer], INK)
        painter.fill([inner], _CUP_COLOUR)
        shade = mix(_CUP_COLOUR, (0, 0, 0), 0.18)
        painter.fill(
            [[(middle + 0.08, 0.045), (middle + 0.225, 0.045), (middle * 2 - 0.045, 0.95), (middle + 0.15, 0.95)]],
            shade,
        )
        painter.fill(
            [[(0.075, 0.78), (middle * 2 - 0.075, 0.78), (middle * 2 - 0.055, 0.88), (0.055, 0.88)]], COLOURS["blue"]
        )

    return cut_out(size, draw)


@lru_cache(maxsize=32)
def _ball(colour: str, height: int) -> Sprite:
    size = round(0.12 * height)

    def draw(painter: Painter) -> None:
        painter.disc((0.5, 0.5), 0.48, INK)
        painter.disc((0.5, 0.5), 0.42, COLOURS[colour])
        painter.fill([ellipse(0.36, 0.34, 0.11, 0.09)], mix(COLOURS[colour], (255, 255, 255), 0.6))

    return cut_out((size, size), draw)


def ask_where(rng: Random, count: int, colour: str) -> str:
    """A question about the place at which the ball ends."""
    number = {3: "three", 4: "four"}[count]
    article = "An" if colour[0] in "aeiou" else "A"
    return rng.choice(
        (
            f"{article} {colour} ball is hidden under one of {number} cups, and the cups change places. At the end, "
            "which number on the table does the cup with the ball stand at?",
            f"Follow the {colour} ball under the {number} cups. At which of the numbered places is it at the end?",
        )
    )


TRACK_FAMILY = FilmFamily(build_track)
