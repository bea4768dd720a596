"""Maps the row numbers of a stage to demonstrations of several sources, shuffled, and the same in every process."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from o3gym.policies.dialogue import Message
from o3gym.rollout.records import derive_seed
from o3gym.suites.base import NAMED_ROWS
from o3gym.suites.drawing import BadRows
from o3gym.suites.released.table import replaced_warning
from o3gym.train.data.demonstrations import has_surrogate
from o3gym.train.data.sources import (
    BadDemonstration,
    Demonstrations,
    SourceError,
    open_source,
    replaced_in,
    size_of,
)
from o3gym.train.data.task_order import shuffled_order
from o3gym.train.recipe import MixturePart, RecipeError, Stage
from o3gym.types import Size

MAX_DRAWS = 16
"""Maximum number of replacements that are tried for a demonstration that is bad or longer than the context."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MixtureRow:
    """Where a row comes from: the `rank`-th draw from part `part` of the mixture, both from 0."""

    part: int
    rank: int


class Mixture:
    """The rows of one stage.

    With `steps`, the part of each row is drawn by weight and `general_share`; with `epochs`, every demonstration occurs
    once per epoch. A finite source is shuffled anew for each pass over it. Everything follows from the seed, so every
    process, every data-loader worker and a resumed training see the same rows.

    Args:
        stage: supplies the data, and steps or epochs.
        seed: seed of this stage.

    Attributes:
        rows: total number of rows.
        steps: total number of optimiser steps.
        bad: for each part, the demonstrations that this process could not read, by their number in the source.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed
        self.sources: tuple[Demonstrations, ...] = tuple(map(_open, stage.data))
        self.sizes = tuple(map(size_of, self.sources))
        self.bad = tuple(
            BadRows(part.source, range(size), SourceError) for part, size in zip(stage.data, self.sizes, strict=True)
        )
        for data, source in zip(stage.data, self.sources, strict=True):
            if count := replaced_in(source):
                _logger.warning(replaced_warning(data.source, count, "demonstration"))
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
        """Returns the demonstration of a row. Ranks beyond the rows of the stage are allowed, see `next_to`.

        Raises `BadDemonstration` if it cannot be read, or if it holds a lone surrogate, which no tokenizer can encode.
        Our own sources replace and count those.
        """
        messages = self.sources[row.part].example(self._number(row), derive_seed(self.seed, row.part))
        if any(has_surrogate(part) for message in messages for part in message.parts):
            raise BadDemonstration(f"demonstration {self._number(row)} holds a lone surrogate, which is no character")
        return messages

    def _number(self, row: MixtureRow) -> int:
        """Returns the number of a row's demonstration in its source."""
        if not (size := self.sizes[row.part]):
            return row.rank
        epoch, place = divmod(row.rank, size)
        return shuffled_order(derive_seed(self.seed, row.part), epoch, size)[place]

    def note(self, row: MixtureRow, problem: Exception | None = None) -> None:
        """Notes that the demonstration of a row was read, or why it could not be, and logs the latter.

        Raises:
            SourceError: more than 5% of the demonstrations that were read are bad, see `BadRows.drawn`.
        """
        bad = self.bad[row.part]
        bad.drawn(self._number(row), problem)
        for new in bad.unnamed()[: max(0, NAMED_ROWS + 1 - len(bad))]:
            _logger.warning("%s: a demonstration is skipped: %s", self.stage.data[row.part].source, new)

    def next_to(self, row: MixtureRow, attempt: int) -> MixtureRow:
        """Returns the replacement of a row that cannot be used, for attempt 1 to `MAX_DRAWS`.

        Its rank lies beyond all ranks of the stage, so that a replacement never takes the draw of another row.
        """
        drawn = int((self._parts == row.part).sum())
        return MixtureRow(row.part, drawn + row.rank * MAX_DRAWS + attempt - 1)

    def describe(self) -> list[dict[str, Any]]:
        """Returns for each part its source, options, number of rows drawn, size, fingerprint and replaced rows."""
        counts = np.bincount(self._parts, minlength=len(self.sources))
        return [
            {
                "source": part.source,
                "options": dict(part.options),
                "rows": int(count),
                "size": size,
                "fingerprint": getattr(source, "fingerprint", ""),
                "replaced": replaced_in(source),
            }
            for part, count, size, source in zip(self.stage.data, counts, self.sizes, self.sources, strict=True)
        ]

    def _weighted(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        weights = np.array([part.weight for part in self.stage.data])
        if (share := self.stage.general_share) is not None:
            weights[-1] = 0.0
            weights *= (1 - share) / weights.sum()
            weights[-1] = share
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
