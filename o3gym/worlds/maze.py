"""Maze: find the way through a perfect maze, in which exactly one path joins any two cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from random import Random
from typing import ClassVar

import numpy as np

from o3gym.worlds.base import (
    BLOCKED,
    LayoutError,
    Walk,
    below,
    check_cell,
    check_side,
    draw_distinct,
    grid_neighbours,
    split_of_map,
)

OPPOSITE = (1, 0, 3, 2)
"""The direction that undoes each direction."""
_SIDES = frozenset(range(4))


class Maze(Walk):
    """A maze of cells with walls between them. Cells are numbered row by row, and the state is the agent's cell.

    `walls` holds, for each cell, the directions (0 up, 1 down, 2 left, 3 right) in which a wall stands. The edge is
    walled, and both cells at a wall must agree about it. A move into a wall is invalid.
    """

    name: ClassVar[str] = "maze"
    levels: ClassVar[tuple[int, ...]] = (3, 4, 5, 6)

    def __init__(self, level: int, walls: Sequence[Iterable[int]], start: int, target: int) -> None:
        check_side(self.name, level)
        check_cell(self.name, "start", start, level)
        check_cell(self.name, "target", target, level)
        self.walls = tuple(frozenset(cell) for cell in walls)
        _check_walls(level, self.walls)
        super().__init__(level, start, target)

    @classmethod
    def draw(cls, rng: Random, level: int, split: str | None = None) -> Maze:
        """Draws a perfect maze by depth-first search, and start and target among all pairs of different cells."""
        check_side(cls.name, level)
        cells = range(level * level)
        while True:
            walls = _dig(rng, level)
            # Most mazes have a target that lies in the split, and digging another one takes longer than looking.
            for target in draw_distinct(rng, cells, len(cells)):
                if split is None or split_of_map(_key(level, walls, target)) == split:
                    start = (target + 1 + below(rng, len(cells) - 1)) % len(cells)
                    return cls(level, walls, start, target)

    def successors(self, state: int) -> tuple[int, ...]:
        """The neighbouring cells, `BLOCKED` at a wall."""
        walls = self.walls[state]
        return tuple([BLOCKED if side in walls else to for side, to in enumerate(self._neighbours[state])])

    def map_key(self) -> bytes:
        """Side, target and walls."""
        return _key(self.level, self.walls, self.target)

    @cached_property
    def _flags(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        return np.array([1 + 32 * (1 in walls) + 64 * (3 in walls) for walls in self.walls], np.uint8)

    def _ground(self) -> dict[tuple[int, int], tuple[object, ...]]:
        return {divmod(cell, self.level): self._kind(cell, -1) for cell in range(self.level * self.level)}

    def _figures(self, state: int) -> dict[tuple[int, int], tuple[object, ...]]:
        return {divmod(state, self.level): self._kind(state, state)}

    def _kind(self, cell: int, agent: int) -> tuple[object, ...]:
        return ("corridor", *(side in self.walls[cell] for side in range(4)), cell == self.target, cell == agent)


def _dig(rng: Random, level: int) -> list[set[int]]:
    """The walls of a perfect maze: a random walk that digs into new cells and turns back at dead ends."""
    neighbours = grid_neighbours(level)
    walls = [{0, 1, 2, 3} for _ in neighbours]
    path = [below(rng, len(walls))]
    seen = {BLOCKED, *path}
    while path:
        cell = path[-1]
        free = [side for side, to in enumerate(neighbours[cell]) if to not in seen]
        if not free:
            path.pop()
            continue
        side = free[below(rng, len(free))]
        path.append(neighbours[cell][side])
        seen.add(path[-1])
        walls[cell].remove(side)
        walls[path[-1]].remove(OPPOSITE[side])
    return walls


def _check_walls(level: int, walls: Sequence[frozenset[int]]) -> None:
    if len(walls) != level * level:
        raise LayoutError(f"maze: walls: expected {level * level} cells, got {len(walls)}")
    for cell, sides in enumerate(grid_neighbours(level)):
        if not walls[cell] <= _SIDES:
            raise LayoutError(f"maze: walls: cell {cell} has an unknown side: {sorted(map(str, walls[cell]))}")
        for side, other in enumerate(sides):
            if other == BLOCKED:
                if side not in walls[cell]:
                    raise LayoutError(f"maze: walls: cell {cell} is open towards the outside")
            elif (side in walls[cell]) != (OPPOSITE[side] in walls[other]):
                raise LayoutError(f"maze: walls: cells {cell} and {other} disagree about the wall between them")


def _key(level: int, walls: Sequence[Iterable[int]], target: int) -> bytes:
    # A wall between two cells is known from the one above or to the left.
    return bytes((level, target, *((1 in cell) + 2 * (3 in cell) for cell in walls)))
