"""The moves of searches, and how often they occur."""

from __future__ import annotations

from typing import Any

import pytest

from o3gym.calls import answer, clip, crop, reuse
from o3gym.dialects.base import make_dialect
from o3gym.rollout.performing import Act, Script, perform
from o3gym.rollout.records import Arm
from o3gym.suites.base import make_suite
from o3gym.synthesis.traces.diversity import diversity, moves
from o3gym.types import Call, Task, Trajectory

SUITE: dict[str, Any] = {"family": "attribute", "difficulty": "easy", "pixels": 60_000}
ENV: dict[str, Any] = {"suite_args": SUITE, "min_pixels": 1024, "max_pixels": 4096, "max_turns": 8}
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def performed(*calls: Call, sample: int = 0, task: Task | None = None, **env: Any) -> Trajectory:
    """An episode of these calls, which ends with an answer."""
    acts = [*(Act(call, f"thought {n}") for n, call in enumerate(calls)), Act(answer("A"), "so")]
    script = Script(task or make_suite("synthetic", **SUITE)[0], tuple(acts), "g", sample)
    (trajectory,) = perform([script], Arm("", {**ENV, **env}), make_dialect("qwen3_vl"))
    assert trajectory.stop == "answered", trajectory.turns[-1].reply.error
    return trajectory


COURSES: dict[str, tuple[list[Call], list[str]]] = {
    "a look": ([crop(LEFT)], ["crop"]),
    "deeper and deeper": ([crop(LEFT), crop(LEFT, 1), crop(RIGHT, 2)], ["crop", "crop deeper", "crop deeper"]),
    "the same part, named in the whole picture": ([crop(LEFT), crop((0.1, 0.2, 0.4, 0.6))], ["crop", "crop deeper"]),
    "elsewhere": ([crop(LEFT), crop(RIGHT)], ["crop", "crop elsewhere"]),
    "back to the whole": ([crop(LEFT), reuse(0), crop(RIGHT)], ["crop", "reuse back", "crop"]),
    "back to an earlier view": ([crop(LEFT), crop(LEFT, 1), reuse(1)], ["crop", "crop deeper", "reuse back"]),
    "after a refusal": ([crop(LEFT, 7), crop(LEFT)], ["crop refused", "crop after a refusal"]),
    "deeper after a refusal": (
        [crop(LEFT), crop(LEFT, 7), crop(LEFT, 1)],
        ["crop", "crop refused", "crop deeper after a refusal"],
    ),
    "nothing": ([], []),
}


@pytest.mark.parametrize("name", COURSES)
def test_each_turn_has_its_move(name: str) -> None:
    calls, expected = COURSES[name]
    assert list(moves(performed(*calls))) == [*expected, "answer"]


def test_an_answer_after_a_refusal_is_no_search_after_one() -> None:
    assert list(moves(performed(crop(LEFT, 7)))) == ["crop refused", "answer"]


def test_in_a_video_times_are_what_a_search_goes_through() -> None:
    args: dict[str, Any] = {"family": "glimpse", "n": 2}
    task = make_suite("synthetic_video", **args)[0]
    length = task.sources[0].duration
    assert length is not None
    early, inside, late = clip(0.0, length / 2), clip(length / 8, length / 4), clip(length / 2, length)
    tools = ["clip", "answer"]
    trajectory = performed(early, inside, late, task=task, suite="synthetic_video", suite_args=args, tools=tools)
    assert list(moves(trajectory)) == ["clip", "clip deeper", "clip elsewhere", "answer"]


def test_episodes_are_counted() -> None:
    episodes = [
        performed(crop(LEFT), crop(LEFT, 1), sample=0),
        performed(crop(RIGHT), crop(LEFT, 1), sample=1),
        performed(crop(LEFT), crop(RIGHT), crop(LEFT, 9), crop(LEFT), sample=2),
    ]
    found = diversity(episodes)
    assert found.to_json() == {
        "episodes": 3,
        "turns": {"3": 2, "5": 1},
        "mean_turns": 3.667,
        "tools": {"crop": 8, "answer": 3},
        "patterns": {"deeper": 2, "elsewhere": 1, "back": 0, "after a refusal": 1},
        "distinct_courses": 0.667,
        "distinct_thoughts": 0.455,
    }
    assert found.lines()[2] == "patterns  deeper 67%, elsewhere 33%, back 0%, after a refusal 33% of the episodes"


def test_nothing_has_no_shares() -> None:
    found = diversity([])
    assert (found.to_json()["distinct_courses"], found.lines()) == (0.0, [])
