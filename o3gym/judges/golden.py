"""The judge of tasks with a rubric (see `o3gym.judges.rubric`) in runs without a model."""

from __future__ import annotations

from o3gym.judges.base import Judgement, failed
from o3gym.judges.rules import exact
from o3gym.types import Box, Task


def golden(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Judges as `exact` does, but an answer that differs from the reference answer has no verdict if there is a rubric.

    No rule can tell whether a long answer satisfies a rubric: that needs `rubric:MODEL`. An empty answer is wrong.
    """
    verdict = exact(task, answer)
    if verdict.verdict == "wrong" and answer.strip() and task.origin.get("rubric"):
        return failed("a rubric needs a model: --judge rubric:MODEL")
    return verdict
