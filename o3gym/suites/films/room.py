"""The room in which films play, with lamps, a table, and a wall that has another colour in each chapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import NamedTuple

from PIL import Image

from o3gym.suites.films.base import FILM_ASPECT
from o3gym.suites.films.sprites import Sprite, cut_out, put
from o3gym.suites.scenes.outlines import segment
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS, INK, RGB, WHITE, mix
from o3gym.types import Box, Size

WALLS: Mapping[str, RGB] = {
    "red": (214, 112, 108),
    "yellow": (226, 192, 92),
    "green": (128, 184, 122),
    "blue": (112, 158, 216),
    "purple": (164, 130, 196),
    "grey": (146, 150, 156),
    "white": (232, 230, 224),
    "brown": (158, 120, 88),
}
"""Colours of walls, which the frames of an overview show at any size."""
LAMP_COLOURS = ("red", "yellow", "green", "blue", "purple", "orange")
TABLE_TOP = 0.74
LAMP_SIZE = (0.30, 0.60)
"""Width and height of a hanging lamp with its light, in board units at scale 1."""
_WOOD: RGB = (122, 84, 56)
_LIGHT: RGB = (255, 246, 176)
_CHAPTERS = (3, 8)
_CHAPTER_FRAMES = 12


class Chapter(NamedTuple):
    """A part of a film with one colour of the wall, from frame `start` up to `end`."""

    wall: str
    start: int
    end: int


@dataclass(frozen=True)
class Lamp:
    """A hanging lamp.

    Attributes:
        colour: colour of its shade.
        x: its middle, in board units.
        scale: its size; 1 is `LAMP_SIZE`.
        lit: the intervals of frames in which it is on.
    """

    colour: str
    x: float
    scale: float
    lit: tuple[tuple[int, int], ...] = ()

    @property
    def box(self) -> Box:
        """The lamp and its light."""
        width, height = LAMP_SIZE[0] * self.scale, LAMP_SIZE[1] * self.scale
        return (self.x - width / 2, 0.0, self.x + width / 2, height)


@dataclass(frozen=True)
class Room:
    """A room over the course of a film."""

    seed: int
    chapters: tuple[Chapter, ...]
    lamps: tuple[Lamp, ...] = ()

    def wall(self, frame: int) -> str:
        """The colour of the wall in a frame."""
        return next((c.wall for c in self.chapters if frame < c.end), self.chapters[-1].wall)


def random_chapters(rng: Random, frames: int) -> tuple[Chapter, ...]:
    """Three to eight chapters of different colours and similar lengths, each of which the overview shows."""
    count = max(_CHAPTERS[0], min(_CHAPTERS[1], frames // _CHAPTER_FRAMES))
    inner = [round((i + rng.uniform(-0.17, 0.17)) * frames / count) for i in range(1, count)]
    edges = [0, *inner, frames]
    walls = rng.sample(list(WALLS), count)
    return tuple(Chapter(*parts) for parts in zip(walls, edges[:-1], edges[1:], strict=True))


def random_room(rng: Random, frames: int) -> Room:
    """A room without lamps."""
    return Room(rng.getrandbits(32), random_chapters(rng, frames))


def lamp_places(rng: Random, count: int) -> list[float]:
    """Where `count` lamps hang, from left to right."""
    step = FILM_ASPECT / count
    return [(i + 0.5 + rng.uniform(-0.12, 0.12)) * step for i in range(count)]


def paint_room(painter: Painter, room: Room, frame: int) -> None:
    """Draws the room with its lamps, some of them lit."""
    size = painter.image.size
    painter.image.paste(_empty_room(size, room.wall(frame), room.seed))
    for lamp in room.lamps:
        lit = any(start <= frame < end for start, end in lamp.lit)
        put(painter, _lamp(lamp.colour, lit, lamp.scale, size[1]), lamp.box[0], lamp.box[1])


@lru_cache(maxsize=32)
def _empty_room(size: Size, wall: str, seed: int) -> Image.Image:
    painter, tone, rng = Painter(size, FILM_ASPECT), WALLS[wall], Random(seed)
    painter.backdrop([mix(tone, WHITE, 0.18), tone, tone, mix(tone, (0, 0, 0), 0.08)], seed, grain=5)
    step = rng.choice((0.111, 0.1481, 0.2222))
    for i in range(1, round(FILM_ASPECT / step)):
        painter.rule((i * step, 0), (i * step, TABLE_TOP), 0.004, mix(tone, WHITE, 0.22))
    painter.box((0, TABLE_TOP - 0.045, FILM_ASPECT, TABLE_TOP), mix(tone, (0, 0, 0), 0.35))
    painter.box((0, TABLE_TOP, FILM_ASPECT, 1.0), _WOOD)
    for _ in range(14):
        y, x = rng.uniform(TABLE_TOP + 0.03, 0.99), rng.uniform(-0.2, FILM_ASPECT)
        painter.rule((x, y), (x + rng.uniform(0.2, 0.7), y), 0.003, mix(_WOOD, (0, 0, 0), 0.18))
    painter.box((0, TABLE_TOP, FILM_ASPECT, TABLE_TOP + 0.012), mix(_WOOD, WHITE, 0.3))
    return painter.image


@lru_cache(maxsize=128)
def _lamp(colour: str, lit: bool, scale: float, height: int) -> Sprite:
    """A lamp on its cord; if it is lit, with a cone of light below a bright shade."""
    width, tall = (round(side * scale * height) for side in LAMP_SIZE)
    shade = COLOURS[colour] if lit else mix(COLOURS[colour], (0, 0, 0), 0.30)

    def draw(painter: Painter) -> None:
        middle = width / tall / 2
        painter.fill([segment((middle, 0), (middle, 0.22), 0.02)], INK)
        if lit:
            cone = [(middle - 0.10, 0.46), (middle + 0.10, 0.46), (middle + 0.24, 0.99), (middle - 0.24, 0.99)]
            painter.fill([cone], _LIGHT, 0.82)
        painter.disc((middle, 0.46), 0.06, _LIGHT if lit else (92, 92, 96))
        outline = [(middle - 0.07, 0.20), (middle + 0.07, 0.20), (middle + 0.20, 0.46), (middle - 0.20, 0.46)]
        painter.fill([outline], INK)
        inner = [(middle - 0.058, 0.222), (middle + 0.058, 0.222), (middle + 0.172, 0.442), (middle - 0.172, 0.442)]
        painter.fill([inner], shade)

    return cut_out((width, tall), draw)


def joined(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of `boxes`."""
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
