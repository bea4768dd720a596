"""Pixel Reasoner: calls and the rewards of groups agree with the released code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.envs.episode import Episode
from o3gym.policies.local.processors import smart_size
from o3gym.registry import REWARDS
from o3gym.rewards import exploration
from o3gym.train.grpo.advantages import uniform
from o3gym.types import Size, Task, Trajectory
from tests.rewards.reward_episodes import FULL, PICTURE, episode, look, mistake, task
from tests.vectors.loading import Compared, Vector, agree, vectors
from tests.vectors.replay import Replay, picture, rules_of

LEAST, MOST = 4 * 28 * 28, 1000 * 28 * 28
"""The pixel limits of crops in the released training code."""


def reasoner(vector: Vector) -> Replay:
    """An episode in which the picture is shown as it is and crops as the system's processor shows them."""
    size = tuple(vector["size"])
    rules = rules_of(
        tools=("crop", "answer"), size_rule="pixel_reasoner", max_turns=5, min_pixels=1, max_pixels=100_000_000
    )
    replay = Replay(make_dialect("pixel_reasoner?frame=released"), size, rules)
    task = Task("vector", (picture(size),), "What does the sign say?", "A")

    def vision_size(width: int, height: int) -> Size:
        whole = not hasattr(replay, "episode") or (width, height) == size
        return (width, height) if whole else smart_size((width, height), 28, LEAST, MOST)

    replay.episode = Episode(task, rules, vision_size)
    return replay


def turns(vector: Vector) -> tuple[list[Any], int]:
    """Our turns in the form of the vectors, and the number of calls that the curiosity term counts."""
    replay, result = reasoner(vector), list[Any]()
    for text in vector["replies"]:
        turn = replay.take(text)
        assert turn is not None
        if replay.ended:
            result.append(["end"])
            break
        view = replay.episode.views[turn.views[0]] if turn.views else None
        result.append(["error"] if view is None else ["crop", replay.pixels(view), list(view.shown)])
    return result, len(exploration.tried(replay.trajectory()))


def test_calls() -> None:
    compared = []
    for number, vector in enumerate(vectors("pixel_reasoner_calls")):
        ours, calls = turns(vector)
        assert (calls == vector["calls"]) or ours != vector["turns"]
        for turn, (mine, theirs) in enumerate(zip(ours, vector["turns"], strict=True)):
            compared.append(Compared(number, vector["kind"] if turn + 1 == len(ours) else "first", mine, theirs))
    agree("pixel_reasoner_calls", compared)


def rollout(correctness: float, calls: int, failed: bool, video: bool) -> Trajectory:
    """An episode with a verdict, a number of calls, and whether the last of them failed."""
    asked = replace(task(), sources=(replace(PICTURE, duration=10.0),)) if video else task()
    looks = [look(FULL)] * (calls - 1) + [mistake() if failed else look(FULL)] if calls else []
    said = {1.0: "B", 0.0: "A", -1.0: " "}[correctness]
    return episode(asked, *looks, said=said)


def test_groups() -> None:
    recipe = REWARDS["pixel_reasoner"]
    for vector in vectors("pixel_reasoner_groups"):
        rows = zip(vector["correctness"], vector["calls"], vector["last_failed"], strict=True)
        group = [rollout(*row, vector["video"]) for row in rows]
        bonuses = exploration.curiosity(group)
        rewards = [
            recipe.combine({"pixel_accuracy": exploration.pixel_accuracy(one), "curiosity": bonus})
            for one, bonus in zip(group, bonuses, strict=True)
        ]
        assert rewards == pytest.approx(vector["rewards"], abs=1e-6)
        assert uniform(rewards, ["group"] * len(rewards)).tolist() == [bool(vector["uniform"])] * len(rewards)
