"""Reward terms that cannot be computed in a run: one line on stderr, with their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import page, run
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.types import Trajectory

SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"min_pixels": 1000, "max_pixels": 40_000}


def broken(trajectory: Any) -> Any:
    raise ArithmeticError("a bug")


def ones(siblings: list[Trajectory]) -> list[float]:
    return [1.0] * len(siblings)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "could not be computed" in record.message]


@pytest.mark.parametrize(
    ("terms", "count", "names"),
    [
        ((Term("mad", "trajectory", broken, "t"),), "4 reward values", 'reward term "mad" 4'),
        ((Term("mad", "group", broken, "t"),), "2 reward values", 'reward term "mad" 2'),
        (
            (Term("mad", "trajectory", broken, "t"), Term("fine", "group", ones, "t")),
            "4 reward values",
            'reward term "mad" 4',
        ),
    ],
    ids=["episodes", "groups", "both"],
)
def test_a_run_counts_them_in_one_line(
    terms: tuple[Term, ...], count: str, names: str, register: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register(REWARDS, "mad", RewardRecipe("mad", terms, lambda values: sum(values.values()), "test"))
    bench = Bench(policies=("oracle",), suite_args=SMALL, env=ENV, episodes=2, k=2, reward="mad")
    run(bench, tmp_path / "run")
    (line,) = messages(caplog)
    assert line.startswith(f"{count} could not be computed ({names}): ")
    caplog.clear()
    page(tmp_path / "run")
    assert messages(caplog) == []
