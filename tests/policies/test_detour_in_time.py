"""Detours in videos: clips at wrong times and too long ones, and the right answer in the end."""

from __future__ import annotations

from collections import Counter

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.geometry import overlap
from o3gym.policies.base import make_policy
from o3gym.policies.detour_in_time import CLOSE_CLIP
from o3gym.policies.looks_in_time import SHORTEST_LOOK
from o3gym.rewards.recipes import OUTCOME
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory


def play(policy: str, family: str = "event", count: int = 8, **env: object) -> list[Trajectory]:
    suite_args = {"family": family, "difficulty": "easy"}
    env = {"suite": "synthetic_video", "suite_args": suite_args, "overview_frames": 2, "max_turns": 8, **env}
    env |= {"max_pixels": 4_000, "min_pixels": 400}
    jobs = [Job(index, f"g{index}", seed=index) for index in range(count)]
    done = rollout(jobs, make_policy(policy), make_dialect("qwen3_vl"), Arm("arm", env, policy, "qwen3_vl"))
    return sorted(settle([list(done)], OUTCOME)[0], key=lambda t: int(t.group[1:]))


def kinds(trajectories: list[Trajectory]) -> Counter[str]:
    """How many clips missed the target, held it and much more, or were close to it."""
    found: Counter[str] = Counter()
    for trajectory in trajectories:
        time = trajectory.task.targets[0].time or (0.0, 0.0)
        for call in (turn.parsed.call for turn in trajectory.turns if turn.parsed.call.tool == "clip"):
            start, end = call.args["span"]
            close = end - start <= CLOSE_CLIP * max(time[1] - time[0], SHORTEST_LOOK)
            found["wrong" if not overlap((start, end), time) else "close" if close else "broad"] += 1
    return found


def test_the_answer_is_right_after_every_detour() -> None:
    trajectories = play("detour?p=0.8&max_detours=4")
    assert {(t.verdict, t.score) for t in trajectories} == {("correct", 1.0)}
    assert not [turn.error for t in trajectories for turn in t.turns if turn.error]
    found = kinds(trajectories)
    assert min(found["wrong"], found["broad"]) > 0
    assert found["close"] == len(trajectories)


def test_without_probability_there_is_one_clip_and_the_answer() -> None:
    trajectories = play("detour?p=0", count=3)
    assert kinds(trajectories) == {"close": 3}
    assert [len(t.turns) for t in trajectories] == [2, 2, 2]
    assert "lamp" in trajectories[0].turns[1].reply.text


@pytest.mark.parametrize(("policy", "most"), [("detour?p=1&max_detours=2", 5), ("detour?p=1&max_detours=9", 4)])
def test_detours_stay_within_their_number_and_the_turns(policy: str, most: int) -> None:
    for trajectory in play(policy, count=3, max_turns=5 if most == 5 else 4):
        assert trajectory.verdict == "correct"
        assert len(trajectory.turns) <= most


def test_every_moment_is_looked_at_and_pairs_are_compared() -> None:
    for trajectory in play("detour?p=0.3", "order", 2):
        looked = [turn.parsed.call.args["span"] for turn in trajectory.turns if turn.parsed.call.tool == "clip"]
        for target in trajectory.task.targets:
            assert any(overlap(span, target.time or (0.0, 0.0)) > 0 for span in looked)
    assert {t.verdict for t in play("detour?p=0.5", "pair", 2)} == {"correct"}


def test_without_clips_it_acts_like_the_oracle() -> None:
    tools = ["frames", "crop", "locate_span"]
    detour, oracle = (play(policy, count=2, tools=tools) for policy in ("detour?p=1", "oracle"))
    assert [[turn.reply.text for turn in t.turns] for t in detour] == [[u.reply.text for u in t.turns] for t in oracle]
