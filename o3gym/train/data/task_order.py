"""The order in which a training takes the tasks of a suite, and what happens at a bad row."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from o3gym.rollout.records import derive_seed
from o3gym.suites.base import Suite
from o3gym.suites.drawing import GoodTasks

_logger = logging.getLogger(__name__)


@lru_cache(8)
def shuffled_order(seed: int, epoch: int, size: int) -> list[int]:
    """Returns the numbers below `size` in a random order that follows from seed and epoch."""
    order: list[int] = np.random.default_rng(derive_seed(seed, "shuffle", epoch)).permutation(size).tolist()
    return order


class TaskOrder:
    """The endless order of a suite's tasks, which is shuffled anew for each epoch.

    A bad row is replaced by the next good one of its epoch. So the task of a place follows from seed and place alone:
    processes stay in step without asking each other, and a resumed training takes the same tasks.

    The main process logs the suite's warnings, such as the number of rows with lone surrogates.

    Args:
        suite: the suite.

    Attributes:
        replaced: number of draws so far whose row was bad.
        bad: the bad rows that were drawn so far.
    """

    def __init__(self, suite: Suite) -> None:
        self.suite, self.replaced = suite, 0
        self._good = GoodTasks(suite)
        self.bad = self._good.bad
        for warning in suite.warnings if os.environ.get("RANK", "0") == "0" else ():
            _logger.warning("%s", warning)

    def at(self, seed: int, place: int) -> int:
        """Returns the index of the task at a place of the order that `seed` gives.

        Raises:
            SuiteError: more than 5% of the rows drawn so far are bad, see `GoodTasks.first`.
        """
        epoch, rank = divmod(place, len(self.suite))
        order = shuffled_order(seed, epoch, len(self.suite))
        return self._first(order[rank], (order[(rank + step) % len(order)] for step in range(1, len(order))))

    def or_another(self, index: int, seed: int) -> int:
        """Returns `index` if its row is good, otherwise the index of another row, which follows from `seed`."""
        return self._first(index, self._shuffled(seed))

    def _first(self, index: int, others: Iterator[int]) -> int:
        found, _ = self._good.first(_chained(index, others))
        self.replaced += found != index
        return found

    def _shuffled(self, seed: int) -> Iterator[int]:
        yield from shuffled_order(seed, 0, len(self.suite))


def _chained(first: int, others: Iterator[int]) -> Iterator[int]:
    yield first
    yield from others
