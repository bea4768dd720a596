"""Batches of rollouts in the form that the loss of TRL's GRPOTrainer expects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.local.encoding import Encoder
from o3gym.registry import require
from o3gym.train.batches import batch_of, check_batch
from o3gym.train.loss_mask import IGNORED, BatchError, TrainingRow
from o3gym.types import FULL, View


def to_trl(rows: Sequence[TrainingRow], encoder: Encoder) -> dict[str, Any]:
    """Returns rows as a checked batch under the names of TRL's loss.

    Only the loss is masked, never the attention (`o3gym.train.loss_mask` says why): completion_mask is 0 on padding
    alone, and becomes attention; tool_mask is 0 on everything that the policy only read, and multiplies the loss.

    Returns:
        Tensors: prompt_ids and prompt_mask, int64 (rows, 1); completion_ids, completion_mask and tool_mask, int64
        (rows, longest − 1); mm_token_type_ids, int64 (rows, longest); pixels and grids as in `batch_of`. And
        num_images, a list of the number of pictures per row.

    Raises:
        BatchError: picture tokens, grids, pixels and masks do not fit each other, or a row begins with a reply.
    """
    batch = batch_of(rows, encoder)
    check_batch(batch, encoder.image_id, getattr(encoder.processor.image_processor, "merge_size", 1))
    if batch["labels"][:, 0].ne(IGNORED).any():
        raise BatchError("a row begins with a token that the policy wrote: it has no prompt")
    ids, attention = batch.pop("input_ids"), batch.pop("attention_mask")
    written = (batch.pop("labels") != IGNORED).long()
    del batch["passed"], batch["bad"]
    return {
        "prompt_ids": ids[:, :1],
        "prompt_mask": attention[:, :1],
        "completion_ids": ids[:, 1:],
        "completion_mask": attention[:, 1:],
        "tool_mask": written[:, 1:],
        "num_images": [len(row.images) for row in rows],
        **batch,
    }


def weigh_by_episode(batch: dict[str, Any], tokens: Sequence[int]) -> float:
    """Makes the loss mask of a batch weigh every episode the same, however many tokens and rows it has.

    A token weighs the largest number of tokens of an episode in the batch, divided by that of its own. Such weights are
    at least 1, because TRL does not divide its statistics by a total weight below 1.

    Args:
        batch: a batch of `to_trl`, whose `tool_mask` becomes float32.
        tokens: number of tokens with a loss in the whole episode of each row; blank rows follow those.

    Returns:
        The weight of an episode, by which the sum of the loss has to be divided.
    """
    most = max(tokens, default=1)
    weights = [most / count for count in tokens] + [1.0] * (len(batch["tool_mask"]) - len(tokens))
    batch["tool_mask"] = batch["tool_mask"] * require("torch", "train").tensor(weights)[:, None]
    return float(most)


def blank_row(encoder: Encoder) -> TrainingRow:
    """Returns a short row with a picture and no loss, for a process that has fewer rows than the others.

    DDP and FSDP synchronise parameters and gradients by collective calls, which hang unless every process makes the
    same forward passes. The row has a picture so that its pass also goes through the vision tower.
    """
    size = encoder.vision_size(1, 1) if encoder.factor else (32, 32)
    view = View(0, 0, FULL, size, size)
    opening = encoder.opening([Message("user", (Picture(view, lambda: np.zeros((size[1], size[0], 3), np.uint8)),))])
    ids = np.asarray(opening.ids, np.int64)
    return TrainingRow(ids, np.zeros(len(ids), np.int64), opening.images)
