"""Scripted looks at videos, in dialects that have clips, frames, or neither."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from o3gym.calls import clip, crop, frames, locate_span
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import Privileged
from o3gym.policies.scripted import Oracle
from o3gym.registry import TIME_RULES
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import FULL, Call, Source, Target, Task, Trajectory

FILM = {"family": "event", "difficulty": "easy", "seed": 1, "seconds": 20.0, "fps": 2.0}
VIDEO = Source("generated", "synthetic_video", FILM, duration=20.0)


def chosen(span: tuple[float, float], tools: str, dialect_tools: str = "clip frames crop", turn: int = 0) -> Call:
    task = Task("t", (VIDEO,), "When?", targets=(Target(FULL, label="lamp", time=span),), kind="span")
    dialect: Any = SimpleNamespace(tools=tuple(dialect_tools.split()), format=lambda *_: "")
    enabled: Any = dict.fromkeys(tools.split())
    call, _ = Oracle().choose(Privileged(task, (VIDEO,), (), enabled, dialect, turn, 3), None)  # type: ignore[arg-type]
    return call


@pytest.mark.parametrize(
    ("tools", "dialect_tools", "expected"),
    [
        ("clip frames crop", "clip frames crop", clip(4.0, 8.0)),
        ("clip frames crop", "frames crop", frames([8, 9, 10, 11, 12, 13, 14, 15])),  # the dialect has no clip
        ("frames crop", "clip frames crop", frames([8, 9, 10, 11, 12, 13, 14, 15])),
        ("crop", "clip frames crop", crop(FULL)),
    ],
)
def test_it_looks_with_what_the_dialect_has(tools: str, dialect_tools: str, expected: Call) -> None:
    assert chosen((4.0, 8.0), tools, dialect_tools) == expected
    assert chosen((4.0, 8.0), tools, dialect_tools, turn=1) == locate_span(4.0, 8.0)


@pytest.mark.parametrize(
    ("span", "seen"),
    [((4.0, 4.5), (3.5, 5.0)), ((0.0, 0.5), (0.0, 1.5)), ((19.5, 20.0), (18.5, 20.0)), ((4.0, 5.5), (4.0, 5.5))],
)
def test_a_short_interval_is_looked_at_with_what_is_around_it(span: Any, seen: Any) -> None:
    """VITAL refuses clips of up to a second."""
    assert chosen(span, "clip") == clip(*seen)


def test_it_asks_for_at_most_eight_frames() -> None:
    assert chosen((0.0, 20.0), "frames") == frames([0, 5, 10, 15, 20, 25, 30, 35])
    assert chosen((4.0, 4.5), "frames") == frames([7, 8, 9])


def test_it_counts_evenly_spaced_frames_through_both_videos() -> None:
    """Each 48th of 20 seconds is 0.417 s: numbers 10 to 19 of the first video, or 58 to 67 of the second."""
    targets = tuple(Target(FULL, source, time=(4.0, 8.0)) for source in range(2))
    task = Task("t", (VIDEO, VIDEO), "Which?", "A", ("first", "second"), targets, "choice")
    dialect: Any = SimpleNamespace(tools=("sampled_frames",), format=lambda *_: "")
    tools: Any = {"sampled_frames": None}
    calls = [Oracle().choose(Privileged(task, (), (), tools, dialect, turn, 3), None)[0] for turn in range(2)]  # type: ignore[arg-type]
    assert [call.args["numbers"] for call in calls] == [[10, 12, 14, 16, 18], [58, 60, 62, 64, 66]]


def test_it_judges_pairs_in_each_dimension_where_the_dialect_does() -> None:
    env = {"suite": "synthetic_video", "suite_args": {"family": "pair", "difficulty": "easy", "seconds": 8}}
    env |= {"tools": ["sampled_frames", "answer"], "time_rule": "vr_thinker", "max_turns": 3}
    jobs = [Job(index, f"g{index}", 0, seed=0) for index in range(3)]
    played = collect(rollout(jobs, make_policy("oracle"), make_dialect("vr_thinker"), Arm("a", env)))
    assert [each.reward for (each,) in settle(played, "vr_thinker")] == [3.0] * 3
    assert not [turn.error for (each,) in played for turn in each.turns if turn.error]
    assert min(len(each.turns) for (each,) in played) > 1


@pytest.mark.parametrize("spec", ["vital", "longvt", "pixel_reasoner", "frame_thinker", "qwen3_vl"])
def test_it_answers_where_a_dialect_names_the_first_video_only(spec: str) -> None:
    played = _played("oracle", spec, {"family": "pair", "difficulty": "easy", "seconds": 8}, "o3gym")
    assert [each.verdict for each in played] == ["correct"] * 3
    assert not [turn.error for each in played for turn in each.turns if turn.error]


@pytest.mark.parametrize("spec", ["vital", "vr_thinker", "frame_thinker", "pixel_reasoner", "reel"])
def test_a_sweep_looks_at_one_interval_after_the_other(spec: str) -> None:
    rule = spec if spec in TIME_RULES else "o3gym"
    for trajectory in _played("sweep", spec, {"family": "glimpse", "difficulty": "easy"}, rule):
        looks = [turn for turn in trajectory.turns if turn.views]
        starts = [(trajectory.views[turn.views[0]].time or (0.0, 0.0))[0] for turn in looks]
        assert starts == pytest.approx([0, 20, 40], abs=3)


def _played(policy: str, dialect: str, suite_args: dict[str, Any], rule: str) -> list[Trajectory]:
    env = {"suite": "synthetic_video", "suite_args": suite_args, "time_rule": rule, "max_turns": 4}
    opened = make_dialect(dialect)
    tools = ("clip", "frames", "sampled_frames", "answer")
    env |= {"tools": [name for name in tools if name in opened.tools]}
    jobs = [Job(index, f"g{index}", 0, seed=0) for index in range(3)]
    played = collect(rollout(jobs, make_policy(policy), opened, Arm("a", env)))
    return [each for (each,) in settle(played, "outcome")]
