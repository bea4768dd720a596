"""The KV cache: keys and values of many dialogues, each in a row of its own that is kept from turn to turn."""

from __future__ import annotations

from typing import Any

import torch

FIRST_TOKENS = 512
"""Initial capacity of a row in tokens; it doubles whenever a dialogue outgrows it."""


class KVCache:
    """Keys and values, per layer two tensors of shape (rows, key-value heads, tokens, head size).

    Rows and tokens grow by doubling. A forward pass works on a window: a slice of neighbouring rows, which torch takes
    without copying. Any other set of rows would have to be gathered from every layer for each token. So the caller
    moves the dialogues that take part next to each other with `swap`, once per turn and not once per token.

    Rows in a window may hold different numbers of tokens. New tokens are written right behind each row's own, so no row
    ever contains padding between its turns; the mask hides whatever lies beyond a row's end.

    The attention layers of transformers call `update`.

    Args:
        layers: number of attention layers.

    Attributes:
        lengths: number of cached tokens per row.
    """

    def __init__(self, layers: int) -> None:
        self.lengths: list[int] = []
        self._tokens = 0  # capacity of a row
        self._keys: list[torch.Tensor | None] = [None] * layers
        self._values: list[torch.Tensor | None] = [None] * layers
        # the window of the current forward pass
        self._rows = slice(0, 0)
        self._begin = 0  # end of its shortest row, where that row's new tokens go
        self._end = 0  # end of its longest row, new tokens included
        self._places: tuple[torch.Tensor, torch.Tensor] | None = None  # None while all of its rows are equally long

    def add_rows(self, count: int) -> None:
        """Adds empty rows. The tensors grow when they are next written."""
        self.lengths += [0] * count

    def swap(self, one: int, other: int) -> None:
        """Exchanges two rows."""
        if one == other:
            return
        used, pair = max(self.lengths[one], self.lengths[other]), [one, other]
        for tensors in (self._keys, self._values):
            for layer, tensor in enumerate(tensors):
                if tensor is not None:
                    tensor = tensors[layer] = self._with_capacity(tensor, tensor)
                    # indexing with a list copies, so the right side is complete before the left side is overwritten
                    tensor[pair, :, :used] = tensor[pair[::-1], :, :used]
        self.lengths[one], self.lengths[other] = self.lengths[other], self.lengths[one]

    def window(self, start: int, count: int, tokens: int, device: Any) -> torch.Tensor:
        """Prepares a forward pass of `tokens` new tokens per row (right-padded) on `count` rows from `start`.

        Returns:
            The attention mask, bool (count, 1, tokens, longest row with new tokens). A token attends to its row's
            cached tokens, to the new tokens before it, and to itself.
        """
        lengths = self.lengths[start : start + count]
        self._rows, self._begin, self._end = slice(start, start + count), min(lengths), max(lengths) + tokens
        while self._end > self._tokens:
            self._tokens = max(FIRST_TOKENS, 2 * self._tokens)
        # (count, tokens): the place in its row at which each new token is stored
        places = torch.tensor(lengths, device=device)[:, None] + torch.arange(tokens, device=device)
        # equally long rows are written with one slice; rows of different lengths need an index per token
        ragged = len(set(lengths)) > 1
        self._places = (torch.arange(start, start + count, device=device)[:, None], places) if ragged else None
        # Causality alone suffices. Padding is on the right, so it lies behind every real token of its row and none
        # attends to it; the outputs at padded places are garbage that nobody reads.
        return (torch.arange(self._end, device=device) <= places[:, :, None])[:, None]

    def advance(self, start: int, counts: list[int]) -> None:
        """Keeps the first `counts[i]` new tokens of row `start + i`.

        The padding behind them was stored too. It is not counted, so the next forward pass overwrites it.
        """
        for row, count in enumerate(counts, start):
            self.lengths[row] += count

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Stores a layer's new keys and values (rows, heads, tokens, head size); returns all those of the window."""
        return self._put(self._keys, layer_idx, keys), self._put(self._values, layer_idx, values)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Cached tokens of the longest row in the window, for transformers code that asks any cache."""
        return max(self.lengths[self._rows], default=0)

    def _put(self, tensors: list[torch.Tensor | None], layer: int, new: torch.Tensor) -> torch.Tensor:
        stored = tensors[layer] = self._with_capacity(tensors[layer], new)
        if self._places is None:
            stored[self._rows, :, self._begin : self._end] = new
        else:
            # the layers of a model may be spread over several devices
            rows, places = (index.to(new.device) for index in self._places)
            # two index tensors around a slice move the indexed axes to the front: (rows, tokens, heads, head size)
            stored[rows, :, places] = new.transpose(1, 2)
        return stored[self._rows, :, : self._end]

    def _with_capacity(self, stored: torch.Tensor | None, new: torch.Tensor) -> torch.Tensor:
        """Returns the tensor itself, or a larger copy if it lacks room for all rows and tokens.

        Capacity that was never written must hold finite values, so it is filled with zeros. The mask gives it a weight
        of 0, but attention still multiplies by it, and 0 · NaN is NaN.
        """
        rows, tokens = len(self.lengths), self._tokens
        if stored is not None and stored.shape[0] >= rows and stored.shape[2] >= tokens:
            return stored
        larger = new.new_zeros(rows, new.shape[1], tokens, new.shape[3])
        if stored is not None:
            larger[: stored.shape[0], :, : stored.shape[2]] = stored
        return larger
