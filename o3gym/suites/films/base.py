"""Film families: a seeded plan of what happens when, a question about it, and the code to draw a frame.

Plans count time in frames, so that whatever a film shows begins and ends with a frame. Boxes are xyxy in board units,
as in `o3gym.suites.scenes`: x in 0..`FILM_ASPECT`, y in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, TypeAlias

from o3gym.suites.scenes.painter import Painter
from o3gym.types import Box, Size

FILM_ASPECT = 16 / 9
FILM_FPS = 2.0
"""Frames per second of a film, at which a glimpse of half a second is a single frame."""
FILM_SIZES: Mapping[str, Size] = {"easy": (320, 180), "medium": (480, 270), "hard": (640, 360)}
"""Native size of the frames."""
FILM_SECONDS: Mapping[str, float] = {"easy": 60.0, "medium": 180.0, "hard": 600.0}
"""Default length of a film."""
OVERVIEW_FRAMES = 16
"""Number of evenly spaced frames that films are planned for: what decides an answer is short against their distance."""

PaintFrame: TypeAlias = Callable[[Painter, int], None]
"""Draws the frame with a number, counted from 0."""


class Moment(NamedTuple):
    """Something that is needed for the answer: what it is, where it is, and its frames, `start` included, `end` not.

    `take` is the index of the film, for questions about two of them.
    """

    label: str
    box: Box
    start: int
    end: int
    take: int = 0


@dataclass(frozen=True)
class Film:
    """A planned film, or two of them that are compared.

    Attributes:
        question: the question in words, without options.
        answer: the correct answer; "" if the times of the moments are asked for.
        wrong: wrong answers; empty if times are asked for.
        moments: everything that is needed for the answer, in the order of time.
        takes: draws a frame, for each film.
        dimensions: for two films, which is better in each dimension: "A", "B" or "same".
    """

    question: str
    answer: str
    wrong: tuple[str, ...]
    moments: tuple[Moment, ...]
    takes: tuple[PaintFrame, ...]
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FilmFamily:
    """A kind of film.

    Attributes:
        build: plans a film from a seeded generator, a difficulty and a number of frames, without drawing it.
        seconds: default length by difficulty.
        fps: frames per second.
    """

    build: Callable[[Random, str, int], Film]
    seconds: Mapping[str, float] = field(default_factory=lambda: FILM_SECONDS)
    fps: float = FILM_FPS


def spacing(frames: int) -> float:
    """The number of frames from one frame of the overview to the next."""
    return frames / OVERVIEW_FRAMES


def slots(rng: Random, first: int, end: int, lengths: list[int]) -> list[tuple[int, int]]:
    """One interval of each of `lengths` frames in [first, end), at random places, in order and without touching."""
    width = (end - first) / len(lengths)
    starts = [first + i * width for i in range(len(lengths))]
    placed = [
        round(start + rng.random() * max(0.0, width - length - 1))
        for start, length in zip(starts, lengths, strict=True)
    ]
    return [(start, start + length) for start, length in zip(placed, lengths, strict=True)]
