"""Rows and batches of a supervised training: token ids, labels, pixels, and the invariants between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.local.encoding import EncodedImage, Encoder
from o3gym.registry import require
from o3gym.train.data.demonstrations import Observed, fitted, flattened
from o3gym.train.data.mixture import MAX_DRAWS, Mixture
from o3gym.train.recipe import SftRecipe, Stage

IGNORED = -100
"""The label of a token without loss (torch.nn.CrossEntropyLoss)."""


class BatchError(ValueError):
    """A row or a batch is not whole; the message says where and what does not fit."""


class TrainingRow(NamedTuple):
    """One demonstration as the model reads it.

    Attributes:
        ids: token ids, int64 of shape (n,).
        mask: 1 where there is loss, of the same shape.
        images: its pictures in order, as `Encoder.row` gives them.
        passed: demonstrations that were too long and passed over for this one.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    images: tuple[EncodedImage, ...] = ()
    passed: int = 0


def training_row(messages: Sequence[Message], encoder: Encoder, recipe: SftRecipe, turns: int = -1) -> TrainingRow:
    """A dialogue as a row, as the recipe wants it; `turns` from 0 up take the place of its `last_turns`.

    Raises `BatchError` if there is nothing to learn in it.
    """
    messages = fitted(messages, encoder.vision_size)
    ids, mask, images = flat_row(flattened(messages), encoder) if recipe.flatten else encoder.row(messages)
    kept = last_turns(np.asarray(mask, np.int64), recipe.last_turns if turns < 0 else turns)
    if not kept.any():
        raise BatchError(f"a demonstration has no assistant text to learn: {messages[-1].text!r:.200}")
    return TrainingRow(np.asarray(ids, np.int64), kept, tuple(images))


def last_turns(mask: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The mask with only its last `count` runs of ones: one run is what one assistant turn wrote; 0 keeps all.

    Source: Pixel Reasoner's warm start has its loss on the last two turns, so that the inserted mistakes before them
    are seen and not learnt (github.com/TIGER-AI-Lab/Pixel-Reasoner, instruction_tuning).
    """
    starts = np.flatnonzero(np.diff(mask, prepend=0) == 1)
    if not count or len(starts) <= count:
        return mask
    kept = mask.copy()
    kept[: starts[-count]] = 0
    return kept


def flat_row(messages: Sequence[Message], encoder: Encoder) -> tuple[list[int], list[int], list[EncodedImage]]:
    """Ids, mask and pictures of a dialogue whose one assistant message, the last, also holds what was observed."""
    opening = encoder.opening(messages[:-1])
    ids, mask, images = list(opening.ids), [0] * len(opening.ids), list(opening.images)
    for part in messages[-1].parts:
        piece = encoder.tokens(part) if isinstance(part, str) else ()
        if isinstance(part, Picture):
            alone = encoder.opening([Message("user", (part,))])
            pads = [i for i, token in enumerate(alone.ids) if token == encoder.image_id]
            piece = alone.ids[pads[0] - 1 : pads[-1] + 2]  # the pads with the token on each side that frames them
            images += alone.images
        learnt = isinstance(part, str) and not isinstance(part, Observed)
        ids += piece
        mask += [int(learnt)] * len(piece)
    return [*ids, encoder.end], [*mask, 1], images


class Collator:
    """Makes a batch from row numbers, in whatever process it is called.

    Args:
        mixture: what the rows are.
        encoder: `o3gym.policies.local.encoding.Encoder` of the model's processor.
        recipe, stage: for `flatten`, `last_turns` and `context`.
    """

    def __init__(self, mixture: Mixture, encoder: Encoder, recipe: SftRecipe, stage: Stage) -> None:
        self.mixture, self.encoder, self.recipe, self.stage = mixture, encoder, recipe, stage

    def __call__(self, items: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        """The batch of rows `item["index"]`.

        Returns:
            `parts`: `batch_of` groups of rows, of similar length each, as many as the stage says; `labels`: the labels
            of all of them in one dimension, by which the trainer counts what a step learns from.
        """
        rows = [self.row(item["index"]) for item in items]
        if self.stage.parts > 1:
            rows.sort(key=lambda row: len(row.ids))
        parts = [batch_of(part, self.encoder) for part in portions(rows, self.stage.parts) if part]
        return {"parts": parts, "labels": require("torch", "train").cat([part["labels"].flatten() for part in parts])}

    def row(self, index: int) -> TrainingRow:
        """Row `index`, or in its place another that fits into the context.

        Raises:
            BatchError: none of `MAX_DRAWS` others fits, or a row has no loss at all.
        """
        first = self.mixture.where(index)
        length = 0
        for attempt in range(MAX_DRAWS + 1):
            at = self.mixture.next_to(first, attempt) if attempt else first
            turns = self.stage.data[at.part].last_turns
            row = training_row(self.mixture.example(at), self.encoder, self.recipe, turns)
            length = len(row.ids)
            if length <= self.stage.context:
                return row._replace(passed=attempt)
        source = self.stage.data[first.part].source
        raise BatchError(
            f"{MAX_DRAWS + 1} demonstrations of {source} in a row are longer than context = {self.stage.context} tokens "
            f"(the last has {length}): raise context, or lower max_pixels"
        )


def portions(rows: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """Rows in `count` neighbouring portions, as even as can be; some are empty if there are too few."""
    cuts = [round(i * len(rows) / count) for i in range(count + 1)]
    return [rows[start:end] for start, end in pairwise(cuts)]


def batch_of(rows: Sequence[TrainingRow], encoder: Encoder) -> dict[str, Any]:
    """Rows padded on the right, with all pictures in row order.

    Returns:
        Tensors: input_ids, attention_mask, labels, mm_token_type_ids (1 on picture pads), int64 of shape (rows,
        longest); with pictures what `Encoder.inputs` makes of them, for the Qwen families pixel_values, float32
        (patches, values of a patch), and image_grid_thw, int64 (pictures, 3); passed, int64 (), the demonstrations
        that were too long. The mask mutes the loss and never the attention: a picture that is not attended to would
        give the next row wrong positions (Qwen's M-RoPE).

    Raises:
        BatchError: a mask is not as long as its row.
    """
    torch = require("torch", "train")
    shape = (len(rows), max(len(row.ids) for row in rows))
    ids = np.full(shape, encoder.pad, np.int64)
    attention, labels = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for number, row in enumerate(rows):
        if len(row.mask) != len(row.ids):
            raise BatchError(f"row {number}: {len(row.ids)} tokens, but a mask of {len(row.mask)}")
        ids[number, : len(row.ids)], attention[number, : len(row.ids)] = row.ids, 1
        labels[number, : len(row.ids)] = np.where(row.mask == 1, row.ids, IGNORED)
    arrays = {
        "input_ids": ids,
        "attention_mask": attention,
        "labels": labels,
        "mm_token_type_ids": ((ids == encoder.image_id) & (attention == 1)).astype(np.int64),
        "passed": np.array(sum(row.passed for row in rows)),
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {**tensors, **encoder.inputs([row.images for row in rows])}


def check_batch(batch: Mapping[str, Any], image_id: int, merge: int) -> None:
    """Raise `BatchError` unless pads, grids, pixels and labels of a batch fit each other, row by row.

    A mismatch would not always raise later: trainers exist that drop the pixels of the whole batch and go on.

    Args:
        batch: as `batch_of` makes it.
        image_id: the pad token of a picture.
        merge: patches on each side that become one token.
    """
    ids, labels = _array(batch["input_ids"]), _array(batch["labels"])
    if labels.shape != ids.shape or _array(batch["attention_mask"]).shape != ids.shape:
        raise BatchError(f"shapes differ: input_ids {ids.shape}, labels {labels.shape}")
    wrong = (labels != IGNORED) & ((labels != ids) | (ids == image_id) | (_array(batch["attention_mask"]) == 0))
    if wrong.any():
        row, place = np.argwhere(wrong)[0]
        raise BatchError(f"row {row}: label {labels[row, place]} at token {place}, where {ids[row, place]} stands")
    runs = [(row, length) for row in range(len(ids)) for length in runs_of(ids[row] == image_id)]
    if runs and "pixel_values" not in batch:
        raise BatchError(f"{len(runs)} pictures among the tokens, but the batch has no pixel_values")
    if "image_grid_thw" in batch:
        _check_pictures(runs, _array(batch["image_grid_thw"]), len(batch["pixel_values"]), merge)


def _check_pictures(runs: list[tuple[int, int]], grids: NDArray[Any], patches: int, merge: int) -> None:
    sizes = grids.prod(axis=1)
    if len(runs) != len(grids):
        raise BatchError(f"{len(runs)} runs of picture pads, but {len(grids)} grids")
    for number, ((row, length), size) in enumerate(zip(runs, sizes, strict=True)):
        if length != size // merge**2:
            raise BatchError(
                f"row {row}, picture {number}: {length} pads, but a grid of {grids[number].tolist()} "
                f"makes {size // merge**2} tokens"
            )
    if sizes.sum() != patches:
        raise BatchError(f"grids of {sizes.sum()} patches, but pixel_values has {patches}")


def runs_of(pads: NDArray[Any]) -> list[int]:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(pads.astype(np.int8), prepend=0, append=0))
    lengths: list[int] = (edges[1::2] - edges[::2]).tolist()
    return lengths


def _array(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array
