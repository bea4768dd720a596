"""Makes the loss mask of a training row: which tokens the model learns to write, and which it only reads.

`training_row` makes the row of a demonstration, `sample_row` the row of a rollout. In both the mask is 1 on every token
that the policy wrote, its end-of-turn token included (or the model would never learn to stop), and 0 on everything that
it read: system prompt, question, chat template, observations (also those inside its own turn) and picture tokens. A
recipe may leave out code as well, if it was sampled at a temperature of its own.

With a window memory there is one row per segment (`o3gym.types.Segment`). Each holds the dialogue as it was in that
segment, and the mask is 1 only on the replies that were written in it: earlier ones were written with other pictures in
view, and are trained in the row of their own segment. So every reply is trained exactly once, on the context in which
it was written.

The mask is assembled together with the token ids, piece by piece. It is never found by searching decoded text, which
fails as soon as a question quotes a reply or a tokenizer merges characters across the boundary.

The mask selects terms of the loss and never hides a token from the attention, for two reasons. When the model plays, it
reads every earlier observation and reply, so it has to be trained on the same context. And the Qwen families compute
their position ids (M-RoPE) from the attended tokens: `get_rope_index` takes the next entry of `image_grid_thw` for each
run of attended picture tokens. A hidden picture would leave its entry to the picture after it, so every later picture
of the batch, in other rows as well, would silently get the positions of another grid.

Whole rollouts are masked elsewhere: over-turn masking is `o3gym.train.grpo.advantages.kept`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from o3gym.policies.dialogue import Message
from o3gym.policies.local.encoding import EncodedImage, Encoder
from o3gym.policies.window import segmented
from o3gym.train.data.demonstrations import fitted, flattened, picture_of
from o3gym.train.recipe import SftRecipe
from o3gym.types import Reply, Segment, Trajectory

IGNORED = -100
"""Label of a token without loss: the default `ignore_index` of torch.nn.CrossEntropyLoss."""


class BatchError(ValueError):
    """A row or a batch is inconsistent; the message says where, and which parts do not fit each other."""


class TrainingRow(NamedTuple):
    """One token sequence to train on: a demonstration or a rollout.

    Attributes:
        ids: token ids, int64 of shape (n,).
        mask: the loss mask, int64 of shape (n,): 1 where the loss is taken, 0 elsewhere.
        images: its pictures in order, as `Encoder.row` returns them.
        passed: demonstrations that were skipped in favour of this one because they were too long.
        bad: demonstrations that were skipped in favour of this one because they could not be read.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    images: tuple[EncodedImage, ...] = ()
    passed: int = 0
    bad: int = 0

    @property
    def labels(self) -> NDArray[np.int64]:
        """The ids where the loss is taken, `IGNORED` elsewhere; int64 of shape (n,).

        Labels stand beside their own tokens: the shift by one, from a token to its prediction, is made by the model.
        """
        return np.where(self.mask == 1, self.ids, IGNORED)


def training_row(messages: Sequence[Message], encoder: Encoder, recipe: SftRecipe, turns: int = -1) -> TrainingRow:
    """Returns the row of a demonstration: the loss is on the assistant's words.

    Args:
        messages: a dialogue that ends with an assistant message.
        encoder: encoder of the model's processor.
        recipe: supplies `flatten` and `last_turns`.
        turns: overrides `recipe.last_turns` if 0 or more.

    Raises:
        BatchError: no token of the dialogue has a loss.
    """
    messages = fitted(messages, encoder.vision_size)
    ids, mask, images = encoder.row(flattened(messages) if recipe.flatten else messages)
    kept = last_turns(np.asarray(mask, np.int64), recipe.last_turns if turns < 0 else turns)
    if not kept.any():
        raise BatchError(f"a demonstration has no assistant text to learn: {messages[-1].text!r:.200}")
    return TrainingRow(np.asarray(ids, np.int64), kept, tuple(images))


def training_rows(
    messages: Sequence[Message], encoder: Encoder, recipe: SftRecipe, turns: int = -1
) -> list[TrainingRow]:
    """Returns the rows of a demonstration: one for each segment that has a loss. Arguments and errors as above."""
    if recipe.window is None:
        return [training_row(messages, encoder, recipe, turns)]
    rows = list[TrainingRow]()
    left = recipe.last_turns if turns < 0 else turns
    for dialogue, own in reversed(segmented(messages, recipe.window)):
        count = min(own, left) if left else own
        rows.insert(0, training_row(dialogue, encoder, recipe, count))
        if left and not (left := left - count):
            break
    return rows


def last_turns(mask: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Returns the mask restricted to its last `count` assistant turns; 0 keeps all.

    A turn is a run of ones: between any two turns there are tokens that the assistant did not write. Where observations
    stand inside the assistant's turn, a run is the text between two of them.

    Source: Pixel Reasoner's warm start takes the loss on the last two turns, so that the model sees the mistakes that
    were inserted before them without learning to make them (github.com/TIGER-AI-Lab/Pixel-Reasoner,
    instruction_tuning).
    """
    starts = np.flatnonzero(np.diff(mask, prepend=0) == 1)
    if not count or len(starts) <= count:
        return mask
    kept = mask.copy()
    kept[: starts[-count]] = 0
    return kept


def sample_row(
    trajectory: Trajectory, encoder: Encoder, segment: Segment | None = None, code_loss: bool = True
) -> TrainingRow:
    """Returns the row of a segment of a rollout: its exact tokens as they were sampled, and its pictures.

    The recorded ids are used instead of tokenising the replies again: one text has many tokenisations, and the loss
    needs the probabilities of the tokens that were drawn. For each turn the policy recorded the prompt ids that were
    new to it (mask 0) and the ids that it sampled (mask 1). The prompt ids of a segment's first turn are all ids of the
    dialogue up to there, earlier replies included.

    Args:
        trajectory: the rollout.
        encoder: encoder of the model's processor.
        segment: one of the rollout's segments; None for a rollout that has just one.
        code_loss: whether the tokens that were sampled at a temperature of their own (`Reply.code`) have a loss.

    Raises:
        BatchError: the tokens of a reply are unknown, the picture tokens do not match the views, or `segment` is None
            and there are several.
    """
    segment = segment or only_segment(trajectory)
    ids: list[int] = []
    mask: list[int] = []
    for number in segment.turns:
        reply = trajectory.turns[number].reply
        prompt, written = reply.new_prompt_ids, reply.token_ids
        if prompt is None or not written:
            raise BatchError(f"episode {trajectory.key}: the tokens of reply {number} are not known")
        ids += [*prompt, *written]
        mask += [*[0] * len(prompt), *_learnt(reply, code_loss)]
    array = np.asarray(ids, np.int64)
    # The row ends with the segment's last reply, so the views that this reply led to are not in it.
    views = [trajectory.views[index] for index in segment.views]
    shown = len(runs_of(array == encoder.image_id))
    if shown != len(views):
        raise BatchError(f"episode {trajectory.key}: pads of {shown} pictures, but {len(views)} views before a reply")
    pictures = tuple(picture_of(trajectory, view) for view in views)
    images = encoder.images([Message("user", pictures)]) if pictures else ()
    return TrainingRow(array, np.asarray(mask, np.int64), images)


def _learnt(reply: Reply, code_loss: bool) -> list[int]:
    """Returns the loss mask of a reply's ids."""
    mask = [1] * len(reply.token_ids or ())
    for start, end in () if code_loss else reply.code:
        mask[start:end] = [0] * (end - start)
    return mask


def segments_of(trajectory: Trajectory) -> tuple[Segment, ...]:
    """Returns the segments of a rollout: those that it records, or the whole of it as a single one."""
    turns, views = trajectory.turns, trajectory.views
    if trajectory.segments or not turns:
        return trajectory.segments
    before = views[: len(views) - len(turns[-1].views)]
    return (Segment(tuple(range(len(turns))), tuple(view.index for view in before)),)


def only_segment(trajectory: Trajectory) -> Segment:
    """Returns the segment of a rollout whose dialogue only grew. Raises `BatchError` if there are several."""
    segments = segments_of(trajectory)
    if len(segments) != 1:
        raise BatchError(f"episode {trajectory.key}: it has {len(segments)} segments, each of them a row of its own")
    return segments[0]


def runs_of(flags: NDArray[Any]) -> list[int]:
    """Returns the lengths of the runs of True in a one-dimensional array; among picture tokens, a run is a picture."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    lengths: list[int] = (edges[1::2] - edges[::2]).tolist()
    return lengths
