"""Builds dialogues about generated films: what a look shows, and the notes that the watcher should take on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from o3gym.dialects.grid import cell_box, cell_name
from o3gym.dialects.reel import FRAME_GRID, Reel, frame_step, open_span
from o3gym.geometry import compose, coverage, from_pixels, snap
from o3gym.media.images import shared_store
from o3gym.media.pixels import Pixels
from o3gym.media.videos import frame_source, timeline_of
from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.tiny.frame_size import frame_size
from o3gym.suites.films.base import FILM_ASPECT
from o3gym.suites.films.event import Lighting, plan_lighting
from o3gym.suites.films.glimpse import Card, plan_cards
from o3gym.suites.synthetic_video import SyntheticVideo
from o3gym.tools.time_rules import O3GYM_TIMES
from o3gym.types import FULL, Box, Size, Source, Task, View

WATCHED_TIMES = O3GYM_TIMES
"""The time rule of the lessons, which is the environment's default."""


@dataclass(frozen=True)
class StagedFilm:
    """A film: its task, what happens when, and the card that is asked for, if there is one."""

    task: Task
    plan: Lighting
    card: Card | None

    @property
    def video(self) -> Source:
        """The film."""
        return self.task.sources[0]

    @property
    def frames(self) -> int:
        """The number of frames of the film."""
        return round(float(self.video.args["seconds"]) * float(self.video.args["fps"]))

    def wall(self, view: View) -> str:
        """The colour of the wall in a frame."""
        return self.plan.room.wall(view.frame or 0)

    def lit(self, view: View) -> bool:
        """Whether a lamp is on in a frame."""
        frame = view.frame or 0
        return any(start <= frame < end for lamp in self.plan.room.lamps for start, end in lamp.lit)

    def card_cell(self, view: View) -> str:
        """The name of the cell of a frame that shows most of the card; "" in all frames without a card."""
        if self.card is None or view.frame != self.card.frame:
            return ""
        return max(FRAME_CELLS, key=lambda name: coverage(FRAME_CELLS[name], card_box(self.card)))


FRAME_CELLS = {
    cell_name(column, row): cell_box(*FRAME_GRID, column, row)
    for row in range(FRAME_GRID[1])
    for column in range(FRAME_GRID[0])
}
"""The unit xyxy boxes of the cells in which parts of frames are looked at."""


def card_box(card: Card | None) -> Box:
    """The box of a card as unit xyxy of the frame; the whole frame for None."""
    if card is None:
        return FULL
    x0, y0, x1, y1 = card.box
    return (x0 / FILM_ASPECT, y0, x1 / FILM_ASPECT, y1)


@lru_cache(maxsize=16)
def _films(family: str, seconds: float) -> SyntheticVideo:
    return SyntheticVideo(split="train", family=family, difficulty="easy", seconds=seconds, n=10**9)


@lru_cache(maxsize=64)
def stage_film(family: str, seconds: float, number: int) -> StagedFilm:
    """Plans film `number` of the train split: of the family "event" or "glimpse", easy, `seconds` long."""
    return staged(_films(family, seconds).task(number))


def staged(task: Task) -> StagedFilm:
    """Plans the film of an easy task of the family "event" or "glimpse"."""
    args = task.sources[0].args
    rng, frames = Random(f"film/{args['family']}/easy/{args['seed']}"), round(args["seconds"] * args["fps"])
    if args["family"] == "event":
        return StagedFilm(task, plan_lighting(rng, "easy", frames, frames), None)
    plan, cards = plan_cards(rng, "easy", frames)
    return StagedFilm(task, plan, cards[0])


class FilmBuilder:
    """Builds one dialogue: what the environment and the dialect would show, and what the model should write.

    Args:
        film: the film.
        question: the question, with its options if it has some.
        frames: the frames of the first look; None for those of the overview.
        first: number of the first view.
        overview: number of frames of the overview.

    Attributes:
        views: the views so far.
        new: the views of the newest look.
        messages: the messages so far.
    """

    def __init__(
        self, film: StagedFilm, question: str, frames: Sequence[int] | None = None, first: int = 0, overview: int = 16
    ) -> None:
        self.film, self.first = film, first
        self.timeline = timeline_of(film.video)
        self.views: list[View] = []
        self.new: list[View] = []
        self.messages: list[Message] = []
        rule = WATCHED_TIMES.with_overview(overview)
        self.show(rule.first_frames(self.timeline) if frames is None else frames, question, -1)

    @property
    def step(self) -> int:
        """How many frames of the film it is from one frame of the newest look to the next; 0 for a single frame."""
        return frame_step(self.new)

    def show(self, frames: Sequence[int], words: str = "", parent: int = 0) -> None:
        """Shows frames: the overview, whose parent is -1, with the question, and later looks without words."""
        native = shared_store().size(frame_source(self.film.video, 0))
        self.new = []
        for frame in frames:
            self._add(frame, FULL, native, parent)
        self.tell(words)

    def look(self, notes: str, cell: str, view: int, shown: str = "") -> None:
        """Writes a look at a cell of a frame and shows it, or the cell `shown` instead."""
        self.say(f"{notes}\nlook {FRAME_GRID[0]}x{FRAME_GRID[1]} {cell} in {view}")
        self.crop(view, shown or cell)

    def crop(self, view: int, cell: str) -> None:
        """Shows a cell of a frame without words."""
        parent = self.views[view - self.first]
        native = shared_store().size(frame_source(self.film.video, 0))
        pixels = snap(compose(parent.box, FRAME_CELLS[cell]), native)
        self.new = []
        size = (pixels[2] - pixels[0], pixels[3] - pixels[1])
        self._add(parent.frame or 0, from_pixels(pixels, native), size, view)
        self.tell("")

    def _add(self, frame: int, box: Box, size: Size, parent: int) -> None:
        places = {view.frame: view.source for view in self.views}
        view = View(
            self.first + len(self.views),
            places.get(frame, len(places) + 1),
            box,
            size,
            frame_size(*size),
            parent,
            time=self.timeline.span(frame),
            video=0,
            frame=frame,
        )
        self.views.append(view)
        self.new.append(view)

    def tell(self, words: str, error: str = "") -> None:
        """Shows the newest views with words, or an error without views."""
        parts = _REEL.show([] if error else self.new, words, {"turn": len(self.messages), "error": error})
        self.messages.append(Message("user", tuple(self._picture(p) if isinstance(p, View) else p for p in parts)))

    def _picture(self, view: View) -> Picture:
        return Picture(view, lambda: _pixels(self.film.video, view.frame or 0, view.box, view.shown).copy())

    def say(self, words: str) -> None:
        """Writes a reply."""
        self.messages.append(Message("assistant", (words,)))

    def watch(self, notes: str, first: int, last: int, moved: float | None = None) -> None:
        """Writes a call for a clip and shows it, or a clip of the same length elsewhere.

        Args:
            notes: notes on the newest look.
            first: number of a frame.
            last: number of the same or a later frame.
            moved: where the clip that is shown starts, as a share of the film without it; None for the one asked for.
        """
        self.say(f"{notes}\nwatch {first} {last}")
        start, end = open_span(self.views, first, last)
        if moved is not None:
            length = min(end, self.timeline.duration) - start
            start = moved * (self.timeline.duration - length)
            end = start + length
        self.show(WATCHED_TIMES.clip((start, end), self.timeline))

    def wall_notes(self, wanted: str) -> tuple[str, list[int]]:
        """Notes on the walls of the newest look up to the end of the chapter; and the frames that show it."""
        notes, found = [f"{wanted}?"], list[int]()
        for view in self.new:
            wall = self.film.wall(view)
            if found and wall != wanted:
                notes.append(f"{view.index} {wall}")
                break
            notes.append(f"{view.index} {wall}" + "!" * (wall == wanted))
            found += [view.index] * (wall == wanted)
        return " ".join(notes), found

    def lamp_notes(self, among: Sequence[int] | None = None) -> tuple[str, list[int]]:
        """Notes on the lamps of the newest look, up to the time when one is off again; and the frames with light.

        Args:
            among: the numbers of the frames to note; None for all.
        """
        notes, found = list[str](), list[int]()
        for view in self.new:
            if among is not None and view.index not in among:
                continue
            lit = self.film.lit(view)
            notes.append(f"{view.index} {'on' if lit else 'off'}")
            if found and not lit:
                break
            found += [view.index] * lit
        return " ".join(notes), found

    def card_notes(self) -> tuple[str, str, int]:
        """Notes on cards in the newest look up to the first one; its cell, or "", and the number of its frame."""
        notes = []
        for view in self.new:
            cell = self.film.card_cell(view)
            notes.append(f"{view.index} {cell or 'no'}")
            if cell:
                return " ".join(notes), cell, view.index
        return " ".join(notes), "", -1

    def shows_card(self) -> bool:
        """Whether the newest look, at a part of a frame, shows the card whole."""
        view = self.new[-1]
        return bool(self.film.card_cell(view)) and coverage(view.box, card_box(self.film.card)) > CARD_SHOWN


CARD_SHOWN = 0.97
"""Minimum share of a card that a part of a frame has to show for its code to be read; its edge may be cut off."""
_REEL = Reel()


@lru_cache(maxsize=8192)
def _pixels(video: Source, frame: int, box: Box, size: Size) -> Pixels:
    pixels = shared_store().region(frame_source(video, frame), box, size)
    pixels.setflags(write=False)
    return pixels
