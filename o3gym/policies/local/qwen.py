"""One forward pass of a Qwen vision-language model over neighbouring rows of a cache, each at its own position."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from o3gym.policies.local.encoding import Encoder, Patches
from o3gym.policies.local.kv_cache import KVCache
from o3gym.policies.local.token_sequences import TokenSequence, rope_positions

QWEN_FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
"""Model types that are built from the parts used here."""
PATCHES = 65_536
"""Patches that go through the vision tower at once, unless a single picture has more."""


def has_own_loop(config: Any) -> bool:
    """Whether a model with this configuration can be run here: one of `QWEN_FAMILIES` with full attention in all layers."""
    kinds = getattr(config.get_text_config(), "layer_types", None) or ["full_attention"]
    return config.model_type in QWEN_FAMILIES and set(kinds) == {"full_attention"}


class Qwen:
    """The parts of a model, and the cache that they write to.

    Args:
        model: `…ForConditionalGeneration` for which `has_own_loop`, in eval mode.
        encoder: of its processor.

    Attributes:
        cache: keys and values.
        device: of the ids that go in and the logits that come out.
    """

    def __init__(self, model: Any, encoder: Encoder) -> None:
        self._body, self._head, self._encoder = model.model, model.lm_head, encoder
        self._words = self._body.language_model
        self._embed = self._words.embed_tokens
        self._merge = int(encoder.processor.image_processor.merge_size)
        names = inspect.signature(self._words.forward).parameters
        self._cache_name = "cache" if "cache" in names else "past_key_values"  # its name up to transformers 5.22
        self._deep = "deepstack_visual_embeds" in names
        self._masks_by_kind = hasattr(self._words, "has_sliding_layers")
        self.device = self._embed.weight.device
        self.cache = KVCache(len(self._words.layers))

    def read(self, contexts: Sequence[TokenSequence], start: int) -> torch.Tensor:
        """Read what is new to each context, which sits in row `start`, `start + 1`, …; its cache and position follow.

        Returns:
            Logits (contexts, vocabulary) of what comes next.
        """
        new = [context.ids[context.kept :] for context in contexts]
        longest = max(map(len, new))
        ids = np.full((len(new), longest), self._encoder.pad, np.int64)
        positions = np.zeros((3, len(new), longest), np.int64)
        ends = []
        for row, (context, part) in enumerate(zip(contexts, new, strict=True)):
            ids[row, : len(part)] = part
            images = [image for image in context.images if isinstance(image, Patches)]
            places, end = rope_positions(part, images, self._encoder.image_id, self._merge, context.position)
            positions[:, row, : len(part)] = places
            ends.append(end)
        seen, extra = self._seen(self._tensor(ids), [i for context in contexts for i in context.images])
        hidden = self._forward(seen, self._tensor(positions), start, extra)
        last = self._tensor(np.asarray([len(part) - 1 for part in new]))
        self._advance(contexts, start, [len(part) for part in new], ends)
        return self._logits(hidden[torch.arange(len(new), device=hidden.device), last.to(hidden.device)])

    def write(self, contexts: Sequence[TokenSequence], tokens: Sequence[int]) -> torch.Tensor:
        """Feed one token to each of the contexts in rows 0, 1, …; as `read`. Their ids are not changed."""
        ids = torch.tensor(tokens, device=self.device)[:, None]
        places = torch.tensor([context.position for context in contexts], device=self.device)
        hidden = self._forward(self._embed(ids), places[None, :, None].expand(3, -1, 1), 0, {})
        self._advance(contexts, 0, [1] * len(contexts), [context.position + 1 for context in contexts])
        return self._logits(hidden[:, -1])

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self._head(hidden)
        return made.to(self.device)

    def _advance(self, contexts: Sequence[TokenSequence], start: int, counts: list[int], ends: list[int]) -> None:
        self.cache.advance(start, counts)
        for context, count, end in zip(contexts, counts, ends, strict=True):
            context.kept += count
            context.position = end

    def _forward(self, embedded: torch.Tensor, positions: torch.Tensor, start: int, extra: Any) -> torch.Tensor:
        """Hidden states (rows, tokens, width) after the last layer."""
        mask: Any = self.cache.window(start, embedded.shape[0], embedded.shape[1], self.device)
        if self._masks_by_kind:
            mask = {"full_attention": mask}
        given = {self._cache_name: self.cache, "attention_mask": mask, "use_cache": True, **extra}
        made: torch.Tensor = self._words(inputs_embeds=embedded, position_ids=positions, **given).last_hidden_state
        return made

    def _seen(self, ids: torch.Tensor, images: Sequence[Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """The ids' embeddings with pictures in their places, and what Qwen3-VL adds to the first layers there."""
        embedded = self._embed(ids)
        if not images:
            return embedded, {}
        places = ids == self._encoder.image_id
        features, deep = self._features(images)
        embedded = embedded.masked_scatter(places[..., None], features.to(embedded.device, embedded.dtype))
        return embedded, {"visual_pos_masks": places, "deepstack_visual_embeds": deep} if self._deep else {}

    def _features(self, images: Sequence[Patches]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """What the vision tower makes of pictures: (tokens, width), and per deepstack layer the same."""
        made = [self._looked(part) for part in _portions(images)]
        features = torch.cat([f for portion in made for f in portion.pooler_output])
        deep = [portion.deepstack_features for portion in made] if self._deep else []
        # per layer one tensor in transformers 5.17, one per picture in 5.24
        layers = [
            [[part] if isinstance(part, torch.Tensor) else part for part in layer] for layer in zip(*deep, strict=True)
        ]
        return features, [torch.cat(list(chain.from_iterable(layer))) for layer in layers]

    def _looked(self, images: Sequence[Patches]) -> Any:
        given = self._encoder.inputs([images])
        return self._body.get_image_features(
            given["pixel_values"].to(self.device), given["image_grid_thw"].to(self.device), return_dict=True
        )


def _portions(images: Sequence[Patches]) -> list[list[Patches]]:
    """The pictures in groups of at most `PATCHES` patches."""
    groups: list[list[Patches]] = []
    count = PATCHES
    for image in images:
        if count + len(image.rows) > PATCHES:
            groups.append([])
            count = 0
        groups[-1].append(image)
        count += len(image.rows)
    return groups
