"""Scene families: a seeded layout in board units, a question about it, and the code to draw it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.painter import Painter
from o3gym.types import Box, Size

LEGIBLE = 8
"""Pixels that the smallest detail that decides an answer (a letter's em, an object's side) needs at native size."""

COLOUR_MASK = """\
import numpy as np

def mask(image, colour):
    bands = zip(image.split(), colour)
    return np.all([abs(np.asarray(band, np.int16) - value) < 20 for band, value in bands], axis=0)
"""
"""The beginning of programs that look for a colour: a function that tells which pixels have it, without their edges."""


@dataclass(frozen=True)
class Scene:
    """A laid-out scene. Boxes are xyxy in board units: x in 0..aspect, y in 0..1.

    Attributes:
        question: the question in words, without options.
        answer: the correct answer; "" for region search.
        wrong: three to five wrong answers; empty for region search.
        targets: label and box of every region that is needed to answer.
        paint: draws the whole scene.
        items: label and box of everything that can be read off the picture ("red star", "JW-4K7"), for families that
            provide it. Used to generate reading demonstrations.
        layouts: kind and box of the parts of the board ("bar chart"), for families that provide them.
        blocks: layout-detection class ("chart", "figure_title") and box of each block, for families that draw
            documents.
        program: for families that need code, a function from the picture's size in pixels to a Python program that
            solves the task with NumPy and Pillow. The program finds the picture in the variable `image`. It either
            prints the answer, or ends with an assignment to `picture`, which shows the answer legibly.
    """

    question: str
    answer: str
    wrong: tuple[str, ...]
    targets: tuple[tuple[str, Box], ...]
    paint: Callable[[Painter], None]
    items: tuple[tuple[str, Box], ...] = ()
    layouts: tuple[tuple[str, Box], ...] = ()
    blocks: tuple[tuple[str, Box], ...] = ()
    program: Callable[[Size], str] | None = None


@dataclass(frozen=True)
class Level:
    """One difficulty of a family: picture size in pixels, and the height of the finest detail in board units."""

    pixels: int
    detail: float


def levels(easy: int, detail: Mapping[str, float]) -> dict[str, Level]:
    """The three usual levels: `easy` pixels, 4 megapixels and 12 megapixels, each with its finest detail's height."""
    sizes = {"easy": easy, "medium": 4_000_000, "hard": 12_000_000}
    return {difficulty: Level(pixels, detail[difficulty]) for difficulty, pixels in sizes.items()}


@dataclass(frozen=True)
class Family:
    """A kind of scene.

    Attributes:
        aspect: width over height of the pictures.
        levels: level by difficulty.
        build: lays out a scene from a seeded generator and a difficulty, without drawing it.
    """

    aspect: float
    levels: Mapping[str, Level]
    build: Callable[[Random, str], Scene]

    def size(self, difficulty: str, pixels: int = 0) -> Size:
        """Width and height of a picture of about `pixels` pixels; 0 for the default of the difficulty."""
        height = math.sqrt((pixels or self.levels[difficulty].pixels) / self.aspect)
        return (max(1, round(height * self.aspect)), max(1, round(height)))

    def legible(self, difficulty: str, pixels: int = 0) -> bool:
        """Whether the finest detail is legible in a crop at native size."""
        return self.levels[difficulty].detail * self.size(difficulty, pixels)[1] >= LEGIBLE


def square(x: float, y: float, side: float) -> Box:
    """The box of a square centred on (x, y)."""
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def jittered_grid(rng: Random, area: Box, columns: int, rows: int, size: tuple[float, float]) -> list[Box]:
    """One box of `size` at a random place within each cell of a grid over `area`, in reading order."""
    x0, y0, x1, y1 = area
    cell_w, cell_h = (x1 - x0) / columns, (y1 - y0) / rows
    width, height = size
    boxes: list[Box] = []
    for i in range(columns * rows):
        x = x0 + (i % columns) * cell_w + rng.uniform(0.05, 0.95) * (cell_w - width)
        y = y0 + (i // columns) * cell_h + rng.uniform(0.05, 0.95) * (cell_h - height)
        boxes.append((x, y, x + width, y + height))
    return boxes


def others(rng: Random, names: Sequence[str], answer: str, count: int) -> tuple[str, ...]:
    """`count` distinct names other than `answer`, in random order."""
    return tuple(rng.sample([name for name in names if name != answer], count))


def progression(rng: Random, answer: int, steps: Sequence[int] = (1, 2, 3)) -> list[int]:
    """Wrong answers: an arithmetic progression that includes the answer at a random position, without the answer.

    No number is below 1. The step between two numbers is one of `steps`.
    """
    count, step = rng.choice((4, 5, 6)), rng.choice(steps)
    place = min(rng.randrange(count), (answer - 1) // step)
    return [answer + (i - place) * step for i in range(count) if i != place]
