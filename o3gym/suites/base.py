"""The suite interface: a named, versioned sequence of tasks of one split."""

from __future__ import annotations

import json
import random
from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, overload

from o3gym.registry import SUITES, build_plugin, closest, parse_spec
from o3gym.types import Task


class SuiteError(ValueError):
    """Invalid suite data. The message names the file, row and field, the expected value and the actual value."""


class BadRow(Exception):  # noqa: N818 - becomes a SuiteError with file and row
    """An invalid field of a row, raised where the file and row number are not known."""

    def __init__(self, field: str, expected: str, got: object) -> None:
        super().__init__(f'field "{field}": expected {expected}, got {got!r:.80}')


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
        warnings: problems found when the data were loaded; reports repeat them.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "0"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    licence: ClassVar[str] = ""
    wants_judge: ClassVar[str] = ""
    measure: ClassVar[str] = ""
    min_pixels: int = 40_000
    max_pixels: int = 2_000_000

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
        """The task kinds in the suite ("choice", "free", "box"). By default, all tasks have the first task's kind."""
        return frozenset({self[0].kind})

    @abstractmethod
    def task(self, index: int) -> Task:
        """The task at `index`, 0 ≤ index < len(self)."""

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


def make_suite(spec: str, split: str = "test", **options: Any) -> Suite:
    """Open a suite from a spec: "synthetic", "local:photos/index.jsonl", "synthetic?family=hidden".

    The sixteen most recently opened suites are cached and shared by all environments of the process; a suite is opened
    again when the file in its spec has changed. Raises `UnknownName` with the closest known name, and TypeError for an
    option that the suite does not have.
    """
    path = Path(parse_spec(spec)[1])
    modified = path.stat().st_mtime_ns if path.exists() else 0
    return _open(spec, split, json.dumps(options, sort_keys=True), modified)


@lru_cache(maxsize=16)
def _open(spec: str, split: str, options: str, modified: int) -> Suite:
    # `modified` is only a part of the cache key.
    name, argument, inline = parse_spec(spec)
    suite: Suite = build_plugin(
        "suite", name, SUITES[name], argument, **{**inline, **json.loads(options), "split": split}
    )
    return suite
