"""Maze's rules: perfect mazes, walls, and layouts that are none."""

from __future__ import annotations

from typing import Any

import pytest

from o3gym.worlds import LayoutError, Maze, draw_world

#   S | G
#   .   .
WALLS = ((0, 2, 3), (0, 2, 3), (1, 2), (1, 3))
MAZE = Maze(2, WALLS, start=0, target=1)


def test_walls_block() -> None:
    assert MAZE.optimal_plan() == [1, 3, 0]
    assert MAZE.graph[0] == (-1, 2, -1, -1)


@pytest.mark.parametrize("level", [3, 4, 5, 6])
def test_drawn_mazes_are_perfect(level: int) -> None:
    for seed in range(8):
        maze = draw_world("maze", seed, level)
        assert isinstance(maze, Maze)
        passages = sum(4 - len(walls) for walls in maze.walls) // 2
        # A connected graph with one edge fewer than nodes is a tree: one path between any two cells.
        assert passages == level**2 - 1
        seen, waiting = {0}, [0]
        while waiting:
            cell = waiting.pop()
            beside = maze.successors(cell)
            waiting += [to for to in beside if to != -1 and to not in seen]
            seen |= set(beside) - {-1}
        assert len(seen) == level**2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"walls": WALLS[:3]}, "walls: expected 4 cells, got 3"),
        ({"walls": ((2, 3), *WALLS[1:])}, "cell 0 is open towards the outside"),
        ({"walls": ((0, 2), *WALLS[1:])}, "cells 0 and 1 disagree"),
        ({"walls": ((0, 2, 3, 4), *WALLS[1:])}, "cell 0 has an unknown side"),
        ({"walls": ((0, 1, 2, 3), (0, 2, 3), (0, 1, 2), (1, 3))}, "cannot be reached"),
        ({"start": 4}, "start: expected a cell from 0 to 3"),
        ({"target": None}, "target: expected a cell"),
        ({"target": 0}, "same cell"),
    ],
)
def test_malformed_and_unsolvable_layouts_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        Maze(**{"level": 2, "walls": WALLS, "start": 0, "target": 1, **change})
