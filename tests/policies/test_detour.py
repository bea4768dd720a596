"""Detours: they happen, they are talked about, and the answer is right in the end."""

from __future__ import annotations

from collections import Counter

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.geometry import coverage
from o3gym.policies.base import make_policy
from o3gym.rewards.recipes import OUTCOME
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory

ENV = {"suite": "synthetic", "suite_args": {"pixels": 60_000}, "min_pixels": 500, "max_pixels": 10_000, "max_turns": 8}


def play(policy: str, count: int = 14, dialect: str = "qwen3_vl", **env) -> list[Trajectory]:
    arm = Arm("arm", {**ENV, **env}, policy, dialect)
    jobs = [Job(index, f"g{index}", seed=index) for index in range(count)]
    done = rollout(jobs, make_policy(policy), make_dialect(dialect), arm)
    return sorted(settle([list(done)], OUTCOME)[0], key=lambda t: int(t.group[1:]))


def kinds(trajectories: list[Trajectory]) -> Counter[str]:
    """How often a look held no target, held one from afar, or was a return to the whole picture."""
    found: Counter[str] = Counter()
    for trajectory in trajectories:
        for view in trajectory.views[len(trajectory.task.sources) :]:
            seen = max((coverage(view.box, target.box) for target in trajectory.task.targets), default=0.0)
            found["back" if view.box == (0, 0, 1, 1) else "wrong" if seen < 0.5 else "right"] += 1
    return found


@pytest.mark.parametrize("dialect", ["qwen3_vl", "mini_o3", "simple_o3", "pixel_reasoner", "deepeyes"])
def test_the_answer_is_right_after_every_detour(dialect: str) -> None:
    tools = ["crop", "reuse", "answer", "locate"]
    tools = [name for name in tools if name in make_dialect(dialect).tools]
    suite_args = {"pixels": 60_000, "family": "relation"}
    trajectories = play("detour?p=0.7", 8, dialect, tools=tools, suite_args=suite_args)
    assert {trajectory.verdict for trajectory in trajectories} == {"correct"}
    assert all(not turn.error for trajectory in trajectories for turn in trajectory.turns)
    assert max(len(trajectory.turns) for trajectory in trajectories) > 3


def test_all_kinds_of_detours_happen_and_none_without_probability() -> None:
    found = kinds(play("detour?p=0.8&max_detours=5", 28))
    assert min(found["back"], found["wrong"], found["right"]) > 0
    assert kinds(play("detour?p=0"))["wrong"] == 0


def test_detours_stay_within_their_number_and_the_turns() -> None:
    for trajectory in play("detour?p=1&max_detours=2"):
        assert len(trajectory.turns) <= len(trajectory.task.targets) + 1 + 2 + 1  # a region too large costs one more
    for trajectory in play("detour?p=1&max_detours=9", max_turns=4):
        assert trajectory.verdict == "correct"


def test_the_same_seed_makes_the_same_detours() -> None:
    first, second = ([[turn.reply.text for turn in t.turns] for t in play("detour", 6)] for _ in range(2))
    assert first == second


def test_thoughts_say_what_the_last_view_showed() -> None:
    thoughts = [turn.parsed.thought for t in play("detour?p=0.8&max_detours=5", 28) for turn in t.turns[1:]]
    assert any("not here" in thought or "wrong place" in thought for thought in thoughts)
    assert any("go closer within" in thought or "further here" in thought for thought in thoughts)
    assert not any("{" in thought for thought in thoughts)


@pytest.mark.parametrize(("policy", "words"), [("detour?p=2", "p: expected"), ("detour?max_detours=-1", "max_detours")])
def test_options_are_checked(policy: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_policy(policy)
