"""The common interface of the three worlds: states, moves, distances, rewards and the score of a plan."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from random import Random
from typing import ClassVar, Literal

import numpy as np

from o3gym.worlds.tiles import PICTURE_SIDE, StatePicture, cell_edges, draw_tile

PLAN_SPLITS = ("train", "val", "test")
DIRECTIONS = ("up", "down", "left", "right")
"""The four moves that every world has. A move's action number is its position in the world's `moves`."""
INVALID_REWARD, CLOSER_REWARD = -5.0, 1.0
"""Released rewards of a step. A valid move that comes no closer earns 0."""
BLOCKED = -1
"""The successor of a state under a move that is not valid."""


class LayoutError(ValueError):
    """A layout is malformed, or its goal cannot be reached."""


@dataclass(frozen=True, slots=True)
class PlanScore:
    """How well a plan solves a world.

    `exact` holds if the plan reaches the goal in the optimal number of moves and none is invalid. `progress` is the
    share of the optimal path that the plan covers before its first move that does not come closer to the goal.
    `invalid` counts the invalid moves, which leave the state as it is; moves after the goal are invalid. `reached`
    says whether the goal was reached in any number of moves.
    """

    exact: bool
    progress: float
    invalid: int
    reached: bool


class World(ABC):
    """One layout of a world, with its rules. A state is a whole number, and layouts never change.

    Attributes:
        name: the world's name
        moves: names of the moves; an action number indexes them
        levels: sides of the released layouts
        level: cells per side
        start: state in which an episode starts
        graph: each state that an episode can reach, and its successor under each move (`BLOCKED` for invalid moves)
        remaining: each state that an episode can reach, and the least number of moves from it to the goal
    """

    name: ClassVar[str]
    moves: ClassVar[tuple[str, ...]] = DIRECTIONS
    levels: ClassVar[tuple[int, ...]]

    def __init__(self, level: int, start: int) -> None:
        self.level = level
        self.start = start
        self.graph = self._explore()
        self.remaining = self._distances()
        if start not in self.remaining:
            raise LayoutError(f"{self.name}: the goal cannot be reached from the start")
        if self.goal(start):
            raise LayoutError(f"{self.name}: start and goal are the same cell")

    @classmethod
    @abstractmethod
    def draw(cls, rng: Random, level: int, split: str | None = None) -> World:
        """Draws a solvable layout of a level and, if given, a split."""

    @abstractmethod
    def successors(self, state: int) -> tuple[int, ...]:
        """The state after each move, or `BLOCKED` where the move is invalid. The goal is not asked for its own."""

    @abstractmethod
    def goal(self, state: int) -> bool:
        """Whether an episode is solved in this state."""

    @abstractmethod
    def map_key(self) -> bytes:
        """Identifies the layout without its start. Layouts with the same key never lie in different splits."""

    @abstractmethod
    def cell(self, state: int) -> int:
        """The cell in which the agent is: row * level + column."""

    @abstractmethod
    def _ground(self) -> dict[tuple[int, int], tuple[object, ...]]:
        """The kind of tile at each (row, column) of the picture, without anything that can move."""

    @abstractmethod
    def _figures(self, state: int) -> dict[tuple[int, int], tuple[object, ...]]:
        """The kind of tile at each (row, column) of the picture where a state differs from the ground."""

    @abstractmethod
    def symbols(self, state: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        """The state as bit flags, uint8 (level, level).

        Bits: 1 floor, 2 hole or table, 4 goal or printer, 8 agent, 16 agent that carries the printer, 32 wall below,
        64 wall to the right.
        """

    @property
    def rows(self) -> int:
        """Tiles per side of the picture."""
        return self.level

    @property
    def optimal_length(self) -> int:
        """The least number of moves from the start to the goal."""
        return self.remaining[self.start]

    @property
    def split(self) -> str:
        """The split in which every layout with this map lies."""
        return split_of_map(self.map_key())

    def step(self, state: int, move: int) -> tuple[int, bool]:
        """Returns the state after a move, and whether the move is valid. An invalid move leaves the state as it is.

        `BLOCKED` as the move stands for one that could not be read. It is invalid.
        """
        following = BLOCKED if move == BLOCKED else self.graph[state][move]
        return (state, False) if following == BLOCKED else (following, True)

    def after(self, plan: Iterable[int]) -> int:
        """The state in which a plan ends that starts in the start state."""
        state = self.start
        for move in plan:
            state, _ = self.step(state, move)
        return state

    def reward(self, state: int, move: int) -> float:
        """The released reward of a step: −5 for an invalid move, 1 for coming closer to the goal, otherwise 0."""
        following, valid = self.step(state, move)
        if not valid:
            return INVALID_REWARD
        return CLOSER_REWARD if self.remaining[following] == self.remaining[state] - 1 else 0.0

    def optimal_moves(self, state: int) -> list[int]:
        """The moves that come one step closer to the goal; none at the goal."""
        after = self.remaining[state] - 1
        return [move for move, to in enumerate(self.graph[state]) if to != BLOCKED and self.remaining[to] == after]

    def optimal_plan(self, state: int | None = None, rng: Random | None = None) -> list[int]:
        """An optimal plan from a state, by default the start. `rng` draws among optimal moves; None takes the first."""
        at = self.start if state is None else state
        plan: list[int] = []
        while not self.goal(at):
            best = self.optimal_moves(at)
            plan.append(best[0] if rng is None else best[below(rng, len(best))])
            at = self.graph[at][plan[-1]]
        return plan

    def score_plan(self, plan: Sequence[int]) -> PlanScore:
        """Scores a plan that starts in the start state. `BLOCKED` stands for moves that could not be read."""
        at, invalid, forward, straight = self.start, 0, 0, True
        for move in plan:
            following, valid = self.step(at, move)
            straight = straight and self.remaining[following] == self.remaining[at] - 1
            forward += straight
            invalid += not valid
            at = following
        exact = forward == len(plan) == self.optimal_length
        return PlanScore(exact, forward / self.optimal_length, invalid, self.goal(at))

    def render(self, state: int) -> StatePicture:
        """Draws a state as uint8 RGB pixels of shape (256, 256, 3), in an array of its own."""
        picture = _ground_picture(self).copy()
        _paste(picture, self.rows, self._figures(state))
        return picture

    def _explore(self) -> dict[int, tuple[int, ...]]:
        """Follows every move from the start. An episode ends at the goal, so no move leads on from there."""
        end = (BLOCKED,) * len(self.moves)
        # Every episode of an environment may explore a new layout, so `BLOCKED` counts as explored in the inner loop.
        graph = {BLOCKED: end}
        waiting = [self.start]
        while waiting:
            state = waiting.pop()
            if state not in graph:
                graph[state] = end if self.goal(state) else self.successors(state)
                waiting += graph[state]
        del graph[BLOCKED]
        return graph

    def _distances(self) -> dict[int, int]:
        """Searches breadth first, backwards from the goal."""
        before: dict[int, list[int]] = {state: [] for state in (BLOCKED, *self.graph)}
        for state, following in self.graph.items():
            for to in following:
                before[to].append(state)
        remaining = {state: 0 for state in self.graph if self.goal(state)}
        waiting = deque(remaining)
        while waiting:
            state = waiting.popleft()
            for earlier in before[state]:
                if earlier not in remaining:
                    remaining[earlier] = remaining[state] + 1
                    waiting.append(earlier)
        return remaining


class Walk(World):
    """A world in which the agent walks to a target cell. The state is the agent's cell.

    Attributes:
        target: the cell to reach
    """

    def __init__(self, level: int, start: int, target: int) -> None:
        self.target = target
        self._neighbours = grid_neighbours(level)
        super().__init__(level, start)

    def goal(self, state: int) -> bool:
        """Whether the agent is at the target."""
        return state == self.target

    def cell(self, state: int) -> int:
        """The state itself."""
        return state

    @cached_property
    @abstractmethod
    def _flags(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """The flags of the cells without target and agent, uint8 (level²,)."""

    def symbols(self, state: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        """Flags of the cells, the target and the agent."""
        flags = self._flags.copy()
        flags[self.target] |= 4
        flags[state] |= 8
        return flags.reshape(self.level, self.level)


@lru_cache(maxsize=128)
def _ground_picture(world: World) -> StatePicture:
    """The picture without anything that can move. Kept for the layouts in use, because it takes 192 KiB."""
    picture = np.zeros((PICTURE_SIDE, PICTURE_SIDE, 3), np.uint8)
    _paste(picture, world.rows, world._ground())
    return picture


def _paste(picture: StatePicture, rows: int, tiles: dict[tuple[int, int], tuple[object, ...]]) -> None:
    edges = cell_edges(rows)
    for (row, column), kind in tiles.items():
        top, bottom, left, right = edges[row], edges[row + 1], edges[column], edges[column + 1]
        picture[top:bottom, left:right] = draw_tile(kind, bottom - top, right - left)


def split_of_map(key: bytes) -> Literal["train", "val", "test"]:
    """The split in which a map lies, from a checksum of its key: 10% are "test", 5% "val", and the rest is "train"."""
    bucket = zlib.crc32(key) % 100
    return "test" if bucket < 10 else "val" if bucket < 15 else "train"


def below(rng: Random, count: int) -> int:
    """Draws a whole number below `count`. Only `Random.random` has the same values in every version of Python."""
    return int(rng.random() * count)


def draw_distinct(rng: Random, items: Sequence[int], count: int) -> list[int]:
    """Draws items without replacement."""
    left, random = list(items), rng.random
    for i in range(count):
        j = i + int(random() * (len(left) - i))
        left[i], left[j] = left[j], left[i]
    return left[:count]


@cache
def grid_neighbours(level: int) -> tuple[tuple[int, int, int, int], ...]:
    """For each cell of a square grid the cells above, below, left and right of it; `BLOCKED` beyond the edge."""
    cells = level * level
    return tuple(
        (
            cell - level if cell >= level else BLOCKED,
            cell + level if cell + level < cells else BLOCKED,
            cell - 1 if cell % level else BLOCKED,
            cell + 1 if (cell + 1) % level else BLOCKED,
        )
        for cell in range(cells)
    )


def check_cell(world: str, field: str, cell: object, level: int) -> None:
    """Checks that a cell lies in a square grid.

    Raises:
        LayoutError: it does not.
    """
    if isinstance(cell, bool) or not isinstance(cell, int) or not 0 <= cell < level * level:
        raise LayoutError(f"{world}: {field}: expected a cell from 0 to {level * level - 1}, got {cell!r:.60}")


def check_side(world: str, level: object, least: int = 2, most: int = 16) -> None:
    """Checks the number of cells per side, which the size of a picture limits.

    Raises:
        LayoutError: it is out of range.
    """
    if isinstance(level, bool) or not isinstance(level, int) or not least <= level <= most:
        raise LayoutError(f"{world}: level: expected a whole number from {least} to {most}, got {level!r:.60}")
