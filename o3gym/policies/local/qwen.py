"""Forward passes of a Qwen vision-language model over neighbouring rows of a KV cache, each row at its own position.

The parts of the model are called one by one, because its own `forward` keeps the position offset of the last prefill as
state of the whole model (`rope_deltas`). Dialogues that join a batch at different times could not be decoded that way,
and a dialogue could not read new pictures on top of a cache.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch

from o3gym.policies.local.encoding import Encoder, Patches
from o3gym.policies.local.internals import check_internals
from o3gym.policies.local.kv_cache import KVCache
from o3gym.policies.local.token_sequences import TokenSequence, rope_positions

QWEN_FAMILIES: Mapping[str, str] = {
    "qwen2_vl": "Qwen2VL",
    "qwen2_5_vl": "Qwen2_5_VL",
    "qwen3_vl": "Qwen3VL",
    "qwen3_vl_moe": "Qwen3VLMoe",
}
"""Model types that consist of the parts called here, and the prefix of the names of their classes."""
PATCHES = 65_536
"""Maximum number of patches in one pass through the vision tower, unless a single picture has more."""


def _expected(family: str, prefix: str) -> dict[str, tuple[str, ...]]:
    """Returns the parts of a family that are called here, and the parameters that they must take."""
    module = f"models.{family}.modeling_{family}"
    text: tuple[str, ...] = ("inputs_embeds", "position_ids", "attention_mask", "use_cache", "cache|past_key_values")
    if family.startswith("qwen3"):
        text += ("visual_pos_masks", "deepstack_visual_embeds")
    images = ("pixel_values", "image_grid_thw")
    return {f"{module}:{prefix}TextModel.forward": text, f"{module}:{prefix}Model.get_image_features": images}


check_internals("transformers", {"cache_utils:Cache.update": ("key_states", "value_states", "layer_idx")})
for _family, _prefix in QWEN_FAMILIES.items():
    check_internals("transformers", _expected(_family, _prefix))


def has_own_loop(config: Any) -> bool:
    """Whether `Qwen` can run models with this configuration.

    It can for `QWEN_FAMILIES` with full attention in all layers. Sliding windows would need a mask per kind of layer.
    The linear attention of Qwen3.5 has a state in place of keys and values: padding would change it, and it cannot be
    cut back, so a row of `KVCache` cannot hold it.
    """
    kinds = getattr(config.get_text_config(), "layer_types", None) or ["full_attention"]
    return config.model_type in QWEN_FAMILIES and set(kinds) == {"full_attention"}


class Qwen:
    """The parts of a model, and the KV cache that they write to.

    Args:
        model: a `…ForConditionalGeneration` that satisfies `has_own_loop`, in eval mode.
        encoder: the encoder for the model's processor.

    Attributes:
        cache: keys and values of the dialogues.
        device: device of the input ids and of the logits.
    """

    def __init__(self, model: Any, encoder: Encoder) -> None:
        self._body, self._head, self._encoder = model.model, model.lm_head, encoder
        self._language_model = self._body.language_model
        self._embed = self._language_model.embed_tokens
        self._merge = int(encoder.processor.image_processor.merge_size)
        names = inspect.signature(self._language_model.forward).parameters
        self._cache_name = "cache" if "cache" in names else "past_key_values"  # its name up to transformers 5.22
        self._deepstack = "deepstack_visual_embeds" in names  # Qwen3-VL
        self._masks_by_kind = hasattr(self._language_model, "has_sliding_layers")
        self.device = self._embed.weight.device
        self.cache = KVCache(len(self._language_model.layers))

    def read(self, sequences: Sequence[TokenSequence], start: int) -> torch.Tensor:
        """Reads the ids that are not cached yet (prefill), and advances each sequence's cached count and position.

        Args:
            sequences: sequences in the neighbouring rows `start`, `start + 1`, …
            start: row of the first sequence.

        Returns:
            Logits (sequences, vocabulary) of the next token.
        """
        new = [sequence.ids[sequence.cached :] for sequence in sequences]
        longest = max(map(len, new))
        # Right padding, unlike `generate`: new tokens must follow the row's cached tokens without a gap. The cache's
        # mask keeps real tokens from attending to padding, so the padding's positions may be anything.
        ids = np.full((len(new), longest), self._encoder.pad, np.int64)
        positions = np.zeros((3, len(new), longest), np.int64)
        ends = []
        for row, (sequence, part) in enumerate(zip(sequences, new, strict=True)):
            ids[row, : len(part)] = part
            images = [image for image in sequence.images if isinstance(image, Patches)]
            places, end = rope_positions(part, images, self._encoder.image_id, self._merge, sequence.position)
            positions[:, row, : len(part)] = places
            ends.append(end)
        embedded, extra = self._embedded(self._tensor(ids), [i for sequence in sequences for i in sequence.images])
        hidden = self._forward(embedded, self._tensor(positions), start, extra)
        # the next token follows each row's last real token, which padding may separate from the end of the batch
        last = self._tensor(np.asarray([len(part) - 1 for part in new]))
        self._advance(sequences, start, [len(part) for part in new], ends)
        return self._logits(hidden[torch.arange(len(new), device=hidden.device), last.to(hidden.device)])

    def write(self, sequences: Sequence[TokenSequence], tokens: Sequence[int]) -> torch.Tensor:
        """Feeds one sampled token to each of the sequences in rows 0, 1, …; returns logits as `read` does.

        The sequences' ids stay as they are: a reply is appended to them when it is complete.
        """
        ids = torch.tensor(tokens, device=self.device)[:, None]
        # a sampled token is text (image tokens are forbidden), so its position is the same on all three axes
        places = torch.tensor([sequence.position for sequence in sequences], device=self.device)
        hidden = self._forward(self._embed(ids), places[None, :, None].expand(3, -1, 1), 0, {})
        self._advance(sequences, 0, [1] * len(sequences), [sequence.position + 1 for sequence in sequences])
        return self._logits(hidden[:, -1])

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._head(hidden)
        return logits.to(self.device)

    def _advance(self, sequences: Sequence[TokenSequence], start: int, counts: list[int], ends: list[int]) -> None:
        self.cache.advance(start, counts)
        for sequence, count, end in zip(sequences, counts, ends, strict=True):
            sequence.cached += count
            sequence.position = end

    def _forward(self, embedded: torch.Tensor, positions: torch.Tensor, start: int, extra: Any) -> torch.Tensor:
        """Returns the hidden states (rows, tokens, width) after the last layer."""
        mask: Any = self.cache.window(start, embedded.shape[0], embedded.shape[1], self.device)
        if self._masks_by_kind:
            mask = {"full_attention": mask}
        arguments = {self._cache_name: self.cache, "attention_mask": mask, "use_cache": True, **extra}
        output = self._language_model(inputs_embeds=embedded, position_ids=positions, **arguments)
        hidden: torch.Tensor = output.last_hidden_state
        return hidden

    def _embedded(self, ids: torch.Tensor, images: Sequence[Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        """Embeds ids, with picture features in place of image tokens.

        Also returns the deepstack arguments of Qwen3-VL, whose first layers add further features at the same places.
        """
        embedded = self._embed(ids)
        if not images:
            return embedded, {}
        places = ids == self._encoder.image_id
        features, deep = self._features(images)
        # Features fill the image tokens in row-major order, so pictures must come in the order of rows and of places in
        # them. A sampled image token would shift all features after it, which is one reason why none may be sampled.
        embedded = embedded.masked_scatter(places[..., None], features.to(embedded.device, embedded.dtype))
        return embedded, {"visual_pos_masks": places, "deepstack_visual_embeds": deep} if self._deepstack else {}

    def _features(self, images: Sequence[Patches]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Runs the vision tower; returns features (tokens, width), and the same per deepstack layer."""
        outputs = [self._vision_tower(portion) for portion in _portions(images)]
        features = torch.cat([f for output in outputs for f in output.pooler_output])
        deep = [output.deepstack_features for output in outputs] if self._deepstack else []
        # a layer's features are one tensor in transformers 5.17, and one tensor per picture in 5.24
        layers = [
            [[part] if isinstance(part, torch.Tensor) else part for part in layer] for layer in zip(*deep, strict=True)
        ]
        return features, [torch.cat(list(chain.from_iterable(layer))) for layer in layers]

    def _vision_tower(self, images: Sequence[Patches]) -> Any:
        inputs = self._encoder.inputs([images])
        return self._body.get_image_features(
            inputs["pixel_values"].to(self.device), inputs["image_grid_thw"].to(self.device), return_dict=True
        )


def _portions(images: Sequence[Patches]) -> list[list[Patches]]:
    """Splits pictures into groups of at most `PATCHES` patches, in order."""
    groups: list[list[Patches]] = []
    count = PATCHES  # as if the last group were full, so that the first picture opens one
    for image in images:
        if count + len(image.rows) > PATCHES:
            groups.append([])
            count = 0
        groups[-1].append(image)
        count += len(image.rows)
    return groups
