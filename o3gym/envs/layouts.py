"""Where `PlanningEnv` takes its layouts from: drawn from seeds, or read from a file of released rows."""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np

from o3gym.arguments import check_whole
from o3gym.suites.base import BadTask, Suite, SuiteError, check_bad_share, make_suite, some_of
from o3gym.worlds import WORLDS, World, draw_world
from o3gym.worlds.records import task_world

KEPT_LAYOUTS = 4096
"""Number of drawn layouts that are kept in memory if episodes take a limited number; each takes 3 to 10 KiB."""
_keep_world = lru_cache(maxsize=KEPT_LAYOUTS)(draw_world)


class DrawnLayouts:
    """Layouts that are drawn from seeds: layout i is `draw_world(world, i, level, split)`.

    Args:
        world: "frozenlake", "maze" or "minibehaviour"
        level: cells per side; None draws one for each layout
        split: "train", "val", "test" or None for all layouts
        count: the number of layouts, from 0 on, that episodes take; None takes any
    """

    def __init__(self, world: str, level: int | None, split: str | None, count: int | None) -> None:
        self._world, self._level, self._split, self._count = world, level, split, count
        self.largest = level or max(WORLDS[world].levels)

    def pick(self, rng: np.random.Generator) -> World:
        """A layout drawn with a generator. It is kept for later episodes if their number is limited."""
        if self._count is None:
            return self[int(rng.integers(2**62))]
        return _keep_world(self._world, int(rng.integers(self._count)), self._level, self._split)

    def __getitem__(self, index: int) -> World:
        """Layout `index`, which need not be among those that episodes take. Raises ValueError if it is negative."""
        return draw_world(self._world, index, self._level, self._split)


class FileLayouts:
    """Layouts of released rows: layout i is that of the i-th row of the level, counted from 0.

    More than 5% of bad rows are an error. Fewer keep their index and are never picked; one warning names them.

    Args:
        world: "frozenlake", "maze" or "minibehaviour"
        level: the level whose rows are taken; None takes all
        file: path of the JSONL file
        count: the number of rows, from the first on, that are read; None reads all

    Raises:
        ValueError: the path is empty.
        SuiteError: the file cannot be read, has no good row, or too many bad ones.
    """

    def __init__(self, world: str, level: int | None, file: str, count: int | None) -> None:
        if not file:
            raise ValueError("data: expected the path of a JSONL file, got an empty text")
        self._suite = make_suite(f"planning-{world}", level=level, data=str(file), n=count or 0)
        self._good = _good_layouts(self._suite)
        self._indices = tuple(self._good)
        self.largest = level or max(max(WORLDS[world].levels), *(layout.level for layout in self._good.values()))

    def pick(self, rng: np.random.Generator) -> World:
        """The layout of a good row drawn with a generator."""
        return self._good[self._indices[int(rng.integers(len(self._indices)))]]

    def __getitem__(self, index: int) -> World:
        """Layout `index`. Raises `BadTask` for a bad row, and ValueError if there is no row with this index."""
        check_whole("layout", index, 0)
        if index >= len(self._suite):
            raise ValueError(f"layout: expected a number below {len(self._suite)}, the number of rows, got {index}")
        return self._good[index] if index in self._good else _layout(self._suite, index)


@lru_cache(maxsize=16)
def _good_layouts(suite: Suite) -> dict[int, World]:
    """The layouts of good rows by index. Read and warned about once for all environments of a process."""
    good: dict[int, World] = {}
    bad: list[BadTask] = []
    for index in range(len(suite)):
        try:
            good[index] = _layout(suite, index)
        except BadTask as problem:
            bad.append(problem)
    check_bad_share(suite.name, bad, len(suite))
    if not good:
        raise SuiteError(f"{suite.name}: no row is good: {some_of(bad)}")
    if bad:
        warnings.warn(f"{suite.name}: skipped {len(bad)} of {len(suite)} rows: {some_of(bad)}", stacklevel=4)
    return good


def _layout(suite: Suite, index: int) -> World:
    world = task_world(suite[index])
    assert world is not None, "every task of a suite of planning has a layout"
    return world
