"""Maps the row numbers of a stage to demonstrations of several sources, shuffled, and the same in every process."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from o3gym.policies.dialogue import Message
from o3gym.rollout.records import derive_seed
from o3gym.train.data.sources import Demonstrations, open_source, shuffled_order, size_of
from o3gym.train.recipe import MixturePart, RecipeError, Stage
from o3gym.types import Size

MAX_DRAWS = 16
"""Maximum number of replacements that are tried for a demonstration that is longer than the context."""


@dataclass(frozen=True)
class MixtureRow:
    """Where a row comes from: the `rank`-th draw from part `part` of the mixture, both from 0."""

    part: int
    rank: int


class Mixture:
    """The rows of one stage.

    With `steps`, the part of each row is drawn by weight; with `epochs`, every demonstration occurs once per epoch. A
    finite source is shuffled anew for each pass over it. Everything follows from the seed, so every process, every
    data-loader worker and a resumed training see the same rows.

    Args:
        stage: supplies the data, and steps or epochs.
        seed: seed of this stage.

    Attributes:
        rows: total number of rows.
        steps: total number of optimiser steps.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed
        self.sources: tuple[Demonstrations, ...] = tuple(map(_open, stage.data))
        self.sizes = tuple(map(size_of, self.sources))
        rng = np.random.default_rng(derive_seed(seed, "order"))
        self._parts = self._epochs(rng) if stage.epochs else self._weighted(rng)
        self.rows, self.steps = len(self._parts), len(self._parts) // stage.batch
        self._ranks = np.empty(self.rows, np.int64)
        for part in range(len(self.sources)):
            mine = self._parts == part
            self._ranks[mine] = np.arange(mine.sum())

    def fit(self, vision_size: Callable[[int, int], Size]) -> None:
        """Passes the processor's picture sizes to those sources that have a method `fit`."""
        for source in self.sources:
            if hasattr(source, "fit"):
                source.fit(vision_size)

    def where(self, index: int) -> MixtureRow:
        """Returns where row `index` comes from."""
        return MixtureRow(int(self._parts[index]), int(self._ranks[index]))

    def example(self, row: MixtureRow) -> Sequence[Message]:
        """Returns the demonstration of a row. Ranks beyond the rows of the stage are allowed, see `next_to`."""
        size, seed = self.sizes[row.part], derive_seed(self.seed, row.part)
        if not size:
            return self.sources[row.part].example(row.rank, seed)
        epoch, place = divmod(row.rank, size)
        return self.sources[row.part].example(shuffled_order(seed, epoch, size)[place], seed)

    def next_to(self, row: MixtureRow, attempt: int) -> MixtureRow:
        """Returns the replacement of a row that cannot be used, for attempt 1 to `MAX_DRAWS`.

        Its rank lies beyond all ranks of the stage, so that a replacement never takes the draw of another row.
        """
        drawn = int((self._parts == row.part).sum())
        return MixtureRow(row.part, drawn + row.rank * MAX_DRAWS + attempt - 1)

    def describe(self) -> list[dict[str, Any]]:
        """Returns for each part its source and options, the number of rows drawn, its size, and its fingerprint."""
        counts = np.bincount(self._parts, minlength=len(self.sources))
        return [
            {
                "source": part.source,
                "options": dict(part.options),
                "rows": int(count),
                "size": size,
                "fingerprint": getattr(source, "fingerprint", ""),
            }
            for part, count, size, source in zip(self.stage.data, counts, self.sizes, self.sources, strict=True)
        ]

    def _weighted(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        weights = np.array([part.weight for part in self.stage.data])
        return rng.choice(len(weights), self.stage.steps * self.stage.batch, p=weights / weights.sum())

    def _epochs(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Returns the part of each row, in a new order for each epoch; a further epoch fills up the last batch."""
        for part, size in zip(self.stage.data, self.sizes, strict=True):
            if not size:
                raise RecipeError(f"epochs: {part.source} is endless; give steps, or a number of examples")
        once = np.repeat(np.arange(len(self.sizes)), self.sizes)
        rows = math.ceil(self.stage.epochs * len(once) / self.stage.batch) * self.stage.batch
        orders = [rng.permutation(once) for _ in range(math.ceil(rows / len(once)))]
        return np.concatenate(orders)[:rows]


def _open(part: MixturePart) -> Demonstrations:
    return open_source(part.source, **part.options)
