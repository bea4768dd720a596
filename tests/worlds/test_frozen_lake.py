"""FrozenLake's rules, and layouts that are none."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from o3gym.worlds import FrozenLake, LayoutError

#   S H .
#   . . H
#   H . G
LAKE = FrozenLake(3, [1, 5, 6], start=0, target=8)


def test_holes_and_edges_block() -> None:
    assert LAKE.graph[0] == (-1, 3, -1, -1)
    assert LAKE.graph[4] == (-1, 7, 3, -1)
    assert LAKE.remaining == {0: 4, 3: 3, 4: 2, 7: 1, 8: 0}
    assert LAKE.optimal_plan() == [1, 3, 1, 3]


def test_states_beyond_the_goal_belong_to_no_episode() -> None:
    lake = FrozenLake(2, [2], start=0, target=1)
    assert lake.remaining == {0: 1, 1: 0}
    assert lake.graph[1] == (-1, -1, -1, -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 1}, "level: expected a whole number from 2 to 16"),
        ({"level": "3"}, "level: expected a whole number"),
        ({"holes": [9]}, "holes: expected a cell from 0 to 8, got 9"),
        ({"start": -1}, "start: expected a cell"),
        ({"target": True}, "target: expected a cell"),
        ({"holes": [0]}, "the start is a hole"),
        ({"holes": [8]}, "the target is a hole"),
        ({"target": 0}, "same cell"),
        ({"holes": [1, 3]}, "cannot be reached"),
    ],
)
def test_malformed_and_unsolvable_layouts_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        FrozenLake(**{"level": 3, "holes": [4], "start": 0, "target": 8, **change})


def test_only_released_sides_can_be_drawn() -> None:
    with pytest.raises(LayoutError, match="level: expected one of"):
        FrozenLake.draw(Random(0), 9)
