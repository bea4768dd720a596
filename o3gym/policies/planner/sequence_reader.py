"""Reads a planner's sequences piece by piece, with the keys and values of what has been read kept."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

if TYPE_CHECKING:
    from o3gym.policies.planner.model import Planner


class SequenceReader:
    """Reads states, and then tokens after those that have been read, row by row. Gradients flow through what is kept.

    Args:
        planner: the planner.
        states: tokens of states with equally many tokens, int64 (rows, T), without `begin` and `separator`.

    Attributes:
        logits: scores of the token after each place that was read last, float32 (rows, places, vocabulary).
    """

    def __init__(self, planner: Planner, states: torch.Tensor) -> None:
        self._model = planner.model
        inner = getattr(self._model, "get_base_model", lambda: self._model)()  # the adapters' wrapper takes anything
        # Up to transformers 5.22, a model takes its keys and values under the second name.
        self._name = "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"
        self._cache = DynamicCache(config=inner.config)
        self._planner, self._state, self._read = planner, states.shape[1], 0
        self.logits = self.read(planner.prompts(states), logits_to_keep=1)

    def read(self, ids: torch.Tensor, **options: Any) -> torch.Tensor:
        """Reads further ids, int64 (rows, places), and returns the logits."""
        options |= {self._name: self._cache, **self._planner.positions(self._state, self._read, ids.shape[1])}
        self._read += ids.shape[1]
        self.logits = self._model(input_ids=ids, use_cache=True, **options).logits.float()
        return self.logits

    def branch(self, rows: torch.Tensor) -> None:
        """Replaces the rows: row i goes on from what row `rows[i]` has read."""
        if len(rows) != len(self.logits) or not torch.equal(rows, torch.arange(len(rows), device=rows.device)):
            self._cache.batch_select_indices(rows)
