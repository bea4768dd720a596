"""Terms with scope "judge": which judges can be asked about reasoning, and what becomes of terms without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from o3gym.judges.base import Judge, JudgesReasoning
from o3gym.registry import JUDGES, REWARDS
from o3gym.rewards.base import RewardError, Term
from o3gym.specs import parse_spec
from o3gym.types import Trajectory

_NEEDED = 'needs a judge that reads reasoning, such as "reasoning:MODEL"'


def reader_of(judge: Judge | None) -> JudgesReasoning | None:
    """The judge if it can be asked about reasoning, else None."""
    return cast(JudgesReasoning, judge) if callable(getattr(judge, "reasoning", None)) else None


def judged_value(trajectory: Trajectory, term: Term, judge: Judge | None, known: Mapping[str, float]) -> float:
    """Asks the judge for the value of a term; without a judge that reads reasoning, returns the known value.

    Raises `RewardError` if there is neither, or if the judge reaches no verdict.
    """
    reader = reader_of(judge)
    if reader is not None:
        return term.value(trajectory, reader)
    if term.name not in known:
        raise RewardError(f'reward term "{term.name}" {_NEEDED}')
    return known[term.name]


def require_reasoning_judge(reward: str, judge: str) -> None:
    """Checks that a judge can be asked what a reward needs, before anything is played.

    Args:
        reward: name of the reward.
        judge: spec of the judge, "" for rules.

    Raises:
        ValueError: the reward has a term with scope judge, and the judge reads no reasoning.
        UnknownName: there is no such reward or judge.
    """
    entry = JUDGES[parse_spec(judge)[0]] if judge else None
    if REWARDS[reward].needs_reasoning_judge and not callable(getattr(entry, "reasoning", None)):
        raise ValueError(f'judge: the reward "{reward}" {_NEEDED}, got "{judge}"')
