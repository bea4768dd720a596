"""What a suite is: a named, versioned sequence of tasks of one split."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, overload

from o3gym.registry import SUITES, closest, parse_spec
from o3gym.types import Task


class Suite(Sequence[Task]):
    """Tasks of one split. Subclass, set `name`, `version` and `splits`, implement `__len__` and `task`.

    A suite makes tasks lazily: opening it must be cheap, and `task(i)` gives the same task in every process.

    Attributes:
        name: how reports call it.
        version: raised when a task, an answer or a picture changes.
        splits: names of the splits it has; the first is the default of the environment.
        licence: of the data.
        warnings: what was odd about the data when it was loaded; reports repeat them.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "0"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    licence: ClassVar[str] = ""

    def __init__(self, argument: str = "", split: str = "test") -> None:
        if split not in self.splits:
            known = ", ".join(self.splits)
            raise ValueError(f'suite {self.name} has no split "{split}"{closest(split, self.splits)} (known: {known})')
        self.argument = argument
        self.split = split
        self.warnings: tuple[str, ...] = ()

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

    Raises `UnknownName` with the closest name, and TypeError naming an option that the suite does not take.
    """
    name, argument, inline = parse_spec(spec)
    suite: Suite = SUITES[name](argument, split=split, **{**inline, **options})
    return suite
