from __future__ import annotations

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.reader import Reader
from o3gym.rewards.recipes import OUTCOME
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory

ENV = {
    "suite": "synthetic",
    "suite_args": {"family": "attribute+relation", "difficulty": "easy", "answers": "free", "pixels": 400_000},
    "min_pixels": 500,
    "max_pixels": 40_000,
    "max_turns": 6,
}


def play(policy: str, **env: object) -> list[Trajectory]:
    arm = Arm("arm", {**ENV, **env}, policy, "qwen3_vl")
    done = rollout([Job(i, f"g{i}", seed=i) for i in range(6)], make_policy(policy), make_dialect("qwen3_vl"), arm)
    return sorted(settle([list(done)], OUTCOME)[0], key=lambda one: one.group)


def verdicts(policy: str, **env: object) -> set[str]:
    return {trajectory.verdict for trajectory in play(policy, **env)}


def test_small_targets_need_a_look_and_large_ones_none() -> None:
    assert verdicts("reader?side=20", control="no_tool") == {"wrong"}
    assert verdicts("reader?side=20") == {"correct"}
    assert verdicts("reader?side=2", control="no_tool") == {"correct"}
    looks = [len(one.views) - 1 for one in play("reader?side=20")]
    assert looks == [len(one.task.targets) for one in play("reader?side=20")]


def test_looks_elsewhere_or_without_detail_do_not_help() -> None:
    assert verdicts("reader?side=20", control="random_crop") == {"wrong"}
    assert verdicts("reader?side=20", control="blank_crop") == {"wrong"}
    assert verdicts("reader?side=500") == {"wrong"}, "the picture itself does not have the detail"


def test_a_bad_side_is_refused() -> None:
    with pytest.raises(ValueError, match="side"):
        Reader(0)
