"""What a suite is: a named, versioned sequence of tasks of one split."""

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
    """The data of a suite are not as expected; the message gives file, row, field, what was expected and what came."""


class BadRow(Exception):  # noqa: N818 - becomes a SuiteError with file and row
    """A field of a row is not as expected."""

    def __init__(self, field: str, expected: str, got: object) -> None:
        super().__init__(f'field "{field}": expected {expected}, got {got!r:.80}')


class Suite(Sequence[Task]):
    """Tasks of one split. Subclass, set `name`, `version` and `splits`, implement `__len__` and `task`.

    A suite makes tasks lazily: opening it must be cheap, and `task(i)` gives the same task in every process.

    Attributes:
        name: how reports call it.
        version: raised when a task, an answer or a picture changes.
        splits: names of the splits it has; the first is the default of the environment.
        licence: of the data.
        min_pixels, max_pixels: pixel budget of a shown picture that the suite is made for. The default is Mini-o3's
            (Mini-o3/Mini-o3, README: 40,000 to 2,000,000).
        wants_judge: why its published numbers need a model judge; "" where they do not. Reports say so where none is.
        measure: name of what its reports say besides accuracy, see `o3gym.runs.suite_metrics`; "" for nothing.
        revision: commit of the data, where they were downloaded; "" elsewhere. A part of a run's protocol.
        warnings: what was odd about the data when it was loaded; reports repeat them.
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
        """Where its tasks come from and under which licence, for lists; nothing is opened or downloaded.

        Args:
            ask: whether servers are asked for what is not known here, such as the size of a download.
        """
        return f"(licence: {cls.licence})" if cls.licence else ""

    def pick(self, count: int, seed: int) -> list[int]:
        """Indices of `count` different tasks (all of them if there are fewer), drawn by `seed`."""
        order = list(range(len(self)))
        random.Random(seed).shuffle(order)
        return order[:count]

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of its tasks ("choice", "free", "box"); that of the first task unless a suite mixes them."""
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
            raise IndexError(f"suite {self.name} ({self.split}) has {len(self)} tasks, asked for {index}")
        return self.task(index % len(self))


def make_suite(spec: str, split: str = "test", **options: Any) -> Suite:
    """Open a suite by name: "synthetic", "local:photos/index.jsonl", "synthetic?family=hidden".

    The sixteen opened last are shared by all environments of the process, until the file that they name changes.
    Raises `UnknownName` with the closest name, and TypeError naming an option that the suite does not take.
    """
    path = Path(parse_spec(spec)[1])
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _open(spec, split, json.dumps(options, sort_keys=True), changed)


@lru_cache(maxsize=16)
def _open(spec: str, split: str, options: str, changed: int) -> Suite:
    name, argument, inline = parse_spec(spec)
    suite: Suite = build_plugin(
        "suite", name, SUITES[name], argument, **{**inline, **json.loads(options), "split": split}
    )
    return suite
