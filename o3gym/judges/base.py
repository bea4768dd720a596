"""What a judge is: something that says whether an answer is right.

A judge is three-valued. "failed" means that nobody could tell: the task has no ground truth, or a model judge broke
down or answered something unreadable. It is never counted as "wrong": such an episode has no reward at all.

Accepted answers are `Task.answer` and, where a task has several, the list `Task.origin["answers"]`. A task with
`Task.origin["ground_truth"]` set to False (a question that an agent made up, say) has none: no judge is asked about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from o3gym.registry import JUDGES, build_plugin, parse_spec
from o3gym.types import Box, Task, Verdict


@dataclass(frozen=True)
class Judgement:
    """What a judge says.

    Attributes:
        verdict: "correct", "wrong" or "failed".
        score: the graded score in 0..1; None exactly when failed.
        reason: why, in words.
    """

    verdict: Verdict
    score: float | None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in ("correct", "wrong", "failed"):
            raise ValueError(f'verdict must be "correct", "wrong" or "failed", got {self.verdict!r}')
        if (self.verdict == "failed") != (self.score is None):
            raise ValueError(f"score must be None exactly when the judge failed, got {self.verdict} with {self.score}")
        if self.score is not None and not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score must be in 0..1, got {self.score}")


class Judge(Protocol):
    """Decides about one answer. `settle` calls many at once.

    One that waits for something (a model judge asks over the network) has an attribute `blocks`, which is true, so that
    runs ask it beside the rollout, and may have a method `close`, which ends what is in flight with an error.
    """

    def __call__(self, task: Task, answer: str, located: Box | None) -> Judgement:
        """Judge `answer`, or the box `located` of a region search (None for "not in the picture" and for no answer)."""
        ...


def make_judge(spec: str) -> Judge:
    """A judge by name: "auto", "anls", or "openai:MODEL?key=value" for judges that need a model or settings.

    A registered class is built as `cls(argument, **options)`; anything else is the judge itself and takes neither.
    """
    name, argument, options = parse_spec(spec)
    entry = JUDGES[name]
    if isinstance(entry, type):
        made: Judge = build_plugin("judge", name, entry, argument, **options)
        return made
    if argument or options:
        raise ValueError(f'judge "{name}" takes no argument and no options, got "{spec}"')
    judge: Judge = entry
    return judge


def has_truth(task: Task) -> bool:
    """Whether there is anything to judge against: accepted answers, or targets (none mean "absent") for a box."""
    if task.origin.get("ground_truth") is False:
        return False
    return task.kind == "box" or bool(references(task))


def references(task: Task) -> tuple[str, ...]:
    """The accepted answers, without repetition."""
    others = task.origin.get("answers")
    listed = [other for other in others if isinstance(other, str)] if isinstance(others, (list, tuple)) else []
    return tuple(dict.fromkeys(answer for answer in [task.answer, *listed] if answer.strip()))


def failed(reason: str) -> Judgement:
    """Nobody can tell whether the answer is right."""
    return Judgement("failed", None, reason)


def decided(correct: bool, reason: str = "") -> Judgement:
    """Correct with score 1 or wrong with score 0."""
    return Judgement("correct" if correct else "wrong", float(correct), reason)
