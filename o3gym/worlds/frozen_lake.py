"""FrozenLake: reach the goal on ice without stepping into a hole. Nothing slips."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from functools import cached_property
from itertools import accumulate
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
    split_of_map,
)

HOLE_COUNTS: dict[int, tuple[int, ...]] = {
    3: (0, 55, 126, 59, 8, 1, 1),
    4: (0, 48, 55, 73, 50, 12, 8, 2, 2),
    5: (0, 7, 28, 50, 55, 49, 37, 18, 4, 1, 1),
    6: (0, 0, 8, 18, 23, 30, 46, 46, 32, 19, 12, 12, 2, 2),
}
"""How many of the 250 released layouts of each side have 0, 1, 2, … holes."""


class FrozenLake(Walk):
    """A frozen lake. Cells are numbered row by row, and the state is the agent's cell.

    A move beyond the edge or into a hole is invalid and leaves the agent where it is.
    """

    name: ClassVar[str] = "frozenlake"
    levels: ClassVar[tuple[int, ...]] = (3, 4, 5, 6)

    def __init__(self, level: int, holes: Iterable[int], start: int, target: int) -> None:
        check_side(self.name, level)
        self.holes = frozenset(holes)
        for field, cell in (("start", start), ("target", target), *(("holes", hole) for hole in self.holes)):
            check_cell(self.name, field, cell, level)
        if start in self.holes or target in self.holes:
            raise LayoutError(f"{self.name}: the {'start' if start in self.holes else 'target'} is a hole")
        super().__init__(level, start, target)

    @classmethod
    def draw(cls, rng: Random, level: int, split: str | None = None) -> FrozenLake:
        """Draws a layout: the number of holes as often as in the released rows, and every cell equally likely."""
        counts = HOLE_COUNTS.get(level)
        if counts is None:
            raise LayoutError(f"{cls.name}: level: expected one of {cls.levels}, got {level!r:.60}")
        holes = bisect(list(accumulate(counts)), below(rng, sum(counts)))
        while True:
            target, start, *water = draw_distinct(rng, range(level * level), holes + 2)
            if split is None or split_of_map(_key(level, water, target)) == split:
                try:
                    return cls(level, water, start, target)
                except LayoutError:
                    continue  # The holes separate start and target.

    def successors(self, state: int) -> tuple[int, ...]:
        """The neighbouring cells, `BLOCKED` beyond the edge and at a hole."""
        holes = self.holes
        return tuple([BLOCKED if to in holes else to for to in self._neighbours[state]])

    def map_key(self) -> bytes:
        """Side, target and holes."""
        return _key(self.level, self.holes, self.target)

    @cached_property
    def _flags(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        flags = np.ones(self.level * self.level, np.uint8)
        flags[list(self.holes)] = 2
        return flags

    def _ground(self) -> dict[tuple[int, int], tuple[object, ...]]:
        kinds = {cell: ("hole",) if cell in self.holes else ("ice",) for cell in range(self.level * self.level)}
        kinds[self.target] = ("gift",)
        return {divmod(cell, self.level): kind for cell, kind in kinds.items()}

    def _figures(self, state: int) -> dict[tuple[int, int], tuple[object, ...]]:
        return {divmod(state, self.level): ("walker on gift",) if state == self.target else ("walker",)}


def _key(level: int, holes: Iterable[int], target: int) -> bytes:
    return bytes((level, target, *sorted(holes)))
