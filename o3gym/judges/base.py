"""The judge interface: a judge decides whether an answer is right.

Verdicts are three-valued. "failed" means that the answer could not be judged, because the task has no ground truth or a
model judge broke down or gave an unreadable reply. A failed verdict never counts as "wrong": such an episode has no
reward at all.

Accepted answers are `Task.answer` and, if a task has several, the list `Task.origin["answers"]`. A task with
`Task.origin["ground_truth"]` set to False (for example, a question made up by an agent) has no ground truth and is
never sent to a judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from o3gym.registry import JUDGES
from o3gym.specs import build_plugin, parse_spec
from o3gym.types import Box, Task, Verdict

ReasoningAspect: TypeAlias = Literal["consistency", "process"]
"""What a judge of reasoning is asked: whether the thought leads to the answer, or whether its steps are sound."""


@dataclass(frozen=True)
class Judgement:
    """The decision of a judge.

    Attributes:
        verdict: "correct", "wrong" or "failed".
        score: the graded score in 0..1; None if and only if the verdict is "failed".
        reason: the reason in words, "" if there is nothing to explain.
    """

    verdict: Verdict
    score: float | None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in ("correct", "wrong", "failed"):
            raise ValueError(f'verdict: expected "correct", "wrong" or "failed", got {self.verdict!r}')
        if (self.verdict == "failed") != (self.score is None):
            raise ValueError(
                f'score: expected None exactly for the verdict "failed", got {self.score} for "{self.verdict}"'
            )
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score: expected a number in 0..1, got {self.score}")


class Judge(Protocol):
    """Judges one answer. `settle` calls a judge from many threads at once.

    A judge that waits (a model judge sends network requests) has an attribute `blocks` set to True, so that runs call
    it concurrently with the rollout. It may have a method `close`, which ends requests in flight with an error.
    """

    def __call__(self, task: Task, answer: str, located: Box | None) -> Judgement:
        """Judges `answer`, or in a region search the box `located` (None for "not in the picture" or no answer)."""
        ...


class JudgesReasoning(Protocol):
    """A judge that can also be asked about the reasoning behind an answer, which terms with scope "judge" need."""

    def reasoning(self, aspect: ReasoningAspect, task: Task, thought: str, answer: str) -> Judgement:
        """Judges a thought: "correct" if it has the property that is asked about, "failed" if that is not known."""
        ...


def make_judge(spec: str) -> Judge:
    """Builds a judge from a spec: "auto", "anls", or "openai:MODEL?key=value" for a judge with a model or settings.

    A registered class is built as `cls(argument, **options)`. Any other registry entry is the judge itself and takes
    neither an argument nor options.

    Raises:
        UnknownName: no such judge.
        ValueError: an argument or options for a judge that takes none.
    """
    name, argument, options = parse_spec(spec)
    entry = JUDGES[name]
    if isinstance(entry, type):
        made: Judge = build_plugin("judge", name, entry, argument, **options)
        return made
    if argument or options:
        raise ValueError(f'judge: "{name}" takes no argument and no options, got "{spec}"')
    judge: Judge = entry
    return judge


def has_truth(task: Task) -> bool:
    """Whether the task has ground truth: an accepted answer or, by its kind, a target.

    A region search without a target has ground truth, too: what it asks for is not in the picture.
    """
    if task.origin.get("ground_truth") is False:
        return False
    if task.kind == "span":
        return any(target.time is not None for target in task.targets)
    return task.kind == "box" or bool(references(task))


def references(task: Task) -> tuple[str, ...]:
    """The accepted answers, without duplicates and blank ones."""
    others = task.origin.get("answers")
    listed = [other for other in others if isinstance(other, str)] if isinstance(others, (list, tuple)) else []
    return tuple(dict.fromkeys(answer for answer in [task.answer, *listed] if answer.strip()))


def failed(reason: str) -> Judgement:
    """A "failed" judgement: the answer cannot be judged."""
    return Judgement("failed", None, reason)


def decided(correct: bool, reason: str = "") -> Judgement:
    """A judgement that is correct with score 1 or wrong with score 0."""
    return Judgement("correct" if correct else "wrong", float(correct), reason)
