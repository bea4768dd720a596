"""Scripted policies: what they do in episodes of every kind."""

from __future__ import annotations

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.geometry import coverage, to_root
from o3gym.judges.rules import auto
from o3gym.policies.base import make_policy, split_control
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory

DIALECTS = ("mini_o3", "deepeyes", "simple_o3", "pixel_reasoner", "qwen3_vl", "openai")


def play(
    policy: str, family: str, dialect: str = "qwen3_vl", count: int = 6, turns: int = 10, **env
) -> list[Trajectory]:
    suite_args = {"family": family, "difficulty": "easy", "pixels": 250_000}
    tools = [t for t in ("crop", "zoom", "reuse", "answer", "locate") if t in make_dialect(dialect).tools]
    arguments = {"suite": "synthetic", "suite_args": suite_args, "tools": tools, "max_turns": turns, **env}
    jobs = [Job(index, f"{index}", seed=index) for index in range(count)]
    ended = rollout(jobs, make_policy(policy), make_dialect(dialect), Arm("arm", arguments))
    return sorted(ended, key=lambda t: int(t.group))


def right(trajectory: Trajectory) -> bool:
    return auto(trajectory.task, trajectory.answer, trajectory.located).verdict == "correct"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_oracle_is_right_in_every_dialect(dialect: str) -> None:
    assert all(right(t) and not any(turn.error for turn in t.turns) for t in play("oracle", "hidden", dialect))


@pytest.mark.parametrize("family", ["attribute", "text", "relation", "chart", "map", "region"])
def test_oracle_is_right_in_every_family_and_saw_every_target(family: str) -> None:
    for trajectory in play("oracle", family):
        assert right(trajectory), trajectory.answer
        for target in trajectory.task.targets:
            looks = [to_root(trajectory.sources[v.source], v.box) for v in trajectory.views if v.parent >= 0]
            assert any(look is not None and coverage(look[1], target.box) > 0.99 for look in looks)


def test_oracle_speaks_the_region_search_dialect_of_insight_o3() -> None:
    assert all(right(t) for t in play("oracle", "region", "insight_o3"))


def test_oracle_answers_in_time_when_turns_are_short() -> None:
    assert {t.stop for t in play("oracle", "relation", turns=2)} == {"answered"}


def test_always_gives_the_same_letter_at_once() -> None:
    assert {(t.answer, len(t.turns)) for t in play("always:C", "hidden")} == {("C", 1)}
    assert {t.answer for t in play("always", "hidden")} == {"A"}
    with pytest.raises(ValueError, match="a letter from A to Z"):
        make_policy("always:AB")


def test_sweep_covers_the_picture_and_then_guesses() -> None:
    for trajectory in play("sweep", "hidden", turns=10):
        boxes = [view.box for view in trajectory.views[1:]]
        assert len(boxes) == 9
        assert sum((b[2] - b[0]) * (b[3] - b[1]) for b in boxes) == pytest.approx(1, abs=0.02)
        assert trajectory.stop == "answered"


def test_random_differs_between_tasks_and_ends() -> None:
    ended = play("random", "hidden", count=20)
    assert {t.stop for t in ended} == {"answered"}
    assert len({len(t.turns) for t in ended}) > 3


@pytest.mark.parametrize(
    ("spec", "parts"), [("oracle", ("oracle", None)), ("sweep?cells=3+no_tool", ("sweep?cells=3", "no_tool"))]
)
def test_split_control(spec: str, parts: tuple[str, str | None]) -> None:
    assert split_control(spec) == parts


@pytest.mark.parametrize("control", ["no_tool", "blank_crop", "random_crop", "oracle_crop"])
def test_every_policy_runs_under_every_control(control: str) -> None:
    for policy in ("oracle", "sweep", "random"):
        for trajectory in play(policy, "hidden", count=3, control=control):
            assert trajectory.stop == "answered"
            assert control != "no_tool" or len(trajectory.views) == 1


@pytest.mark.parametrize(
    ("spec", "words"), [("sweep?cells=-1", "cells"), ("random?stop=2", "probability"), ("oracl", "oracle")]
)
def test_bad_options_say_what_was_expected(spec: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_policy(spec)


@pytest.mark.parametrize(
    ("spec", "words"), [("random?stp=0.1", 'did you mean "stop"'), ("oracle:fast", 'takes nothing after ":"')]
)
def test_unknown_options_name_the_closest(spec: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        make_policy(spec)
