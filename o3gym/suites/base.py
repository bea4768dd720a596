"""The suite interface: a named, versioned sequence of tasks of one split."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from abc import abstractmethod
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, overload

from o3gym.media.file_state import file_state
from o3gym.registry import SUITES, closest
from o3gym.specs import build_plugin, parse_spec
from o3gym.suites.task_list import ListedTask, TaskListError, read_task_list
from o3gym.types import Task


class SuiteError(ValueError):
    """Invalid suite data. The message names the file, row and field, the expected value and the actual value."""


class BadTask(SuiteError):  # noqa: N818 - the name says it
    """A row of a suite from which no task can be built. Runs and trainings skip it, count it and take another row.

    Args:
        where: file and row, as `Table.where` returns them: "FILE, line 3".
        field: the field that is wrong.
        reason: what was expected of the field, and its value.

    Attributes:
        file: the file.
        row: the row in the file, counted from 1: "row 3" or "line 3".
    """

    def __init__(self, where: str, field: str, reason: str) -> None:
        super().__init__(where, field, reason)  # these are the arguments with which the exception is unpickled
        self.file, _, self.row = where.rpartition(", ")
        self.field, self.reason = field, reason

    def __str__(self) -> str:
        return f'{self.file}, {self.row}, field "{self.field}": {self.reason}'


class BadRow(Exception):  # noqa: N818 - becomes a BadTask with file and row
    """An invalid field of a row, raised where the file and row number are not known."""

    def __init__(self, field: str, expected: str, got: object) -> None:
        self.field, self.reason = field, f"expected {expected}, got {got!r:.80}"
        super().__init__(f'field "{field}": {self.reason}')

    def at(self, where: str) -> BadTask:
        """The same problem with its place, file and row."""
        return BadTask(where, self.field, self.reason)


class Suite(Sequence[Task]):
    """Tasks of one split. Subclasses set `name`, `version` and `splits`, and implement `__len__` and `task`.

    A suite creates tasks lazily: opening it must be cheap, and `task(i)` must return the same task in every process.

    Attributes:
        name: name of the suite in reports.
        version: incremented when a task, an answer or a picture changes.
        splits: names of the suite's splits; the first is the environment's default.
        licence: licence of the data.
        min_pixels: lower bound of the pixel budget per view that the suite is designed for. The default budget is
            Mini-o3's (Mini-o3/Mini-o3, README: 40,000 to 2,000,000).
        max_pixels: upper bound of that budget.
        wants_judge: why published numbers need a model judge, or "" if they do not. Runs without a model judge warn
            with this text.
        measure: name of the metrics that reports show besides accuracy, see `o3gym.runs.suite_metrics`; "" for none.
        revision: commit of the data if they were downloaded, otherwise "". Part of a run's protocol.
        own_tools: the tools that are enabled by default, for suites that are not searched with crop and zoom; empty for
            the environment's usual ones.
        turns: the number of turns that the suite is designed for, the environment's default of `max_turns`. The default
            is Mini-o3's training setting.
        grounded: whether questions are to be answered with the interval of the video that shows the answer.
        opened_files: the files that were read when the suite was opened; `make_suite` opens the suite again when one of
            them has changed.
        warnings: problems found when the data were loaded; reports repeat them.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "0"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    licence: ClassVar[str] = ""
    wants_judge: ClassVar[str] = ""
    measure: ClassVar[str] = ""
    own_tools: ClassVar[tuple[str, ...]] = ()
    turns: ClassVar[int] = 6
    grounded: bool = False
    min_pixels: int = 40_000
    max_pixels: int = 2_000_000
    opened_files: tuple[Path, ...] = ()

    def __init__(self, argument: str = "", split: str = "test") -> None:
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise ValueError(f'suite {self.name} has no split "{split}"{closest(split, self.splits)} (known: {known})')
        self.argument = argument
        self.split = split
        self.revision = ""
        self.warnings: tuple[str, ...] = ()

    @classmethod
    def about(cls, ask: bool = False) -> str:
        """Origin and licence of the tasks, for listings. Opens and downloads nothing.

        Args:
            ask: whether to query servers for details such as the download size.
        """
        return f"(licence: {cls.licence})" if cls.licence else ""

    def pick(self, count: int, seed: int) -> list[int]:
        """Indices of `count` distinct tasks (all if there are fewer), drawn with `seed`."""
        order = list(range(len(self)))
        random.Random(seed).shuffle(order)
        return order[:count]

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds in the suite ("choice", "free", "box", "span"). By default, all have the first task's kind."""
        return frozenset({self.first_task().kind})

    @property
    def has_videos(self) -> bool:
        """Whether there are videos among the sources of the tasks. By default, the first task decides."""
        return any(source.duration is not None for source in self.first_task().sources)

    @property
    def shortest_video(self) -> float:
        """Length in seconds of the shortest video of the first task; 1 if it has none."""
        return min((s.duration for s in self.first_task().sources if s.duration is not None), default=1.0)

    def first_task(self) -> Task:
        """The first task whose row is good. Raises `SuiteError` if more than `BAD_SHARE` of the rows are bad."""
        bad: list[BadTask] = []
        for index in itertools.count():
            try:
                return self[index]
            except BadTask as problem:
                bad.append(problem)
                check_bad_share(self.name, bad, len(self))
            except IndexError:
                break
        raise bad[0] if bad else SuiteError(f"{self.name} ({self.split}) has no tasks")

    def fingerprint(self) -> dict[str, str]:
        """Digests of the suite's files by name; part of a run's protocol, so that a run is not resumed on other data.

        Empty for suites whose data are identified by version and revision.
        """
        return {}

    @abstractmethod
    def task(self, index: int) -> Task:
        """The task at `index`, 0 ≤ index < len(self). Raises `BadTask` if the row of that index is bad."""

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | Sequence[Task]:
        if isinstance(index, slice):
            return [self.task(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"suite {self.name} ({self.split}) has {len(self)} tasks; index {index} is out of range")
        return self.task(index % len(self))


BAD_SHARE = 0.05
"""Largest share of bad rows that is skipped. More of them mean that the file, or its reader, is wrong."""
NAMED_ROWS = 5
"""Number of bad rows that a warning or an error names."""


def check_bad_share(name: str, bad: Collection[object], rows: int, error: type[ValueError] = SuiteError) -> None:
    """Raise `error` if more than `BAD_SHARE` of `rows` rows, and at least two, are bad."""
    if len(bad) >= 2 and len(bad) > BAD_SHARE * rows:
        raise error(f"{name}: {len(bad)} of {rows} rows are bad, more than {BAD_SHARE:.0%}: {some_of(bad)}")


def some_of(bad: Collection[object]) -> str:
    """The first `NAMED_ROWS` bad rows as text, and the number of the others."""
    more = f" (and {len(bad) - NAMED_ROWS} more)" if len(bad) > NAMED_ROWS else ""
    return "; ".join(map(str, itertools.islice(bad, NAMED_ROWS))) + more


OTHER_LIST = "the list belongs to another suite or split, or to the suite with other options"


class SelectedTasks(Suite):
    """The tasks of another suite that a list names, in the order of the list: the option `only=FILE` of every suite.

    Without the indices of the tasks, all tasks of the suite are read once to find the ids.

    Args:
        suite: the suite, without the option.
        file: the list, see `o3gym.suites.task_list.read_task_list`.

    Attributes:
        suite: as above.
        indices: the index of each task in the suite.

    Raises:
        TaskListError: the list is invalid, or names a task that the suite lacks. Only the first task is compared with
            its id here; a later one that differs raises from `task`.
    """

    SHARED = (
        *("name", "version", "splits", "licence", "wants_judge", "measure", "own_tools", "turns", "grounded"),
        *("min_pixels", "max_pixels", "argument", "split", "revision", "warnings"),
    )
    """Attributes that are those of the suite."""

    def __init__(self, suite: Suite, file: Path) -> None:
        self.suite, self._listed = suite, read_task_list(file)
        self.indices = [self._index(listed) for listed in self._with_indices()]
        vars(self).update({name: getattr(suite, name) for name in self.SHARED})  # after the suite counted its rows
        self.opened_files = (*suite.opened_files, file)
        with suppress(BadTask):  # a bad row is skipped where tasks are drawn
            self.task(0)

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds of the suite."""
        return self.suite.kinds

    @property
    def has_videos(self) -> bool:
        """Whether the suite has videos."""
        return self.suite.has_videos

    @property
    def shortest_video(self) -> float:
        """Length in seconds of the shortest video of the suite."""
        return self.suite.shortest_video

    def fingerprint(self) -> dict[str, str]:
        """The digests of the suite, and that of the list."""
        return {**self.suite.fingerprint(), "only_sha256": self.digest}

    @property
    def digest(self) -> str:
        """The SHA-256 of the ids in the list."""
        return hashlib.sha256(json.dumps([listed.id for listed in self._listed]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self._listed)

    def task(self, index: int) -> Task:
        """The task at `index` of the list. Raises `TaskListError` if the suite has another task in its place."""
        listed, place = self._listed[index], self.indices[index]
        task: Task = self.suite[place]
        if task.id != listed.id:
            raise TaskListError(
                f'{listed.where}, field "id": expected {task.id}, the task at index {place} of {self._described}, got '
                f"{listed.id}; {OTHER_LIST}"
            )
        return task

    @property
    def _described(self) -> str:
        return f"{self.suite.name} ({self.suite.split})"

    def _with_indices(self) -> list[ListedTask]:
        """The listed tasks with the indices of those ids that come without one."""
        if all(listed.index >= 0 for listed in self._listed):
            return self._listed
        found: dict[str, int] = {}
        for index in range(len(self.suite)):
            with suppress(BadTask):
                found[self.suite[index].id] = index
        return [one if one.index >= 0 else replace(one, index=found.get(one.id, -1)) for one in self._listed]

    def _index(self, listed: ListedTask) -> int:
        """The index of a listed task, which must be that of a task."""
        if listed.index < 0:
            raise TaskListError(f'{listed.where}, field "id": {self._described} has no task {listed.id}')
        if listed.index >= len(self.suite):
            raise TaskListError(
                f'{listed.where}, field "index": expected a number below {len(self.suite)}, the number of tasks of '
                f"{self._described}, got {listed.index}; {OTHER_LIST}"
            )
        return listed.index


OPEN_SUITES = 16
"""Number of opened suites that are kept."""
_opened: dict[tuple[str, str, str], tuple[Suite, tuple[tuple[int, int], ...]]] = {}
"""Opened suites and the state of their files when they were opened, the most recently used last."""


def make_suite(spec: str, split: str = "test", **options: Any) -> Suite:
    """Open a suite from a spec: "synthetic", "local:photos/index.jsonl", "synthetic?family=hidden".

    Every suite has the option `only`, see `SelectedTasks`. The most recently opened suites are cached and shared by all
    environments of the process; a suite is opened again when one of its `opened_files` has changed. Raises
    `UnknownName` with the closest known name, and TypeError for an option that the suite does not have.
    """
    key = (spec, split, json.dumps(options, sort_keys=True))
    stored = _opened.pop(key, None)
    name, argument, inline = parse_spec(spec)
    if "split" in inline:
        raise ValueError(f'suite "{spec}": the split is an argument of its own, not an option of the suite')
    if stored is None or stored[1] != _states(stored[0], argument):
        settings = {**inline, **options, "split": split}
        only = settings.pop("only", "")
        suite: Suite = build_plugin("suite", name, SUITES[name], argument, **settings)
        suite = SelectedTasks(suite, Path(str(only))) if only else suite
        stored = (suite, _states(suite, argument))
    _opened[key] = stored
    for old in list(_opened)[:-OPEN_SUITES]:
        _opened.pop(old, None)
    return stored[0]


def recommended_turns(spec: str) -> int:
    """The number of turns that a suite is designed for, without opening it; the usual one for an unknown suite."""
    suite = SUITES.get(parse_spec(spec)[0])
    turns: int = getattr(suite, "turns", Suite.turns)
    return turns


def _states(suite: Suite, argument: str) -> tuple[tuple[int, int], ...]:
    """The states of the files of a suite and of the path that its argument may be."""
    return tuple(map(file_state, (*suite.opened_files, *([Path(argument)] if argument else []))))
