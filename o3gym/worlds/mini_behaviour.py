"""MiniBehaviour: fetch a printer and put it on a table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from random import Random
from typing import ClassVar

import numpy as np

from o3gym.worlds.base import (
    BLOCKED,
    DIRECTIONS,
    LayoutError,
    World,
    below,
    check_cell,
    check_side,
    draw_distinct,
    grid_neighbours,
    split_of_map,
)

PICK, DROP = 4, 5
"""Action numbers of the moves that only this world has."""
TABLE_SHAPES = ((2, 3), (3, 2))
"""Rows and columns that a table may have. All released rows have the first shape, and so do drawn layouts."""


class MiniBehaviour(World):
    """A room with a printer and a table. Cells are numbered row by row.

    The agent picks the printer up from a cell beside it, and then its cell is free. It drops the printer on the table
    from a cell beside the table, and the episode is solved. States are numbered cell + level² × phase, where the phase
    is 0 before the pick, 1 while the agent carries the printer and 2 after the drop. `direction` (0 right, 1 down,
    2 left, 3 up) turns the agent's arrow in pictures and has no effect: moves go in all four directions.

    The released reward is 1 for every valid pick and drop, and for a move that comes closer to the first cell of any
    best pair of a cell beside the printer and one beside the table. Both hold exactly if the move leaves one step less
    to the goal: a pick is optimal beside every side of the printer, because walking to another side takes at least the
    two steps through the printer's cell, which is free after the pick.
    """

    name: ClassVar[str] = "minibehaviour"
    moves: ClassVar[tuple[str, ...]] = (*DIRECTIONS, "pick", "drop")
    levels: ClassVar[tuple[int, ...]] = (5, 6)

    def __init__(self, level: int, table: Iterable[int], printer: int, start: int, direction: int = 0) -> None:
        check_side(self.name, level, least=3, most=14)
        self.table = frozenset(table)
        self.printer = printer
        self.direction = direction
        for field, cell in (("start", start), ("printer", printer), *(("table", cell) for cell in self.table)):
            check_cell(self.name, field, cell, level)
        self._check_room(level, start)
        self._cells = level * level
        self._neighbours = grid_neighbours(level)
        self.printer_sides = frozenset(self._neighbours[printer]) - self.table - {BLOCKED}
        self.table_sides = (
            frozenset(to for cell in self.table for to in self._neighbours[cell]) - self.table - {BLOCKED}
        )
        super().__init__(level, start)

    def _check_room(self, level: int, start: int) -> None:
        rows, columns = ({divide(cell, level) for cell in self.table} for divide in (int.__floordiv__, int.__mod__))
        shape = (max(rows) - min(rows) + 1, max(columns) - min(columns) + 1) if rows else (0, 0)
        if shape not in TABLE_SHAPES or len(self.table) != shape[0] * shape[1]:
            raise LayoutError(f"{self.name}: table: expected a rectangle of 2 x 3 or 3 x 2, got {sorted(self.table)}")
        if self.printer in self.table or start in self.table or start == self.printer:
            raise LayoutError(f"{self.name}: start, printer and table overlap")
        if self.direction not in (0, 1, 2, 3):
            raise LayoutError(f"{self.name}: direction: expected 0, 1, 2 or 3, got {self.direction!r:.60}")

    @classmethod
    def draw(cls, rng: Random, level: int, split: str | None = None) -> MiniBehaviour:
        """Draws a layout: places of table, printer and start equally likely, the table 2 rows by 3 columns."""
        check_side(cls.name, level, least=3, most=14)
        while True:
            top, left = below(rng, level - 1), below(rng, level - 2)
            table = {(top + row) * level + left + column for row in range(2) for column in range(3)}
            printer, start = draw_distinct(rng, [cell for cell in range(level * level) if cell not in table], 2)
            if split is None or split_of_map(_key(level, table, printer)) == split:
                return cls(level, table, printer, start, below(rng, 4))

    def state(self, cell: int, carrying: bool, dropped: bool = False) -> int:
        """The number of a state."""
        return cell + self._cells * (2 if dropped else int(carrying))

    def phase(self, state: int) -> int:
        """0 before the pick, 1 while the agent carries the printer, 2 after the drop."""
        return state // self._cells

    def successors(self, state: int) -> tuple[int, ...]:
        """The states after each move; the table blocks, and so does the printer where it stands."""
        cells, table = self._cells, self.table
        if state < cells:
            printer = self.printer
            steps = [BLOCKED if to in table or to == printer else to for to in self._neighbours[state]]
            return (*steps, state + cells if state in self.printer_sides else BLOCKED, BLOCKED)
        cell = state - cells
        steps = [BLOCKED if to == BLOCKED or to in table else to + cells for to in self._neighbours[cell]]
        return (*steps, BLOCKED, state + cells if cell in self.table_sides else BLOCKED)

    def goal(self, state: int) -> bool:
        """Whether the printer is on the table."""
        return state >= 2 * self._cells

    def map_key(self) -> bytes:
        """Side, printer and table."""
        return _key(self.level, self.table, self.printer)

    def cell(self, state: int) -> int:
        """The agent's cell."""
        return state % self._cells

    def walking_distances(self, cell: int, carrying: bool) -> dict[int, int]:
        """Steps from a cell to each cell that can be walked to, with the printer in the way unless it is carried."""
        blocked = self.table if carrying else self.table | {self.printer}
        found, waiting = {cell: 0}, [cell]
        for at in waiting:
            for to in self._neighbours[at]:
                if to != BLOCKED and to not in blocked and to not in found:
                    found[to] = found[at] + 1
                    waiting.append(to)
        return found

    def drop_cell(self, cell: int) -> int:
        """The cell of the table on which an agent in `cell` drops the printer: above, below, left or right of it."""
        return next(to for to in self._neighbours[cell] if to in self.table)

    def symbols(self, state: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        """Flags of floor, table, printer and agent."""
        phase, cell = divmod(state, self._cells)
        flags = self._flags.copy()
        flags[cell] |= 24 if phase == 1 else 8
        if phase != 1:
            flags[self.printer if phase == 0 else self.drop_cell(cell)] |= 4
        return flags.reshape(self.level, self.level)

    @cached_property
    def _flags(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        flags = np.ones(self._cells, np.uint8)
        flags[list(self.table)] = 2
        return flags

    @property
    def rows(self) -> int:
        """Tiles per side of the picture, which has a ring of walls."""
        return self.level + 2

    def _place(self, cell: int) -> tuple[int, int]:
        return cell // self.level + 1, cell % self.level + 1

    def _ground(self) -> dict[tuple[int, int], tuple[object, ...]]:
        kinds: dict[tuple[int, int], tuple[object, ...]] = {
            (row, column): ("brick",) for row in range(self.rows) for column in range(self.rows)
        }
        kinds |= {self._place(cell): ("table",) if cell in self.table else ("floor",) for cell in range(self._cells)}
        return kinds

    def _figures(self, state: int) -> dict[tuple[int, int], tuple[object, ...]]:
        phase, cell = divmod(state, self._cells)
        figures: dict[tuple[int, int], tuple[object, ...]] = {self._place(cell): ("arrow", self.direction, phase == 1)}
        if phase == 0:
            figures[self._place(self.printer)] = ("printer",)
        elif phase == 2:
            figures[self._place(self.drop_cell(cell))] = ("printer on table",)
        return figures


def _key(level: int, table: Iterable[int], printer: int) -> bytes:
    return bytes((level, printer, *sorted(table)))
