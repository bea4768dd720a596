"""The measure of planning: exact match and progress, per level and length, from stored episodes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from o3gym.runs.report import make_report
from o3gym.runs.tables import NONE
from o3gym.types import Trajectory
from o3gym.worlds import FrozenLake
from tests.runs.test_suite_metrics import episode, numbers
from tests.worlds.planning_episodes import DOWN, LAKE, RIGHT, ROOM, UP, answered, walk

NEAR = FrozenLake(4, [], 0, 1)
EMPTY = {
    **{"exact match %": None, "progress %": None, "goal reached %": None, "invalid moves %": None},
}


def stored(trajectory: Trajectory) -> Trajectory:
    return Trajectory.from_json(trajectory.to_json())


def measured(*trajectories: Trajectory) -> dict[str, Any]:
    found: dict[str, Any] = numbers("planning", *map(stored, trajectories))
    return found


def test_plans_made_step_by_step_and_plans_answered_count_alike() -> None:
    optimal = [walk(LAKE, [DOWN], [RIGHT], [RIGHT], [UP]), walk(LAKE, [DOWN, RIGHT, RIGHT, UP])]
    for one in (*optimal, answered(LAKE, "DRRU")):
        assert measured(one) == {
            **{"exact match %": 100, "progress %": 100, "goal reached %": 100, "invalid moves %": 0},
            **{"exact match, level 3 %": 100, "progress, level 3 %": 100},
            **{"exact match, 4-6 moves %": 100, "progress, 4-6 moves %": 100},
        }


def test_the_numbers_by_hand() -> None:
    found = measured(
        walk(LAKE, [DOWN], [RIGHT], [RIGHT], [UP]),  # exact
        walk(LAKE, [DOWN], [UP], [DOWN], [RIGHT], [RIGHT], [UP]),  # arrives after a detour
        walk(LAKE, [DOWN], [RIGHT], [-1], [RIGHT], [UP]),  # arrives after an invalid move
        answered(ROOM, "up right pick left"),  # stops on the way
        answered(NEAR, "jump"),  # cannot be read, which is one invalid move
        walk(NEAR, "void", "parse"),  # never gets to a move
    )
    assert found == {
        "exact match %": pytest.approx(100 / 6),
        "progress %": pytest.approx(100 * (1 + 1 / 4 + 2 / 4 + 3 / 5) / 6),
        "goal reached %": pytest.approx(50),
        "invalid moves %": pytest.approx(100 * 2 / (4 + 6 + 5 + 4 + 1)),
        "exact match, level 3 %": pytest.approx(100 / 3),
        "progress, level 3 %": pytest.approx(100 * 1.75 / 3),
        "exact match, level 4 %": 0,
        "progress, level 4 %": 0,
        "exact match, level 5 %": 0,
        "progress, level 5 %": pytest.approx(60),
        "exact match, 1-3 moves %": 0,
        "progress, 1-3 moves %": 0,
        "exact match, 4-6 moves %": pytest.approx(25),
        "progress, 4-6 moves %": pytest.approx(100 * (1.75 + 0.6) / 4),
    }


@pytest.mark.parametrize(
    ("length", "band"),
    [(1, "1-3"), (3, "1-3"), (4, "4-6"), (6, "4-6"), (7, "7-9"), (9, "7-9"), (10, "10+"), (14, "10+")],
)
def test_bands_of_lengths(length: int, band: str) -> None:
    world = FrozenLake(8, [], 0, 7 + 8 * (length - 7) if length > 7 else length)
    assert world.optimal_length == length
    assert measured(walk(world, world.optimal_plan()))[f"exact match, {band} moves %"] == 100


def test_an_unanswered_episode_that_made_moves_keeps_its_progress() -> None:
    found = measured(walk(LAKE, [DOWN], [RIGHT], [RIGHT]))
    assert (found["exact match %"], found["progress %"], found["goal reached %"]) == (0, 75, 0)


def test_an_answered_plan_counts_as_the_judge_sees_it() -> None:
    """Whoever must not explore by moves before the answer gets no tool for it."""
    found = measured(answered(LAKE, "DRRU", [-1]))
    assert (found["exact match %"], found["invalid moves %"]) == (100, 100)  # one move was made, and it was invalid
    assert measured(answered(LAKE, "DR", [DOWN], [RIGHT], [RIGHT], [UP]))["exact match %"] == 0


def test_episodes_of_other_tasks_have_no_numbers() -> None:
    assert measured(episode(0, "correct")) == EMPTY
    assert measured() == EMPTY
    assert measured(episode(0, "wrong"), walk(LAKE, [DOWN, RIGHT, RIGHT, UP]))["exact match %"] == 100


def test_plans_of_any_length_are_measured() -> None:
    found = measured(answered(LAKE, "R" * 1_000_000), answered(LAKE, "U" * 1000))
    assert found["invalid moves %"] == 100


def test_a_report_has_a_row_for_each_of_them() -> None:
    played = [
        replace(walk(LAKE, [DOWN, RIGHT, RIGHT, UP]), arm="a", group="0", verdict="correct", score=1.0),
        replace(answered(ROOM, "up right"), arm="b", group="0", verdict="wrong", score=0.4),
    ]
    report = make_report(played, {"suite": "planning-frozenlake", "measure": "planning"})
    table = report.to_markdown().split("## Measures of the suite")[1].split("##")[0]
    assert "| exact match % | 100.0 | 0.0 |" in table
    assert "| progress % | 100.0 | 40.0 |" in table
    assert f"| exact match, level 3 % | 100.0 | {NONE} |" in table
