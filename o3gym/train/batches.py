"""Collates training rows into padded batches, and checks that their tokens, labels and pixels fit together.

The rows come with their loss masks, which `o3gym.train.loss_mask` makes; here the masks become labels. `batch_of` and
`check_batch` serve supervised training and reinforcement learning alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from o3gym.media.errors import PictureError
from o3gym.policies.local.encoding import Encoder
from o3gym.registry import require
from o3gym.train.data.mixture import MAX_DRAWS, Mixture, MixtureRow
from o3gym.train.data.sources import BadDemonstration
from o3gym.train.loss_mask import IGNORED, BatchError, TrainingRow, runs_of, training_rows
from o3gym.train.recipe import SftRecipe, Stage


class Collator:
    """Makes batches from row numbers, in the training process or in a data loader's worker.

    Args:
        mixture: maps row numbers to demonstrations.
        encoder: encoder of the model's processor.
        recipe: supplies `flatten`, `window` and `last_turns`.
        stage: supplies `context` and `parts`.
    """

    def __init__(self, mixture: Mixture, encoder: Encoder, recipe: SftRecipe, stage: Stage) -> None:
        self.mixture, self.encoder, self.recipe, self.stage = mixture, encoder, recipe, stage

    def __call__(self, items: Sequence[Mapping[str, int]]) -> dict[str, Any]:
        """Returns the batch of the demonstrations `item["index"]`.

        Returns:
            `parts`: up to `stage.parts` batches as `batch_of` makes them, each of rows of similar length. `labels`: the
            labels of all parts, flattened to one dimension; the trainer counts the step's learnt tokens in them.
        """
        rows = [row for item in items for row in self.rows(item["index"])]
        if self.stage.parts > 1:
            # A part is padded to its own longest row, so rows of similar length together waste the least. The gradient
            # of a step is a sum over its rows, so their order does not matter.
            rows.sort(key=lambda row: len(row.ids))
        parts = [batch_of(part, self.encoder) for part in portions(rows, self.stage.parts) if part]
        return {"parts": parts, "labels": require("torch", "train").cat([part["labels"].flatten() for part in parts])}

    def rows(self, index: int) -> list[TrainingRow]:
        """Returns the rows of demonstration `index`: one, or with a window one for each segment.

        A demonstration that is bad or longer than the context is replaced by another one from the same source.

        Rows are never truncated: a cut could remove a picture's pads but not its pixels, or the final answer. The
        replacement follows from `index` alone, so that every process and a resumed training pick the same one.

        Raises:
            BatchError: none of `MAX_DRAWS` replacements fits either.
            SourceError: more than 5% of the demonstrations of a source are bad, or the last replacement is, too.
        """
        first = self.mixture.where(index)
        length = bad = 0
        for attempt in range(MAX_DRAWS + 1):
            at = self.mixture.next_to(first, attempt) if attempt else first
            try:
                rows = self._demonstration(at)
            except (BadDemonstration, PictureError, BatchError) as problem:
                if attempt == MAX_DRAWS:
                    raise
                self.mixture.note(at, problem)
                bad += 1
                continue
            self.mixture.note(at)
            length = max(len(row.ids) for row in rows)
            if length <= self.stage.context:
                return [rows[0]._replace(passed=attempt - bad, bad=bad), *rows[1:]]
        source = self.stage.data[first.part].source
        raise BatchError(
            f"{MAX_DRAWS + 1} demonstrations of {source} in a row are longer than context = {self.stage.context} "
            f"tokens (the last has {length}): raise context, or lower max_pixels"
        )

    def _demonstration(self, at: MixtureRow) -> list[TrainingRow]:
        """Returns the rows of a demonstration. Reads its pictures, any of which may be broken."""
        turns = self.stage.data[at.part].last_turns
        return training_rows(self.mixture.example(at), self.encoder, self.recipe, turns)


def portions(rows: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """Splits rows into `count` contiguous portions of sizes that differ by at most one; some may be empty."""
    cuts = [round(i * len(rows) / count) for i in range(count + 1)]
    return [rows[start:end] for start, end in pairwise(cuts)]


def batch_of(rows: Sequence[TrainingRow], encoder: Encoder) -> dict[str, Any]:
    """Returns rows as one batch, padded on the right, with the pictures of all rows in row order.

    Returns:
        Tensors. Of shape (rows, longest) and dtype int64: input_ids, attention_mask (0 on padding only), labels
        (`IGNORED` where there is no loss) and mm_token_type_ids (1 on picture tokens, from which Qwen models compute
        M-RoPE positions). If there are pictures, the tensors of `Encoder.inputs`: for the Qwen families pixel_values,
        float32 (patches, values per patch), and image_grid_thw, int64 (pictures, 3). And passed and bad, int64 of shape
        (): the numbers of demonstrations that were skipped because they were too long, or could not be read.

    Raises:
        BatchError: a row's mask and ids differ in length.
    """
    torch = require("torch", "train")
    shape = (len(rows), max(len(row.ids) for row in rows))
    # Padding is on the right. Attention is causal, so no token of a row can see padding that follows it, and every row
    # starts at position 0, exactly as if it were alone. Left padding, which batched generation needs, would shift both.
    ids = np.full(shape, encoder.pad, np.int64)
    attention, labels = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for number, row in enumerate(rows):
        if len(row.mask) != len(row.ids):
            raise BatchError(f"row {number}: {len(row.ids)} tokens, but a mask of {len(row.mask)}")
        ids[number, : len(row.ids)], attention[number, : len(row.ids)] = row.ids, 1
        labels[number, : len(row.ids)] = row.labels
    arrays = {
        "input_ids": ids,
        "attention_mask": attention,
        "labels": labels,
        # Padding is excluded, in case a tokenizer pads with the picture token.
        "mm_token_type_ids": ((ids == encoder.image_id) & (attention == 1)).astype(np.int64),
        "passed": np.array(sum(row.passed for row in rows)),
        "bad": np.array(sum(row.bad for row in rows)),
    }
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {**tensors, **encoder.inputs([row.images for row in rows])}


def check_batch(batch: Mapping[str, Any], image_id: int, merge: int) -> None:
    """Raises `BatchError` unless picture tokens, grids, pixels and labels of a batch fit each other, row by row.

    A mismatch does not always raise later: some trainers drop the pixels of the whole batch and carry on.

    Args:
        batch: a batch as `batch_of` makes it.
        image_id: the token that stands for pixels.
        merge: number of patches per side that one token covers.
    """
    ids, labels = _array(batch["input_ids"]), _array(batch["labels"])
    if labels.shape != ids.shape or _array(batch["attention_mask"]).shape != ids.shape:
        raise BatchError(f"shapes differ: input_ids {ids.shape}, labels {labels.shape}")
    # A label is the token at its own place, never a picture token (a model that samples one claims pixels that do not
    # exist), and never at a place that is not attended to.
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


def _array(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array
