"""`synthetic_video`: seeded films with exact times and boxes, generated frame by frame without a codec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Any, ClassVar, Literal, TypeAlias

from PIL import Image

from o3gym.arguments import check_whole
from o3gym.geometry import is_number
from o3gym.suites.films import count, event, glimpse, order, pair, track
from o3gym.suites.films.base import FILM_ASPECT, FILM_SIZES, Film, FilmFamily
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.seeded import SeededSuite, drawn_options, known_name
from o3gym.types import LETTERS, Box, Size, Source, Target, Task, TaskKind

FilmAnswers: TypeAlias = Literal["choice", "free"]

FILMS: Mapping[str, FilmFamily] = {
    "event": event.EVENT_FAMILY,
    "glimpse": glimpse.GLIMPSE_FAMILY,
    "order": order.ORDER_FAMILY,
    "count": count.COUNT_FAMILY,
    "track": track.TRACK_FAMILY,
    "pair": pair.PAIR_FAMILY,
}
FILM_FAMILIES: tuple[str, ...] = tuple(FILMS)
FILM_DIFFICULTIES: tuple[str, ...] = tuple(FILM_SIZES)
MIN_SECONDS, MAX_SECONDS = 8.0, 600.0
FRAME_PIXELS = 320 * 180
"""Pixels of a frame that the suite is designed for: 16 of them have as many as a picture of one megapixel."""
SINGLE_MOMENT = ("event", "glimpse")
"""The families whose answer shows in one interval, with which their questions can be answered too."""


def render_film(
    *, family: str, difficulty: str, seed: int, seconds: float, fps: float, time: float, take: int = 0
) -> Image.Image:
    """Draw one frame of a film, bit for bit the same in every process with the same Pillow and NumPy versions.

    Args:
        family: one of `FILM_FAMILIES`.
        difficulty: one of `FILM_DIFFICULTIES`.
        seed: seed of the film.
        seconds: length of the film.
        fps: frames per second.
        time: time of the frame in seconds.
        take: which of two films, for the family "pair".
    """
    painter = Painter(film_size(difficulty=difficulty), FILM_ASPECT)
    plan_film(family, difficulty, seed, round(seconds * fps)).takes[take](painter, math.floor(time * fps + 1e-6))
    return painter.image


def film_size(*, difficulty: str, **_: Any) -> Size:
    """Width and height of the frames that `render_film` draws with the same arguments."""
    return FILM_SIZES[known_name("difficulty", difficulty, FILM_DIFFICULTIES)]


@lru_cache(maxsize=64)
def plan_film(family: str, difficulty: str, seed: int, frames: int) -> Film:
    """The film that `render_film` draws with the same arguments."""
    build = FILMS[known_name("family", family, FILM_FAMILIES)].build
    return build(
        Random(f"film/{family}/{difficulty}/{seed}"), known_name("difficulty", difficulty, FILM_DIFFICULTIES), frames
    )


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


class SyntheticVideo(SeededSuite):
    """Seeded questions about films. Families and difficulties alternate, as in `synthetic`.

    Args:
        argument: must be empty; families are chosen by option.
        split: "test" or "train"; they never share a seed.
        family: one of `FILM_FAMILIES`, several joined by "+", or "all".
        difficulty: one of `FILM_DIFFICULTIES`, or "all".
        answers: "choice" for options or "free" for text. Events are answered with an interval, and of two films one is
            chosen, in any case.
        seconds: length of the films, from 8 to 600; 0 for the default of family and difficulty.
        grounded: whether questions of the families in `SINGLE_MOMENT` are to be answered with the interval that shows
            the answer, too.
        n: number of tasks.
    """

    name: ClassVar[str] = "synthetic_video"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("test", "train")
    licence: ClassVar[str] = "Apache-2.0"
    measure: ClassVar[str] = "grounding"
    min_pixels: int = FRAME_PIXELS // 4
    max_pixels: int = FRAME_PIXELS

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        family: str = "all",
        difficulty: str = "all",
        answers: FilmAnswers = "choice",
        seconds: float = 0.0,
        grounded: bool = False,
        n: int = 1000,
    ) -> None:
        super().__init__(argument, split)
        if argument:
            raise ValueError(
                f'suite synthetic_video takes no argument, got "{argument}"; write "synthetic_video?family=event"'
            )
        chosen = dict.fromkeys(known_name("family", name, ("all", *FILM_FAMILIES)) for name in str(family).split("+"))
        self.families = FILM_FAMILIES if "all" in chosen else tuple(chosen)
        every = known_name("difficulty", difficulty, ("all", *FILM_DIFFICULTIES)) == "all"
        self.difficulties = FILM_DIFFICULTIES if every else (difficulty,)
        known_name("kind of answers", answers, ("choice", "free"))
        self.answers: FilmAnswers = answers
        check_whole("n", n, 0)
        if not is_number(seconds) or (seconds and not MIN_SECONDS <= seconds <= MAX_SECONDS):
            raise ValueError(f"seconds: expected 0 or {MIN_SECONDS:g} to {MAX_SECONDS:g}, got {_quoted(seconds)}")
        if not isinstance(grounded, bool):
            raise ValueError(f"grounded: expected true or false, got {_quoted(grounded)}")
        if grounded and not set(self.families) <= set(SINGLE_MOMENT):
            raise ValueError(f"grounded: expected families among {', '.join(SINGLE_MOMENT)}, got {family}")
        self.seconds, self.grounded, self.size = seconds, grounded, n

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds in the suite: "span" for events, "choice" for pairs, `answers` for all others."""
        return frozenset(self._kind(family) for family in self.families)

    @property
    def has_videos(self) -> bool:
        """Always True."""
        return True

    @property
    def shortest_video(self) -> float:
        """Length in seconds of the shortest film."""
        return min(self._length(family, difficulty)[1] for family in self.families for difficulty in self.difficulties)

    def task(self, index: int) -> Task:
        """Plan the film at `index` and ask about it, without drawing a frame."""
        family, difficulty, ordinal, seed = self.place(index)
        frames, seconds, fps = self._length(family, difficulty)
        film, kind = plan_film(family, difficulty, seed, frames), self._kind(family)
        letter, options = _options(film, f"film/{family}/{difficulty}/{seed}/options")
        args = {"family": family, "difficulty": difficulty, "seed": seed, "seconds": seconds, "fps": fps}
        takes = range(len(film.takes))
        return Task(
            id=f"{self.name}/{self.split}/{self._variant(family, difficulty)}/{ordinal}",
            sources=tuple(
                Source("generated", self.name, {**args, "take": take} if len(takes) > 1 else args, duration=seconds)
                for take in takes
            ),
            question=film.question,
            answer=letter if kind == "choice" else film.answer,
            choices=options if kind == "choice" else (),
            targets=tuple(
                Target(_unit(moment.box), moment.take, moment.label, (moment.start / fps, moment.end / fps))
                for moment in film.moments
            ),
            kind=kind,
            tags={"family": family, "difficulty": difficulty, "seconds": f"{seconds:g}"},
            origin=self._origin(index, seed, film),
        )

    def _kind(self, family: str) -> TaskKind:
        return "span" if family == "event" else "choice" if family == "pair" else self.answers

    def _length(self, family: str, difficulty: str) -> tuple[int, float, float]:
        """The length of a film in frames and in seconds, and its frames per second."""
        kind = FILMS[family]
        frames = round((self.seconds or kind.seconds[difficulty]) * kind.fps)
        return frames, frames / kind.fps, kind.fps

    def _variant(self, family: str, difficulty: str) -> str:
        """The part of a task's id that names its settings: "glimpse-easy", "glimpse-easy-free-120s"."""
        answers = (
            f"-{self.answers}" if self.answers != self._kind("pair") and self._kind(family) == self.answers else ""
        )
        return f"{family}-{difficulty}{answers}" + (f"-{self.seconds:g}s" if self.seconds else "")

    def _origin(self, index: int, seed: int, film: Film) -> dict[str, Any]:
        origin = {"suite": self.name, "version": self.version, "split": self.split, "index": index, "seed": seed}
        grounded = {"grounded": True} if self.grounded else {}
        return {**origin, **grounded, **({"dimensions": dict(film.dimensions)} if film.dimensions else {})}


def _options(film: Film, seed: str) -> tuple[str, tuple[str, ...]]:
    """The correct letter and the options in letter order: shuffled, or for two films in their order."""
    if not film.dimensions:
        return drawn_options(film.answer, film.wrong, seed)
    options = sorted([film.answer, *film.wrong])
    return LETTERS[options.index(film.answer)], tuple(options)


def _unit(box: Box) -> Box:
    """A box in board units as unit xyxy of the frame."""
    x0, y0, x1, y1 = (box[0] / FILM_ASPECT, box[1], box[2] / FILM_ASPECT, box[3])
    return (max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0))
