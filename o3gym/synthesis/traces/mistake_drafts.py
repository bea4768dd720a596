"""Drafts of episodes with mistakes: which wrong looks are inserted where, and the words around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from o3gym.rollout.performing import Act
from o3gym.rollout.records import derive_seed
from o3gym.synthesis.asking import AskedPolicy
from o3gym.synthesis.traces.editing import Course, CourseStep, EditError, course_of
from o3gym.synthesis.traces.sieve import Sieve
from o3gym.synthesis.traces.teacher_words import CORRECTION_PROMPT
from o3gym.synthesis.traces.wrong_looks import (
    ANNOUNCED,
    CORRECTED,
    KINDS,
    WrongLook,
    look_place,
    look_turns,
    seen_before,
    wrong_look,
)
from o3gym.types import EpisodeKey, Trajectory

MOST_MISTAKES = 8
"""Maximum number of mistakes in an episode."""
PLACES_OF_MISTAKES = ("last", "any")
"""Where mistakes are inserted: before the last look, or before any look."""


@dataclass(frozen=True)
class MistakeRecipe:
    """What is inserted, and into which episodes.

    Attributes:
        low, high: smallest and largest number of mistakes in an episode, drawn per episode. With 0 and 0, episodes are
            selected and otherwise left alone.
        kinds: the allowed kinds of mistakes, see `wrong_looks.KINDS`.
        place: "last" inserts before the last look, so that the correction and the answer are the last two turns; "any"
            draws a look for each mistake.
        seed: seed of all choices.
        sieve: selects the episodes.
        teacher: writes the corrections; None for the words of the rules.
        prompt: the prompt to the teacher.

    Raises:
        ValueError: an argument is out of range.
    """

    low: int = 1
    high: int = 1
    kinds: tuple[str, ...] = KINDS
    place: str = "last"
    seed: int = 0
    sieve: Sieve = field(default_factory=lambda: Sieve(per_task=0))
    teacher: AskedPolicy | None = None
    prompt: str = CORRECTION_PROMPT

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= MOST_MISTAKES:
            raise ValueError(f"mistakes: expected 0 ≤ LOW ≤ HIGH ≤ {MOST_MISTAKES}, got {self.low}..{self.high}")
        if not self.kinds or (unknown := [kind for kind in self.kinds if kind not in KINDS]):
            raise ValueError(f"kinds: expected some of {', '.join(KINDS)}, got {', '.join(self.kinds and unknown)}")
        if self.place not in PLACES_OF_MISTAKES:
            raise ValueError(f"place: expected last or any, got {self.place}")

    def made(self) -> dict[str, Any]:
        """Returns how the data were made, for the protocol of the new run."""
        teacher = {"teacher": self.teacher.spec, "prompt": self.prompt} if self.teacher else {}
        drawn = {"mistakes": [self.low, self.high], "kinds": list(self.kinds), "place": self.place, "seed": self.seed}
        return {"command": "mistakes", **drawn, **teacher}


@dataclass(frozen=True)
class MistakeDraft:
    """An episode with mistakes to insert.

    Attributes:
        original: the episode.
        turns: for each mistake, the turn of the episode before which it is inserted, in order.
        looks: the mistakes.
        announced: the thought before each mistake.
        corrected: the words after each mistake.
        next: the place of the look after each mistake, in words.
        views: the number of views of each mistake, as far as it is known.
    """

    original: Trajectory
    turns: tuple[int, ...]
    looks: tuple[WrongLook, ...]
    announced: tuple[str, ...]
    corrected: tuple[str, ...]
    next: tuple[str, ...]
    views: tuple[int, ...]

    @property
    def key(self) -> EpisodeKey:
        """The key of the episode."""
        return self.original.key

    def inserted(self) -> list[int]:
        """Returns the turns of the mistakes in the edited episode."""
        return [turn + number for number, turn in enumerate(self.turns)]

    def course(self) -> Course:
        """Returns the edited course. Raises `EditError` if later calls cannot be moved."""
        course = course_of(self.original)
        for number in reversed(range(len(self.turns))):
            turn = self.turns[number]
            after = course.steps[turn].act
            # The thought of a later look is about the view before it, which is not the last one any more. And of two
            # mistakes in a row, the second one follows from the correction of the first.
            own = after.thought if turn == 0 and turn not in self.turns[number + 1 :] else ""
            thought = " ".join(filter(None, [self.corrected[number], own]))
            course = course.with_act(turn, Act(after.call, thought))
            mistake = CourseStep(Act(self.looks[number].call, self.announced[number]), self.views[number])
            course = course.spliced(turn, 0, [mistake])
        return course


def plan_mistakes(trajectory: Trajectory, recipe: MistakeRecipe) -> MistakeDraft:
    """Draws the mistakes of an episode. The draft has none if none are drawn.

    Raises:
        EditError: the episode cannot have a mistake; the message is a reason to count.
    """
    if trajectory.children:
        raise EditError("looks by a delegate")
    rng = np.random.default_rng(derive_seed(recipe.seed, *trajectory.key))
    count = min(int(rng.integers(recipe.low, recipe.high + 1)), _spare(trajectory))
    if count < recipe.low:
        raise EditError("no turn to spare")
    turns = sorted(_place(trajectory, recipe.place, rng) for _ in range(count))
    looks: list[WrongLook] = []
    for number, turn in enumerate(turns):
        earlier = [look.where for look, place in zip(looks, turns[:number], strict=True) if place == turn]
        # Nobody looks elsewhere after a view that was too large but showed the target, so that kind comes last.
        last = turn not in turns[number + 1 :]
        kinds = [kind for kind in recipe.kinds if last or kind != "too large region"]
        looks.append(wrong_look(trajectory, turn, kinds, rng, earlier))
    return _draft(trajectory, turns, looks, rng)


def _draft(
    trajectory: Trajectory, turns: Sequence[int], looks: Sequence[WrongLook], rng: np.random.Generator
) -> MistakeDraft:
    following = [
        looks[number + 1].where
        if number + 1 < len(turns) and turns[number + 1] == turn
        else look_place(trajectory, turn)
        for number, turn in enumerate(turns)
    ]
    words = [
        tuple(_drawn(table[look.kind], look, place, rng) for table in (ANNOUNCED, CORRECTED))
        for look, place in zip(looks, following, strict=True)
    ]
    views = tuple(len(trajectory.turns[turn].views) for turn in turns)
    announced, corrected = tuple(before for before, _ in words), tuple(after for _, after in words)
    return MistakeDraft(trajectory, tuple(turns), tuple(looks), announced, corrected, tuple(following), views)


def _drawn(sentences: Sequence[str], look: WrongLook, following: str, rng: np.random.Generator) -> str:
    sentence = sentences[int(rng.integers(len(sentences)))]
    what = look.what
    return sentence.format(what=what, What=what[:1].upper() + what[1:], where=look.where, next=following)


def _spare(trajectory: Trajectory) -> int:
    """Returns how many turns the episode's budget leaves; a large number if the budget is not recorded."""
    budget = trajectory.env.get("max_turns")
    return budget - len(trajectory.turns) if isinstance(budget, int) else MOST_MISTAKES


def _place(trajectory: Trajectory, place: str, rng: np.random.Generator) -> int:
    turns = look_turns(trajectory)
    if not turns:
        raise EditError("no look that can be wrong by rule")
    if place == "last" and turns[-1] != len(trajectory.turns) - 2:
        raise EditError("the answer does not follow a look that can be wrong by rule")
    fresh = [turn for turn in (turns if place == "any" else turns[-1:]) if not seen_before(trajectory, turn)]
    if not fresh:
        raise EditError("the target was seen before")
    return fresh[int(rng.integers(len(fresh)))]
