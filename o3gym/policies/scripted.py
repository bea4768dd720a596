"""Policies without a model, for baselines and tests. They write in whichever dialect the episode uses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from o3gym.calls import answer, answer_with_span, crop, locate, locate_span, search
from o3gym.geometry import coverage, surround
from o3gym.media.videos import timeline_of
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Privileged, Request
from o3gym.policies.looks_in_time import first_video_of, look_in_time, tools_in_time
from o3gym.policies.solving_code import slipped, solving_call
from o3gym.types import LETTERS, Call, Reply, Target, Task, View

SHOWN_SHARE = 0.7
"""Share of a target's area that a view must show for the target to count as seen."""
SHARP = 0.5
"""Minimum width of such a view as shown, as a share of its region's native width.

A large part of a picture that is shown small tells no more than the picture itself; if it counted, a searcher that
looks nowhere in particular would be helpful by chance.
"""


class Scripted(Policy):
    """Base class of scripted policies: chooses a call from privileged information and writes it in the dialect.

    A reply depends on its request alone, so that scripted runs are reproducible whatever else is in flight.
    """

    privileged: ClassVar[bool] = True

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Returns one reply per request."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        privileged = request.privileged
        if privileged is None:
            raise ValueError(
                f"{type(self).__name__} needs the ground truth in Request.privileged; run it with o3gym.rollout.rollout"
            )
        return written(request, *self.choose(privileged, np.random.default_rng(request.sampling.seed)))

    @abstractmethod
    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns the next call and the thought to write before it."""


def written(request: Request, call: Call, thought: str) -> Reply:
    """Returns the reply to a privileged request that writes a call in the dialect of the episode.

    Raises:
        ValueError: the dialect cannot express the call.
    """
    privileged = request.privileged
    assert privileged is not None
    text = privileged.dialect.format(call, privileged.views, thought)
    messages = request.dialogue.messages
    begun = bool(messages) and messages[-1].role == "inline"
    return Reply(privileged.dialect.continued(text) if begun else text)


class Random(Scripted):
    """Makes random calls, and in each turn gives a random answer with probability `stop`; the last turn always answers.

    Args:
        stop: probability of answering in a turn, from 0 to 1.
    """

    def __init__(self, stop: float = 0.25) -> None:
        super().__init__()
        if not 0.0 <= stop <= 1.0:
            raise ValueError(f"stop: expected a probability from 0 to 1, got {stop}")
        self.stop = stop

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns a random call or a guess."""
        looks = [t for name, t in privileged.tools.items() if not t.ends and name in privileged.dialect.tools]
        if not looks or privileged.turns_left <= 1 or rng.random() < self.stop:
            return guess(privileged, rng), "I will guess."
        tool = looks[int(rng.integers(len(looks)))]
        duration, n_frames = _length(privileged)
        args = {key: arg.sample(rng, len(privileged.views), duration, n_frames) for key, arg in tool.args.items()}
        return Call(tool.name, args), "I will look somewhere."


class Oracle(Scripted):
    """Looks at each target, then gives the right answer: an upper bound, and a source of demonstrations.

    If the tool "code" is enabled and the task comes with a program that solves it, it runs the program instead, after
    `slips` attempts that forget to open the picture and fail, as demonstrations of mending one's code.

    Of a pair of videos, it also says which is better in each dimension, in dialects that have such judgements.

    As a reasoner, which can delegate a search but has no crop tool, it asks for each target by name. As the searcher in
    a delegated episode, it finds the target of that name.

    Args:
        slips: number of failing programs before the right one, as far as the turns suffice.
    """

    def __init__(self, slips: int = 0) -> None:
        super().__init__()
        if type(slips) is not int or slips < 0:
            raise ValueError(f"slips: expected a whole number of at least 0, got {slips}")
        self.slips = slips

    def _reply(self, request: Request) -> Reply:
        reply, privileged = super()._reply(request), request.privileged
        assert privileged is not None
        dimensions = privileged.task.origin.get("dimensions")
        return replace(reply, text=privileged.dialect.compared(reply.text, dimensions)) if dimensions else reply

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns the program of the task or a look at the next target, or the answer."""
        targets, done = wanted(privileged), privileged.turn
        if (program := solving_call(privileged)) is not None and privileged.turns_left > 1:
            slips = min(self.slips, done + privileged.turns_left - 2)  # the program and the answer need a turn each
            if done > slips:
                return true_call(privileged), "Now it is clear."
            mending = "I forgot to open the picture, so the code failed. Once more."
            return slipped(program) if done < slips else program, mending if done else "I cannot tell by sight."
        if done >= len(targets) or privileged.turns_left <= 1:
            return true_call(privileged), "Now it is clear."
        target = targets[done]
        what = f" at the {target.label}" if target.label else ""
        if target.time is not None and (look := look_in_time(privileged, target.source, target.time)) is not None:
            return look, f"I need a closer look{what}."
        if "crop" in privileged.tools:
            return crop(surround(target.box), target.source), f"I need a closer look{what}."
        if "search" in privileged.tools:
            return search(called(privileged.task)[done], target.source), f"I need a closer look{what}."
        return true_call(privileged), "Now it is clear."


class Asker(Scripted):
    """A reasoner that searches for each target until a view shows it, then answers correctly; otherwise it guesses.

    It knows the answer but gives it only if its views show all targets (`SHOWN_SHARE`, `SHARP`), so its accuracy
    measures the searcher's: `two_agent(reasoner=asker, searcher=P)`. It rates each search by whether the search showed
    the requested target.

    Args:
        tries: maximum number of searches per target.
        noise: probability that a rating is flipped.
    """

    def __init__(self, tries: int = 2, noise: float = 0.0) -> None:
        super().__init__()
        if type(tries) is not int or tries < 1:
            raise ValueError(f"tries: expected a whole number of at least 1, got {tries}")
        if not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise: expected a probability from 0 to 1, got {noise}")
        self.tries, self.noise = tries, noise

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns a search for the first target that no view shows yet, or the final call."""
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
        if privileged.turn == 0:  # there is no search to rate yet
            return replace(reply, text=privileged.dialect.rated(reply.text, "NA"))
        _, _, helpful = _progress(privileged)
        # a stream of its own, so that `noise` flips ratings without changing the calls
        helpful ^= np.random.default_rng([request.sampling.seed, 1]).random() < self.noise
        return replace(reply, text=privileged.dialect.rated(reply.text, "helpful" if helpful else "unhelpful"))


def _progress(privileged: Privileged) -> tuple[list[int], int, bool]:
    """Replays the episode's searches.

    Returns:
        The indices of the targets not seen yet, the number of failed searches for the first of them, and whether the
        last search showed the target that it was sent for.
    """
    targets = privileged.task.targets
    unseen, failed, helpful = list(range(len(targets))), 0, False
    for indices in privileged.brought:
        views = [privileged.views[index] for index in indices]
        remaining = [i for i in unseen if not any(_shows(view, targets[i]) for view in views)]
        helpful = remaining[:1] != unseen[:1]
        unseen, failed = remaining, 0 if helpful else failed + 1
    return unseen, failed, helpful


def _shows(view: View, target: Target) -> bool:
    """Whether a view shows most of a target sharply; neither the whole picture nor a small rendering of a part does."""
    sharp = view.parent >= 0 and view.shown[0] >= SHARP * view.native[0]
    return sharp and view.source == target.source and coverage(view.box, target.box) >= SHOWN_SHARE


class Sweep(Scripted):
    """Looks at the cells of a regular grid row by row, then guesses: a search that ignores what it sees.

    Of a video, it looks at one interval after another, all of the same length.

    Args:
        cells: cells per side of the grid; 0 for the finest square grid that leaves one turn for the guess. A video is
            cut into `cells`² clips, or into as many as leave one turn.
    """

    def __init__(self, cells: int = 0) -> None:
        super().__init__()
        if not 0 <= cells <= 100:
            raise ValueError(f"cells: expected a whole number from 0 (as many as fit) to 100, got {cells}")
        self.cells = cells

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns a look at the next cell, or a guess."""
        video = first_video_of(privileged)
        if video is not None and tools_in_time(privileged):
            return self._next_clip(privileged, video, rng)
        side = self.cells or max(1, int((privileged.turn + privileged.turns_left - 1) ** 0.5))
        if "crop" not in privileged.tools or privileged.turns_left <= 1 or privileged.turn >= side * side:
            return guess(privileged, rng), "I have been everywhere I can go; I will guess."
        y, x = divmod(privileged.turn, side)
        box = (x / side, y / side, (x + 1) / side, (y + 1) / side)
        return crop(box), f"Next is cell {privileged.turn + 1} of {side * side}."

    def _next_clip(self, privileged: Privileged, video: int, rng: np.random.Generator) -> tuple[Call, str]:
        count = self.cells**2 or max(1, privileged.turn + privileged.turns_left - 1)
        part = _length(privileged)[0] / count
        start = privileged.turn * part
        look = look_in_time(privileged, video, (start, start + part), shortest=0.0)
        if look is None or privileged.turns_left <= 1 or privileged.turn >= count:
            return guess(privileged, rng), "I have been everywhere I can go; I will guess."
        return look, f"Next is clip {privileged.turn + 1} of {count}."


class Always(Scripted):
    """Answers every choice task with the same letter without looking, and guesses in other tasks.

    Args:
        argument: the letter, for example `always:B`; A by default.
    """

    def __init__(self, argument: str = "") -> None:
        super().__init__()
        self.letter = argument or "A"
        if len(self.letter) != 1 or self.letter not in LETTERS:
            raise ValueError(f'always: expected a letter from A to Z, got "{argument}"')

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns the letter, whether or not the task has that many options."""
        return (answer(self.letter) if privileged.task.kind == "choice" else guess(privileged, rng)), "As always."


def guess(privileged: Privileged, rng: np.random.Generator) -> Call:
    """Returns an uninformed final call: a random option, box or interval, or the text "unknown"."""
    if privileged.task.kind == "span":
        return locate_span(*_random_half(privileged, rng))
    if privileged.task.kind == "box":
        low = rng.random(2) * 0.5
        return locate((float(low[0]), float(low[1]), float(low[0]) + 0.5, float(low[1]) + 0.5))
    text = "unknown"
    if privileged.task.kind == "choice":
        text = privileged.task.letters[int(rng.integers(len(privileged.task.choices)))]
    if "answer_with_span" in privileged.tools and "answer" not in privileged.tools:
        return answer_with_span(text, *_random_half(privileged, rng))
    return answer(text)


def _random_half(privileged: Privileged, rng: np.random.Generator) -> tuple[float, float]:
    """A random interval of half the length of the first video."""
    half = _length(privileged)[0] / 2
    start = float(rng.random()) * half
    return start, start + half


def _length(privileged: Privileged) -> tuple[float, int]:
    """The length of the first video in seconds and in frames; 1 and 1 if there is none."""
    timelines = [timeline_of(source) for source in privileged.task.sources if source.duration is not None]
    return (timelines[0].duration, len(timelines[0])) if timelines else (1.0, 1)


def true_call(privileged: Privileged) -> Call:
    """Returns the correct final call."""
    if privileged.task.kind == "box":
        return locate(next((target.box for target in wanted(privileged)), None))
    spans = [target.time for target in privileged.task.targets if target.time is not None]
    if privileged.task.kind == "span" and spans:
        return locate_span(*spans[0])
    if "answer_with_span" in privileged.tools and spans:
        return answer_with_span(privileged.task.answer, *spans[0])
    return answer(privileged.task.answer)


def wanted(privileged: Privileged) -> list[Target]:
    """Returns the targets to find: the task's own, or in a delegated episode the parent's target that is asked for.

    A delegated task has no targets, so its description is matched against the names of the parent's targets in the
    same picture: an exact match of the name (see `called`) first, then a label that occurs in the description.
    """
    parent = privileged.parent
    if parent is None:
        return list(privileged.task.targets)
    named = zip(called(parent.task), parent.task.targets, strict=True)
    candidates = [(name, target) for name, target in named if parent.sources[target.source] == privileged.sources[0]]
    description = privileged.task.question.casefold()
    exact = [target for name, target in candidates if name == privileged.task.question]
    by_label = [target for _, target in candidates if target.label and target.label.casefold() in description]
    # source 0: a delegated task holds the searched picture alone
    return [replace(target, source=0) for target in (exact or by_label)[:1]]


def called(task: Task) -> list[str]:
    """Returns a unique name for each target: its label, or the label and a number if other targets share it."""
    labels = [target.label for target in task.targets]
    return [
        label if label and labels.count(label) == 1 else f"{label or 'region'} {number}"
        for number, label in enumerate(labels, start=1)
    ]
