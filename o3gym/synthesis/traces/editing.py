"""Edits the course of an episode: acts are inserted, replaced or left out, and later calls keep their views.

An edited course becomes a `Script`, which `o3gym.rollout.performing` performs, so that its pictures are real again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from o3gym.dialects.base import OWN_RULE
from o3gym.registry import CODE_RULES, DIALECTS
from o3gym.rollout.performing import Act, Script
from o3gym.specs import parse_spec
from o3gym.types import Call, Trajectory, Turn

NUMBERED = re.compile(r"\b(?:observation|original_image|picture|image|view|crop)s?[ _]?[0-9]", re.IGNORECASE)
"""Words that name a view by its number. A thought with them cannot be moved, since views are numbered anew."""


class EditError(ValueError):
    """A course cannot be edited in this way; the message says why, in words that do not depend on the episode."""


class CourseStep(NamedTuple):
    """An act, and the number of views that it adds."""

    act: Act
    views: int = 1


@dataclass(frozen=True)
class Course:
    """The acts of an episode, each with the number of its views. Build one with `course_of`.

    Attributes:
        steps: one step per turn.
        opening: number of views at reset.
        inline: whether the dialect is inline, so that the first reply has another form than later ones.
        code_rule: name of the code rule, which names the views in code.
    """

    steps: tuple[CourseStep, ...]
    opening: int
    inline: bool = False
    code_rule: str = OWN_RULE

    def first_view(self, at: int) -> int:
        """Returns the index of the first view that step `at`, or a step inserted there, adds."""
        return self.opening + sum(step.views for step in self.steps[:at])

    def spliced(self, at: int, removed: int = 0, new: Sequence[CourseStep] = ()) -> Course:
        """Returns the course with `removed` steps from step `at` on replaced by `new` ones.

        Views of later calls are renumbered. A call that is renumbered loses its text, so that it is written anew from
        its thought. The calls in `new` must name views by their new numbers.

        Raises:
            EditError: a later call needs a view of a removed step, or views would be renumbered although later words
                or code name one.
        """
        gone = range(self.first_view(at), self.first_view(at + removed))
        shift = sum(step.views for step in new) - len(gone)
        later = [CourseStep(self._moved(step.act, gone, shift), step.views) for step in self.steps[at + removed :]]
        steps = [*self.steps[:at], *new, *later]
        if self.inline and at == 0 and steps and steps[len(new)].act.text:
            head = steps[len(new)]
            steps[len(new)] = CourseStep(head.act._replace(text=""), head.views)
        return replace(self, steps=tuple(steps))

    def with_act(self, at: int, act: Act) -> Course:
        """Returns the course with another act in place of that of step `at`, which shows as many views."""
        steps = list(self.steps)
        steps[at] = CourseStep(act, steps[at].views)
        return replace(self, steps=tuple(steps))

    def script(self, trajectory: Trajectory) -> Script:
        """Returns the script of this course for the task, group, sample and seed of an episode."""
        acts = tuple(step.act for step in self.steps)
        return Script(trajectory.task, acts, trajectory.group, trajectory.sample, trajectory.seed)

    def _moved(self, act: Act, gone: range, shift: int) -> Act:
        """Returns an act after the edited place, with the views of its call renumbered."""
        view = act.call.args.get("view")
        if isinstance(view, int) and view in gone:
            raise EditError("a later call needs the removed view")
        if not shift:
            return act
        if NUMBERED.search(act.thought):
            raise EditError("later words name a view")
        if act.call.tool == "code":
            self._check_code(str(act.call.args.get("source", "")), gone.start)
        if isinstance(view, int) and view >= gone.stop:
            return Act(Call(act.call.tool, {**act.call.args, "view": view + shift}), act.thought)
        return act

    def _check_code(self, source: str, first: int) -> None:
        name, last = CODE_RULES[self.code_rule].name, self.first_view(len(self.steps))
        if any(re.search(rf"\b{re.escape(name(view))}\b", source) for view in range(max(first, 1), last)):
            raise EditError("later code names a view")


def course_of(trajectory: Trajectory) -> Course:
    """Returns the course of an episode; performing its script repeats the episode."""
    steps = tuple(CourseStep(_act(turn), len(turn.views)) for turn in trajectory.turns)
    opening = len(trajectory.views) - sum(step.views for step in steps)
    inline = DIALECTS[parse_spec(trajectory.dialect)[0]].inline
    return Course(steps, opening, inline, str(trajectory.env.get("code_rule") or OWN_RULE))


def off_course(course: Course, trajectory: Trajectory) -> str:
    """Returns how a performed course differs from the plan, in a few words, or "".

    A reply that is replayed word for word may refer to "the last view" without a number, and then means another one;
    and the calls of an edited course may add more or fewer views than expected.
    """
    if trajectory.stop == "error":
        return "the edited script failed"
    if len(trajectory.turns) != len(course.steps):
        return "the edited script ended early"
    for step, turn in zip(course.steps, trajectory.turns, strict=True):
        planned, made = step.act.call, turn.parsed.call
        if planned.tool != made.tool or planned.args.get("view", 0) != made.args.get("view", 0):
            return "a reply means another view than before"
        if step.views != len(turn.views):
            return "a call shows another number of views"
    return ""


def _act(turn: Turn) -> Act:
    return Act(turn.parsed.call, turn.parsed.thought, turn.reply.text)
