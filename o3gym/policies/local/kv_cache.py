"""Keys and values of many dialogues, each in a row of its own that stays from turn to turn."""

from __future__ import annotations

from typing import Any

import torch

FIRST_TOKENS = 512
"""Tokens of room at the start; doubled whenever a dialogue outgrows it."""


class KVCache:
    """What attention layers keep, per layer two tensors of shape (rows, key-value heads, tokens, head size).

    Both dimensions grow by doubling. A forward pass works on a window of neighbouring rows, so that nothing is copied
    for it: whoever runs it moves the dialogues that take part next to each other with `swap`, once per turn and not
    once per token.

    transformers calls `update` from its attention layers.

    Args:
        layers: how many attention layers there are.

    Attributes:
        lengths: tokens kept per row.
    """

    def __init__(self, layers: int) -> None:
        self.lengths: list[int] = []
        self._tokens = 0
        self._keys: list[torch.Tensor | None] = [None] * layers
        self._values: list[torch.Tensor | None] = [None] * layers
        self._rows = slice(0, 0)
        self._begin = 0
        self._end = 0
        self._places: tuple[torch.Tensor, torch.Tensor] | None = None

    def add_rows(self, count: int) -> None:
        """Room for more dialogues."""
        self.lengths += [0] * count

    def swap(self, one: int, other: int) -> None:
        """Exchange two rows."""
        if one == other:
            return
        used, pair = max(self.lengths[one], self.lengths[other]), [one, other]
        for tensors in (self._keys, self._values):
            for layer, kept in enumerate(tensors):
                if kept is not None:
                    kept = tensors[layer] = self._roomy(kept, kept)
                    kept[pair, :, :used] = kept[pair[::-1], :, :used]
        self.lengths[one], self.lengths[other] = self.lengths[other], self.lengths[one]

    def window(self, start: int, count: int, tokens: int, device: Any) -> torch.Tensor:
        """Make ready for a forward pass of `tokens` (padded) new tokens on `count` rows from `start` on.

        Returns:
            The mask, bool (count, 1, tokens, kept + tokens): a token sees what is kept in its row, itself and what is
            new before it.
        """
        lengths = self.lengths[start : start + count]
        self._rows, self._begin, self._end = slice(start, start + count), min(lengths), max(lengths) + tokens
        while self._end > self._tokens:
            self._tokens = max(FIRST_TOKENS, 2 * self._tokens)
        last = torch.tensor(lengths, device=device)[:, None] + torch.arange(tokens, device=device)
        self._places = None
        if len(set(lengths)) > 1:
            self._places = torch.arange(start, start + count, device=device)[:, None], last
        return (torch.arange(self._end, device=device) <= last[:, :, None])[:, None]

    def advance(self, start: int, counts: list[int]) -> None:
        """The window's rows from `start` on keep this many of the new tokens each."""
        for row, count in enumerate(counts, start):
            self.lengths[row] += count

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store a layer's new keys and values (rows, heads, tokens, head size); returns all of them for the window."""
        return self._put(self._keys, layer_idx, keys), self._put(self._values, layer_idx, values)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens kept in the longest row of the window; for code that asks any cache."""
        return max(self.lengths[self._rows], default=0)

    def _put(self, tensors: list[torch.Tensor | None], layer: int, new: torch.Tensor) -> torch.Tensor:
        kept = tensors[layer] = self._roomy(tensors[layer], new)
        if self._places is None:
            kept[self._rows, :, self._begin : self._end] = new
        else:
            rows, places = (index.to(new.device) for index in self._places)
            kept[rows, :, places] = new.transpose(1, 2)
        return kept[self._rows, :, : self._end]

    def _roomy(self, kept: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
        """The tensor itself, or a copy with room for all rows and tokens.

        Room that was never written must be finite: attention multiplies it by zero, and 0 · NaN is NaN.
        """
        rows, tokens = len(self.lengths), self._tokens
        if kept is not None and kept.shape[0] >= rows and kept.shape[2] >= tokens:
            return kept
        roomy = new.new_zeros(rows, new.shape[1], tokens, new.shape[3])
        if kept is not None:
            roomy[: kept.shape[0], :, : kept.shape[2]] = kept
        return roomy
