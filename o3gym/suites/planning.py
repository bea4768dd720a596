"""`planning-frozenlake`, `planning-maze` and `planning-minibehaviour`: plan the shortest way in a small world."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from o3gym.arguments import check_whole
from o3gym.suites.base import BadTask, Suite, SuiteError
from o3gym.types import Task
from o3gym.worlds.base import World
from o3gym.worlds.drawing import WORLDS, check_world, draw_world
from o3gym.worlds.plans import write_plan
from o3gym.worlds.records import state_source
from o3gym.worlds.released_rows import WorldRowError, read_world_row

DRAWN_TASKS = 1000
"""Number of tasks of a suite whose layouts are drawn."""
WORLD_QUESTIONS = {
    "frozenlake": "The picture shows a frozen lake. The walker has to get to the gift. A hole in the ice cannot be "
    "entered, and neither can a cell beyond the edge.",
    "maze": "The picture shows a maze. The red disc has to get to the blue square. Black lines are walls, which it "
    "cannot pass.",
    "minibehaviour": "The picture shows a room with grey walls, a white printer and a brown table. The red arrow "
    "is you. Fetch the printer and put it on the table: pick works in a cell next to the printer, and then its cell is "
    "free; drop works in a cell next to the table. Neither the table nor the printer can be walked on.",
}
"""What is asked for in each world, without the names of the moves."""


class PlanningSuite(Suite):
    """Layouts of one world, each to be solved in the least number of moves.

    Layouts are drawn from seeds in the released distribution, and no map lies in two splits. Levels take turns, so any
    range of consecutive indices is balanced. The start state is the only picture; `o3gym.worlds.records` reads the
    layout out of it. The answer is one of the optimal plans, and every other one is right, too.

    Args:
        argument: must be empty.
        split: "test", "train" or "val". Rows of a file are all of the split that is named here.
        level: cells per side; None takes all released ones.
        n: number of tasks; 0 means 1,000, or all rows of `data`.
        data: a JSONL file in the released form, whose layouts are used instead of drawn ones. A bad row keeps its
            index, and `task` raises `BadTask` for it.

    Raises:
        ValueError: an option is unknown.
        SuiteError: `data` cannot be read, or has no row of the level.
    """

    version: ClassVar[str] = "0"
    splits: ClassVar[tuple[str, ...]] = ("test", "train", "val")
    licence: ClassVar[str] = "Apache-2.0"
    measure: ClassVar[str] = "planning"
    own_tools: ClassVar[tuple[str, ...]] = ("move", "draw_state", "answer")
    turns: ClassVar[int] = 32
    world: ClassVar[str]

    def __init__(
        self, argument: str = "", split: str = "test", *, level: int | None = None, n: int = 0, data: str = ""
    ) -> None:
        super().__init__(argument, split)
        if argument:
            raise ValueError(f'suite {self.name} takes no argument, got "{argument}"; write "{self.name}?data=FILE"')
        check_world(self.world, level, split)
        check_whole("n", n, 0)
        self.levels = WORLDS[self.world].levels if level is None else (level,)
        self._file = Path(data) if data else None
        self._rows = _read_lines(self._file, level) if self._file else []
        self.opened_files = (self._file,) if self._file else ()
        self._size = min(n or len(self._rows), len(self._rows)) if self._file else n or DRAWN_TASKS

    def __len__(self) -> int:
        return self._size

    @property
    def kinds(self) -> frozenset[str]:
        """All tasks are answered with text."""
        return frozenset({"free"})

    def pick(self, count: int, seed: int) -> list[int]:
        """Consecutive indices of drawn layouts, so that levels are balanced; any rows of a file."""
        if self._file:
            return super().pick(count, seed)
        first = Random(seed).randrange(len(self)) // len(self.levels) * len(self.levels)
        return [(first + i) % len(self) for i in range(min(count, len(self)))]

    def fingerprint(self) -> dict[str, str]:
        """The SHA-256 of the file, if there is one."""
        return {"file_sha256": hashlib.sha256(self._file.read_bytes()).hexdigest()} if self._file else {}

    def task(self, index: int) -> Task:
        """The task at `index`. Raises `BadTask` if its row is bad."""
        origin: dict[str, Any] = {"suite": self.name, "version": self.version, "split": self.split, "index": index}
        if self._file:
            number, line = self._rows[index]
            world = _read_row(self.world, self._file, number, line)
            return self._ask(world, f"{self._file.stem}/{number}", origin | {"file": self._file.name, "row": number})
        seed, place = divmod(index, len(self.levels))
        level = self.levels[place]
        world = draw_world(self.world, seed, level, self.split)
        return self._ask(world, f"{self.split}/{level}/{seed}", origin | {"seed": seed})

    def _ask(self, world: World, place: str, origin: dict[str, Any]) -> Task:
        moves = f"The moves are {', '.join(world.moves)}; a plan is their names in order, separated by spaces."
        return Task(
            id=f"{self.name}/{place}",
            sources=(state_source(world),),
            question=f"{WORLD_QUESTIONS[self.world]} {moves} Use as few moves as possible.",
            answer=write_plan(world.optimal_plan(), world.moves),
            tags={"world": world.name, "level": str(world.level), "length": str(world.optimal_length)},
            origin=origin,
        )


class PlanningFrozenLake(PlanningSuite):
    """Walk over a frozen lake with holes to a gift, in as few moves as possible (FrozenLake of VPRL)."""

    name: ClassVar[str] = "planning-frozenlake"
    world: ClassVar[str] = "frozenlake"


class PlanningMaze(PlanningSuite):
    """Find the way through a perfect maze, in as few moves as possible (Maze of VPRL)."""

    name: ClassVar[str] = "planning-maze"
    world: ClassVar[str] = "maze"


class PlanningMiniBehaviour(PlanningSuite):
    """Fetch a printer and put it on a table, in as few moves as possible (MiniBehaviour of VPRL)."""

    name: ClassVar[str] = "planning-minibehaviour"
    world: ClassVar[str] = "minibehaviour"


def _read_lines(file: Path, level: int | None) -> list[tuple[int, str]]:
    """The numbers, counted from 1, and the texts of the rows of a level; of bad rows as well. None takes all levels."""
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"data: {file}: expected a JSONL file of released rows ({error})") from error
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    rows = [row for row in rows if level is None or _level_of(row[1]) in (level, None)]
    if not rows:
        raise SuiteError(f"data: {file}: expected at least one row{f' of level {level}' if level else ''}")
    return rows


def _level_of(line: str) -> int | None:
    """The level of a row; None if it cannot be read."""
    try:
        level = json.loads(line)["meta"]["level"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return level if isinstance(level, int) else None


def _read_row(world: str, file: Path, number: int, line: str) -> World:
    where = f"{file}, line {number}"
    try:
        return read_world_row(world, json.loads(line)).world
    except WorldRowError as error:
        raise BadTask(where, error.field or "(whole row)", error.reason) from None
    except (ValueError, RecursionError) as error:
        raise BadTask(where, "(whole row)", f"expected JSON ({error!s:.80})") from None
