"""Which demonstration is row number i of a stage: draws from several sources, shuffled, the same in every process."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from o3gym.policies.dialogue import Message
from o3gym.rollout.records import derive_seed
from o3gym.train.data.sources import Demonstrations, open_source, shuffled_order, size_of
from o3gym.train.recipe import RecipeError, Stage
from o3gym.types import Size

MAX_DRAWS = 16
"""Demonstrations that are looked at in place of one that is longer than the context."""


@dataclass(frozen=True)
class MixtureRow:
    """Where a row comes from: part `part` of the mixture, its `rank`-th draw."""

    part: int
    rank: int


class Mixture:
    """The rows of one stage.

    With `steps`, each row's part is drawn by weight; with `epochs`, every demonstration comes once per epoch. A finite
    source is shuffled anew each time it has been gone through.

    Args:
        stage: its data, and its steps or epochs.
        seed: of this stage.

    Attributes:
        rows, steps: how many there are in all.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed
        self.sources: tuple[Demonstrations, ...] = tuple(_open(stage, i) for i in range(len(stage.data)))
        self.sizes = tuple(map(size_of, self.sources))
        rng = np.random.default_rng(derive_seed(seed, "order"))
        self._parts = self._epochs(rng) if stage.epochs else self._weighted(rng)
        self.rows, self.steps = len(self._parts), len(self._parts) // stage.batch
        self._ranks = np.empty(self.rows, np.int64)
        for part in range(len(self.sources)):
            mine = self._parts == part
            self._ranks[mine] = np.arange(mine.sum())

    def fit(self, vision_size: Callable[[int, int], Size]) -> None:
        """Tell the sources that ask (by a method `fit`) to which sizes the processor brings pictures."""
        for source in self.sources:
            if hasattr(source, "fit"):
                source.fit(vision_size)

    def where(self, index: int) -> MixtureRow:
        """Where row `index` comes from."""
        return MixtureRow(int(self._parts[index]), int(self._ranks[index]))

    def example(self, row: MixtureRow) -> Sequence[Message]:
        """The demonstration of a row; ranks beyond those of the stage go on."""
        size, seed = self.sizes[row.part], derive_seed(self.seed, row.part)
        if not size:
            return self.sources[row.part].example(row.rank, seed)
        epoch, place = divmod(row.rank, size)
        return self.sources[row.part].example(shuffled_order(seed, epoch, size)[place], seed)

    def next_to(self, row: MixtureRow, attempt: int) -> MixtureRow:
        """What to take instead of a row that cannot be used, for attempt 1 to `MAX_DRAWS`; no row of the stage itself."""
        drawn = int((self._parts == row.part).sum())
        return MixtureRow(row.part, drawn + row.rank * MAX_DRAWS + attempt - 1)

    def describe(self) -> list[dict[str, Any]]:
        """Per part: the source, how many rows are drawn from it, how many it has, and its fingerprint."""
        counts = np.bincount(self._parts, minlength=len(self.sources))
        return [
            {
                "source": draw.source,
                "options": dict(draw.options),
                "rows": int(count),
                "size": size,
                "fingerprint": getattr(source, "fingerprint", ""),
            }
            for draw, count, size, source in zip(self.stage.data, counts, self.sizes, self.sources, strict=True)
        ]

    def _weighted(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        weights = np.array([draw.weight for draw in self.stage.data])
        return rng.choice(len(weights), self.stage.steps * self.stage.batch, p=weights / weights.sum())

    def _epochs(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Every epoch in its own order; the last batch is filled up with draws of a further one."""
        for draw, size in zip(self.stage.data, self.sizes, strict=True):
            if not size:
                raise RecipeError(f"epochs: {draw.source} is endless; give steps, or a number of examples")
        once = np.repeat(np.arange(len(self.sizes)), self.sizes)
        rows = math.ceil(self.stage.epochs * len(once) / self.stage.batch) * self.stage.batch
        orders = [rng.permutation(once) for _ in range(math.ceil(rows / len(once)))]
        return np.concatenate(orders)[:rows]


def _open(stage: Stage, part: int) -> Demonstrations:
    draw = stage.data[part]
    return open_source(draw.source, **draw.options)
