"""The judge of plans: exact match, progress as the score, and texts that are no plans."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from o3gym.judges.base import make_judge
from o3gym.judges.plans import plan
from o3gym.judges.rules import auto
from o3gym.testing.episodes import HOSTILE
from o3gym.types import Source, Task
from tests.worlds.planning_episodes import ROOM, planning_task


@pytest.mark.parametrize(
    ("answer", "verdict", "score"),
    [
        ("down right right up", "correct", 1.0),
        ("DRRU", "correct", 1.0),
        ("Down, Right → right; up", "correct", 1.0),
        ("down right right", "wrong", 0.75),  # one move short
        ("down right right up up", "wrong", 1.0),  # a move after the goal
        ("down right left right right up", "wrong", 0.5),  # arrives, but not in the optimal number of moves
        ("up down right right up", "wrong", 0.0),  # the first move is invalid
        ("down right invalid right up", "wrong", 0.5),
        ("right", "wrong", 0.0),
        ("jump", "wrong", 0.0),
        ("pick", "wrong", 0.0),  # a move of another world
        ("", "wrong", 0.0),
    ],
)
def test_a_plan_is_correct_if_it_is_optimal_and_its_score_is_the_progress(
    answer: str, verdict: str, score: float
) -> None:
    assert (plan(planning_task(), answer).verdict, plan(planning_task(), answer).score) == (verdict, score)


def test_any_optimal_plan_is_correct_and_not_only_the_stored_one() -> None:
    for moves in ("up right pick right drop", "U, R, PICK, R, DROP", "up, right, pick, down, drop"):
        assert plan(planning_task(ROOM), moves).verdict == "correct"
    other = replace(planning_task(), answer="up")
    assert plan(other, "down right right up").verdict == "correct"


def test_the_reason_says_what_is_wrong() -> None:
    reasons = {text: plan(planning_task(), text).reason for text in ("jump", "right", "DRR", "DRLRRU", "DRRU")}
    assert reasons == {
        "jump": 'word 1 of the plan, "jump", is none of up, down, left, right',
        "right": "0 of 4 optimal moves; the goal is not reached; invalid moves: 1",
        "DRR": "3 of 4 optimal moves; the goal is not reached",
        "DRLRRU": "2 of 4 optimal moves; the goal is reached in 6 moves",
        "DRRU": "",
    }


def test_auto_picks_it_for_planning_tasks_unless_the_task_names_a_judge() -> None:
    assert auto(planning_task(), "DRRU").verdict == "correct"
    assert auto(planning_task(), "DRR").score == 0.75
    assert auto(planning_task(origin={"judge": "exact"}), "DRRU").verdict == "wrong"
    assert make_judge("plan")(planning_task(), "DRRU", None).verdict == "correct"


def test_tasks_without_a_world_or_without_ground_truth_have_no_verdict() -> None:
    other = Task("t", (Source.file("a.png"),), "What?", "up")
    assert (plan(other, "up").verdict, plan(other, "up").reason) == ("failed", "task t has no layout to plan in")
    assert plan(planning_task(origin={"ground_truth": False}), "DRRU").verdict == "failed"
    broken = replace(planning_task(), sources=(Source.generated("planning", layout={"world": "moon"}, plan=[]),))
    assert plan(broken, "up").verdict == "failed"


@pytest.mark.parametrize("text", [*HOSTILE, "R" * 1_000_000, "right " * 1_000_000, "9" * 1_000_000])
def test_texts_of_any_kind_and_length_are_judged_quickly(text: str) -> None:
    began = time.perf_counter()
    assert plan(planning_task(), text).verdict == "wrong"
    assert time.perf_counter() - began < 1.0
