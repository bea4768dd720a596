"""Draws tasks from suites and skips their bad rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized

import numpy as np

from o3gym.suites.base import BadTask, Suite, SuiteError, check_bad_share, some_of
from o3gym.types import Task

SHARE_FROM = 1000
"""Number of rows from which a share of bad rows is meaningful while a training draws one row after the other."""


class BadRows(dict[int, Exception]):
    """The bad rows among those that a training has drawn one by one, by index.

    Args:
        name: name of the data, for the error.
        data: the data; empty if they are endless. They are only counted if a row is bad, because counting the rows of a
            table may take long.
        error: type of the error that too many bad rows are.
    """

    def __init__(self, name: str, data: Sized, error: type[ValueError] = SuiteError) -> None:
        super().__init__()
        self._name, self._data, self._error = name, data, error
        self._drawn: set[int] = set()
        self._named = 0

    def drawn(self, index: int, problem: Exception | None = None) -> None:
        """Note that a row was drawn, and what is wrong with it.

        Raises an error if more than 5% of the rows drawn so far are bad. Fewer than `SHARE_FROM` rows count as that
        many, but at most as all rows, so that a chance excess among the first rows of a long training is no error.
        """
        self._drawn.add(index)
        if problem is not None:
            self[index] = problem
            rows = max(len(self._drawn), min(len(self._data) or SHARE_FROM, SHARE_FROM))
            check_bad_share(self._name, self.values(), rows, self._error)

    def unnamed(self) -> list[Exception]:
        """The bad rows since the last call, without those that an earlier call returned."""
        new, self._named = list(self.values())[self._named :], len(self)
        return new


class GoodTasks:
    """Draws tasks from a suite one by one and skips its bad rows.

    Args:
        suite: the suite.

    Attributes:
        bad: the bad rows that were skipped.
    """

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.bad = BadRows(_name(suite), suite)

    def first(self, indices: Iterable[int]) -> tuple[int, Task]:
        """The first of `indices` whose row is good, and its task.

        Raises:
            SuiteError: no row is good, or too many are bad, see `BadRows.drawn`.
        """
        for index in indices:
            try:
                task = self.suite[index]
            except BadTask as problem:
                self.bad.drawn(index, problem)
            else:
                self.bad.drawn(index)
                return index, task
        raise SuiteError(f"{_name(self.suite)}: no row is good: {some_of(self.bad.values())}")

    def draw(self, rng: np.random.Generator) -> Task:
        """A random task. Raises `SuiteError` as `first` does."""
        return self.first(self._random(rng))[1]

    def _random(self, rng: np.random.Generator) -> Iterator[int]:
        """Indices of tasks in random order. Those after the first one are drawn only if its row is bad."""
        yield int(rng.integers(len(self.suite)))
        yield from map(int, rng.permutation(len(self.suite)))


def take_tasks(
    suite: Suite, indices: Iterable[int], count: int, strict: bool = False
) -> tuple[dict[int, Task], dict[int, BadTask]]:
    """The first `count` of `indices` whose rows are good, or all of them if there are fewer.

    Args:
        suite: the suite.
        indices: indices of different tasks.
        count: number of tasks to take.
        strict: whether the first bad row is an error.

    Returns:
        The tasks, and the bad rows that were skipped, by index and in order.

    Raises:
        SuiteError: no row is good; more than 5% of the rows that were tried are bad, and at least two; or, if `strict`,
            any row is bad.
    """
    tasks: dict[int, Task] = {}
    bad: dict[int, BadTask] = {}
    for index in indices:
        if len(tasks) == count:
            break
        try:
            tasks[index] = suite[index]
        except BadTask as problem:
            if strict:
                raise
            bad[index] = problem
            check_bad_share(_name(suite), bad.values(), min(len(suite), count + len(bad)))
    if bad and not tasks:
        raise SuiteError(f"{_name(suite)}: no row is good: {some_of(bad.values())}")
    return tasks, bad


def _name(suite: Suite) -> str:
    return f"{suite.name} ({suite.split})"
