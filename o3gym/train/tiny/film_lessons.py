"""Training dialogues of the built-in watcher, about easy films of the families "event" and "glimpse" (train split).

Every look is answered by notes on its frames, one by one: the colour of the wall in the overview, up to the end of the
chapter that is asked for ("purple? 0 red 1 red 2 purple! 3 purple! 4 blue"), and in a clip whether a lamp is on ("16
off 17 on 18 off") or in which cell of the frame there is a card ("16 no 17 no 18 a2"). Then the reply looks closer, or
it answers.
"""

from __future__ import annotations

from random import Random
from typing import Any

from o3gym.geometry import coverage
from o3gym.policies.dialogue import Message
from o3gym.suites.films.event import ask_when
from o3gym.suites.films.glimpse import ask_glimpse
from o3gym.train.tiny.dialogue_builder import optioned
from o3gym.train.tiny.film_builder import CARD_SHOWN, FRAME_CELLS, FilmBuilder, StagedFilm, card_box, stage_film

WATCHED_FAMILIES = ("event", "glimpse")
MOST_CLIPS = 5
"""Maximum number of clips of a search."""
MOST_CLOSER = 8
"""A clip around so many frames of one that was not complete would not be complete either."""
FINE_STEP = 4
"""If one frame of a look with more than so many frames between two is lit, the lamp is on for longer than that frame.

The interval from the frame before it to the one after it then has the higher expected IoU, otherwise the frame alone.
"""
MOST_NUMBERED = 70
"""Frames of an episode whose numbers are learnt: an overview and `MOST_CLIPS` clips, rarely full."""
CLIP_REFUSED = 'unknown tool "clip" (tools: {})'
"""What the environment says if clips are not enabled."""


class FilmSource:
    """An endless source of dialogues with some for each film; the same index and seed give the same dialogue.

    Args:
        family: "event" or "glimpse".
        seconds: lengths of the films in seconds, joined by "+", which alternate.
        views: number of dialogues per film.
        start: number of the first film in the train split.
    """

    def __init__(self, family: str = "event", seconds: str = "60", views: int = 8, start: int = 0) -> None:
        if family not in WATCHED_FAMILIES:
            raise ValueError(f"family: expected one of {', '.join(WATCHED_FAMILIES)}, got {family}")
        self.family, self.views, self.start = family, views, start
        self.seconds = tuple(float(length) for length in str(seconds).split("+"))

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue at `index`."""
        rng = Random(f"{type(self).__name__}/{self.family}/{index}/{seed}")
        number = self.start + index // self.views
        return self.build(stage_film(self.family, self.seconds[number % len(self.seconds)], number), rng).messages

    def build(self, film: StagedFilm, rng: Random) -> FilmBuilder:
        """Builds a dialogue about a film."""
        raise NotImplementedError


class FilmLesson(FilmSource):
    """Whole searches: overview, chapter, then closer looks up to single frames or to the code on a card, and answer.

    Args:
        family, seconds: see `FilmSource`.
        other: share of dialogues about a wall in front of which no lamp lights up and no card is shown.
        refused: share of dialogues whose first clip is refused.
        astray: probability that the first clip is shown at a random time instead.
        lost: the same for each later clip, and for the part of a frame with the card.
        overview: number of frames of the overview.
        clips: maximum number of clips. With 0, searches answer from notes on the frames of the overview.
        options: the other arguments of `FilmSource`.
    """

    def __init__(
        self,
        family: str = "event",
        seconds: str = "60",
        *,
        other: float = 0.0,
        refused: float = 0.0,
        astray: float = 0.0,
        lost: float = 0.0,
        overview: int = 16,
        clips: int = MOST_CLIPS,
        **options: Any,
    ) -> None:
        super().__init__(family, seconds, **options)
        self.other, self.refused, self.astray, self.lost = other, refused, astray, lost
        self.overview, self.clips = overview, clips

    def build(self, film: StagedFilm, rng: Random) -> FilmBuilder:
        """Writes a search."""
        wall = film.plan.chapter.wall
        if rng.random() < self.other:
            wall = rng.choice([c.wall for c in film.plan.room.chapters if c != film.plan.chapter])
        builder = FilmBuilder(film, asked_film(film, wall, rng), overview=self.overview)
        notes, chapter = builder.wall_notes(wall)
        if self.family == "event":
            self._find_light(builder, notes, chapter, rng)
        else:
            self._find_card(builder, notes, chapter, rng)
        return builder

    def _find_light(self, builder: FilmBuilder, notes: str, frames: list[int], rng: Random) -> None:
        """Watches what was found more and more closely, until a closer look would show no more or no light is seen."""
        guess = f"when {frames[0]} {frames[-1]}"
        if self._refuses(builder, notes, (frames[0], frames[-1]), "locate_span", rng):
            builder.say(guess)
            return
        if not self.clips:
            more, lit = builder.lamp_notes(frames)
            notes, guess = f"{notes}\n{more}", _when(builder, lit) if lit else guess
        for number in range(self.clips):
            builder.watch(notes, frames[0], frames[-1], self._moved(rng, self.lost if number else self.astray))
            notes, lit = builder.lamp_notes()
            if not lit:
                break
            frames, guess = lit, _when(builder, lit) if number + 1 == self.clips else f"when {lit[0]} {lit[-1]}"
            if builder.step <= 1 or len(lit) >= MOST_CLOSER:
                break
        builder.say(f"{notes}\n{guess}")

    def _find_card(self, builder: FilmBuilder, notes: str, chapter: list[int], rng: Random) -> None:
        """Watches what is around each frame of the chapter until a card is seen, and reads it."""
        guess = f"answer {rng.choice(builder.film.task.choices)}"
        if self._refuses(builder, notes, (chapter[0], chapter[0]), "answer", rng):
            builder.say(guess)
            return
        for number, frame in enumerate(chapter[: self.clips]):
            builder.watch(notes, frame, frame, self._moved(rng, self.lost if number else self.astray))
            notes, cell, view = builder.card_notes()
            if cell:
                builder.look(notes, cell, view, rng.choice(list(FRAME_CELLS)) if rng.random() < self.lost else "")
                builder.say(f"answer {_code(builder.film)}" if builder.shows_card() else guess)
                return
        builder.say(f"{notes}\n{guess}")

    def _refuses(self, builder: FilmBuilder, notes: str, frames: tuple[int, int], tools: str, rng: Random) -> bool:
        """Decides whether the first clip is refused, and writes that."""
        if not self.clips or rng.random() >= self.refused:
            return False
        builder.say(f"{notes}\nwatch {frames[0]} {frames[1]}")
        builder.tell(CLIP_REFUSED.format(tools), "unknown_tool")
        return True

    @staticmethod
    def _moved(rng: Random, probability: float) -> float | None:
        return rng.random() if rng.random() < probability else None


def asked_film(film: StagedFilm, wall: str, rng: Random) -> str:
    """Returns a question about what happens in front of a wall, for a card with its options."""
    if film.card is None:
        return ask_when(rng, film.plan.lamp.colour, wall)
    letter = "ABCDEF".index(film.task.answer)
    choices = film.task.choices
    return optioned(rng, ask_glimpse(rng, wall, ""), choices[letter], [*choices[:letter], *choices[letter + 1 :]])


def _when(builder: FilmBuilder, lit: list[int]) -> str:
    """The answer if no closer look follows: the frames with light, or one of them with its neighbours."""
    first, last = lit[0], lit[-1]
    if first == last and builder.step > FINE_STEP:
        first, last = max(first - 1, builder.new[0].index), min(last + 1, builder.new[-1].index)
    return f"when {first} {last}"


def _code(film: StagedFilm) -> str:
    return film.card.code if film.card else ""


class FramesLesson(FilmSource):
    """Notes on a few random frames of a film.

    Of sixteen frames, a small model does not learn which note is about which of them. Of a few it does.

    Args:
        family, seconds: see `FilmSource`. Notes are about walls or lamps, or about walls or cards.
        least, most: minimum and maximum number of frames.
        walls: share of notes on walls, with a question.
        found: probability that a frame is chosen from those with light, or with the card.
        opening: whether frames are numbered from 0 on, as those of an overview are, instead of from a random number.
        options: the other arguments of `FilmSource`.
    """

    def __init__(
        self,
        family: str = "event",
        seconds: str = "60",
        *,
        least: int = 1,
        most: int = 4,
        walls: float = 0.5,
        found: float = 0.4,
        opening: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(family, seconds, **options)
        self.least, self.most, self.walls, self.found, self.opening = least, most, walls, found, opening

    def build(self, film: StagedFilm, rng: Random) -> FilmBuilder:
        """Writes one look and one reply."""
        about_walls = rng.random() < self.walls
        frames = self._frames(film, rng, about_walls)
        wanted = film.plan.room.wall(rng.choice(frames)) if about_walls else ""
        question = asked_film(film, wanted, rng) if about_walls else "card" if film.card else "lamp"
        first = 0 if self.opening else rng.randrange(MOST_NUMBERED - len(frames))
        builder = FilmBuilder(film, question, frames, first)
        notes = [f"{wanted}?"] if about_walls else []
        for view in builder.new:
            wall = film.wall(view)
            thing = film.card_cell(view) or "no" if film.card else "on" if film.lit(view) else "off"
            notes.append(f"{view.index} {wall + '!' * (wall == wanted) if about_walls else thing}")
        builder.say(" ".join(notes))
        return builder

    def _frames(self, film: StagedFilm, rng: Random, about_walls: bool) -> list[int]:
        """Returns different frames in the order of time: of the whole film, or for lamps and cards of one chapter.

        If the other frames were from other chapters, frames with the same wall would be known to be lit without a look.
        """
        part = range(film.frames)
        if not about_walls:
            part = range(film.plan.chapter.start, film.plan.chapter.end)
        shown = range(film.card.frame, film.card.frame + 1) if film.card else range(*film.plan.lit)
        count = rng.randint(self.least, self.most)
        return sorted({rng.choice(shown if rng.random() < self.found else part) for _ in range(count)})


class CardLesson(FilmSource):
    """A part of a frame with a card, and the code on it. Only a single reply, because reading is learned last."""

    def __init__(self, family: str = "glimpse", seconds: str = "60", views: int = 1, start: int = 0) -> None:
        super().__init__(family, seconds, views, start)

    def build(self, film: StagedFilm, rng: Random) -> FilmBuilder:
        """Writes one look at any cell that shows the whole card, and the answer."""
        assert film.card is not None
        builder = FilmBuilder(film, "card", [film.card.frame], first := rng.randrange(MOST_NUMBERED))
        cells = [name for name, box in FRAME_CELLS.items() if coverage(box, card_box(film.card)) > CARD_SHOWN]
        builder.look(f"{first} {builder.film.card_cell(builder.new[0])}", rng.choice(cells), first)
        builder.say(f"answer {film.card.code}")
        return builder
