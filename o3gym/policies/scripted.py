"""Policies without a model, for baselines and tests. They write in whatever dialect the episode speaks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from o3gym.geometry import coverage, surround
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Privileged, Request
from o3gym.types import LETTERS, Call, Reply, Target, Task, View, answer, crop, locate, search

SHOWN_SHARE = 0.7
"""Share of a target that a view has to show for it to count as seen."""
SHARP = 0.5
"""Least size of such a view, as a share of its region's own pixels a side.

A large part of a picture, shown small, tells no more than the picture did; if it counted, a searcher that looks nowhere
would be helpful by chance.
"""


class Scripted(Policy):
    """Base: choose a call from the truth, write it in the dialect. Replies depend on the request alone."""

    privileged: ClassVar[bool] = True

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        privileged = request.privileged
        if privileged is None:
            raise ValueError(
                f"{type(self).__name__} needs the truth in Request.privileged; run it through o3gym.rollout.loop"
            )
        call, thought = self.choose(privileged, np.random.default_rng(request.sampling.seed))
        return Reply(privileged.dialect.format(call, privileged.views, thought))

    @abstractmethod
    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """The call to make now, and a thought to write before it."""


class Random(Scripted):
    """Random calls, and with probability `stop` per turn a random answer; the last turn always answers."""

    def __init__(self, stop: float = 0.25) -> None:
        super().__init__()
        if not 0.0 <= stop <= 1.0:
            raise ValueError(f"stop: expected a probability from 0 to 1, got {stop}")
        self.stop = stop

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """A random call or a guess."""
        looks = [t for name, t in privileged.tools.items() if not t.ends and name in privileged.dialect.tools]
        if not looks or privileged.turns_left <= 1 or rng.random() < self.stop:
            return guess(privileged, rng), "I will guess."
        tool = looks[int(rng.integers(len(looks)))]
        args = {key: arg.sample(rng, len(privileged.views)) for key, arg in tool.args.items()}
        return Call(tool.name, args), "I will look somewhere."


class Oracle(Scripted):
    """Looks at each target, then gives the right answer: the upper bound, and a source of demonstrations.

    Where it can have things found (`search`) but not look itself, it asks for each target by its name; and where it is
    asked, it finds what it knows by that name.
    """

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """The next target, or the answer."""
        targets, done = wanted(privileged), privileged.turn
        if done >= len(targets) or privileged.turns_left <= 1:
            return true_call(privileged), "Now it is clear."
        target = targets[done]
        what = f" at the {target.label}" if target.label else ""
        if "crop" in privileged.tools:
            return crop(surround(target.box), target.source), f"I need a closer look{what}."
        if "search" in privileged.tools:
            return search(called(privileged.task)[done], target.source), f"I need a closer look{what}."
        return true_call(privileged), "Now it is clear."


class Asker(Scripted):
    """A reasoner: has each target searched for until it is shown, then gives the right answer; otherwise it guesses.

    It knows the answer, but gives it only where its views show all targets (`SHOWN_SHARE`, `SHARP`): so it is as good as who
    searches for it, `two_agent(reasoner=asker, searcher=P)`. It rates each search by whether it brought the target that
    was asked for.

    Args:
        tries: searches per target, at most.
        noise: probability that a rating says the opposite.
    """

    def __init__(self, tries: int = 2, noise: float = 0.0) -> None:
        super().__init__()
        if type(tries) is not int or tries < 1:
            raise ValueError(f"tries: expected a whole number from 1 up, got {tries}")
        if not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise: expected a probability from 0 to 1, got {noise}")
        self.tries, self.noise = tries, noise

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """A search for the first target that no view shows, or the end."""
        targets = privileged.task.targets
        unseen, failed, _ = _progress(privileged)
        if targets and not unseen:
            return true_call(privileged), "Now I have seen it."
        if not targets or "search" not in privileged.tools or privileged.turns_left <= 1 or failed >= self.tries:
            return guess(privileged, rng), "It was not found, so I will guess."
        return search(called(privileged.task)[unseen[0]], targets[unseen[0]].source), "I have not seen it yet."

    def _reply(self, request: Request) -> Reply:
        reply, privileged = super()._reply(request), request.privileged
        assert privileged is not None
        if privileged.turn == 0:
            return replace(reply, text=privileged.dialect.rated(reply.text, "NA"))
        _, _, helpful = _progress(privileged)
        helpful ^= np.random.default_rng([request.sampling.seed, 1]).random() < self.noise
        return replace(reply, text=privileged.dialect.rated(reply.text, "helpful" if helpful else "unhelpful"))


def _progress(privileged: Privileged) -> tuple[list[int], int, bool]:
    """Targets not seen yet, failed searches for the first of them, and whether the last one showed what was asked."""
    targets = privileged.task.targets
    unseen, failed, helpful = list(range(len(targets))), 0, False
    for brought in privileged.brought:
        views = [privileged.views[index] for index in brought]
        left = [i for i in unseen if not any(_shows(view, targets[i]) for view in views)]
        helpful = left[:1] != unseen[:1]
        unseen, failed = left, 0 if helpful else failed + 1
    return unseen, failed, helpful


def _shows(view: View, target: Target) -> bool:
    """Whether a view is a look at nearly all of a target; the whole picture is none, nor a part of it shown small."""
    sharp = view.parent >= 0 and view.shown[0] >= SHARP * view.native[0]
    return sharp and view.source == target.source and coverage(view.box, target.box) >= SHOWN_SHARE


class Sweep(Scripted):
    """Looks at the cells of a regular grid, row by row, then guesses: search without sight.

    The grid is the finest square one that leaves a turn for the guess, or has `cells` cells a side.
    """

    def __init__(self, cells: int = 0) -> None:
        super().__init__()
        if not 0 <= cells <= 100:
            raise ValueError(f"cells: expected 0 (as many as fit) to 100 a side, got {cells}")
        self.cells = cells

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """The next cell, or a guess."""
        side = self.cells or max(1, int((privileged.turn + privileged.turns_left - 1) ** 0.5))
        if "crop" not in privileged.tools or privileged.turns_left <= 1 or privileged.turn >= side * side:
            return guess(privileged, rng), "I have been everywhere I can go; I will guess."
        y, x = divmod(privileged.turn, side)
        box = (x / side, y / side, (x + 1) / side, (y + 1) / side)
        return crop(box), f"Next is cell {privileged.turn + 1} of {side * side}."


class Always(Scripted):
    """Answers every choice task with one letter, without a look: `always:B`, by default A; other tasks with a guess."""

    def __init__(self, argument: str = "") -> None:
        super().__init__()
        self.letter = argument or "A"
        if len(self.letter) != 1 or self.letter not in LETTERS:
            raise ValueError(f'always: expected a letter from A to Z, got "{argument}"')

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """The letter, whether or not the task has that many options."""
        return (answer(self.letter) if privileged.task.kind == "choice" else guess(privileged, rng)), "As always."


def guess(privileged: Privileged, rng: np.random.Generator) -> Call:
    """An uninformed final call: a random option, a random box, or "unknown"."""
    if privileged.task.kind == "box":
        low = rng.random(2) * 0.5
        return locate((float(low[0]), float(low[1]), float(low[0]) + 0.5, float(low[1]) + 0.5))
    if privileged.task.kind == "choice":
        return answer(privileged.task.letters[int(rng.integers(len(privileged.task.choices)))])
    return answer("unknown")


def true_call(privileged: Privileged) -> Call:
    """The right final call."""
    if privileged.task.kind == "box":
        return locate(next((target.box for target in wanted(privileged)), None))
    return answer(privileged.task.answer)


def wanted(privileged: Privileged) -> list[Target]:
    """The regions that matter: the task's, or where another agent asked for one, that of its task with the name."""
    if privileged.parent is None:
        return list(privileged.task.targets)
    asking = privileged.parent
    named = zip(called(asking.task), asking.task.targets, strict=True)
    here = [(name, target) for name, target in named if asking.sources[target.source] == privileged.sources[0]]
    asked = privileged.task.question.casefold()
    exact = [target for name, target in here if name == privileged.task.question]
    found = exact or [target for _, target in here if target.label and target.label.casefold() in asked]
    return [replace(target, source=0) for target in found[:1]]


def called(task: Task) -> list[str]:
    """A name for each target that no other has: its label, or that with its number."""
    labels = [target.label for target in task.targets]
    return [
        label if label and labels.count(label) == 1 else f"{label or 'region'} {number}"
        for number, label in enumerate(labels, start=1)
    ]
