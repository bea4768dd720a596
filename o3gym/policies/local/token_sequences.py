"""What a model has read of each dialogue: exact ids, kept from turn to turn and never tokenised again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from o3gym.policies.dialogue import Dialogue, Request
from o3gym.policies.local.encoding import EncodedImage, Encoder, Patches


@dataclass(eq=False)
class TokenSequence:
    """One dialogue as ids.

    Attributes:
        dialogue: whose ids these are.
        ids: all of them, replies as they were sampled.
        seen: how many messages they cover.
        prompt: those that are new since the last reply.
        images: pictures of the new ones.
        said: the text of the last reply.
        row: of the cache, −1 for none; `kept`: how many ids the cache holds; `position`: of the first one it lacks.
        used: when it was last asked, as a number that grows.
    """

    dialogue: Dialogue
    ids: list[int] = field(default_factory=list)
    seen: int = 0
    prompt: tuple[int, ...] = ()
    images: tuple[EncodedImage, ...] = ()
    said: str | None = None
    row: int = -1
    kept: int = 0
    position: int = 0
    used: int = 0

    def continues(self, request: Request) -> bool:
        """Whether the request's dialogue is this one with its reply and new messages added."""
        messages = request.dialogue.messages
        if self.said is None or request.dialogue is not self.dialogue or len(messages) <= self.seen:
            return False
        reply, new = messages[self.seen - 1], messages[self.seen :]
        return reply.role == "assistant" and reply.text == self.said and all(m.role != "assistant" for m in new)

    def extend(self, encoder: Encoder) -> None:
        """Take in the dialogue's new messages: all of them at the start, else those after the reply."""
        messages = self.dialogue.messages
        piece = encoder.following(messages, self.seen, self.ids) if self.seen else encoder.opening(messages)
        self.prompt, self.images, self.said, self.seen = piece.ids, piece.images, None, len(messages)
        self.ids += piece.ids

    def answer(self, ids: Sequence[int], text: str) -> None:
        """Take in a reply."""
        self.ids += ids
        self.said, self.seen, self.images = text, self.seen + 1, ()


def rope_positions(
    ids: Sequence[int], images: Sequence[Patches], image_id: int, merge: int, start: int
) -> tuple[NDArray[np.int64], int]:
    """Positions of the multimodal rotary embedding of the Qwen families, and the position after them.

    Text advances all three axes by one. A picture's tokens lie on a grid of time, row and column from the current
    position on; what follows it starts after its longer side. Source: `get_rope_index` in transformers,
    models/qwen2_5_vl and models/qwen3_vl; a test compares.

    Args:
        ids: a slice of a sequence that begins and ends outside of pictures.
        images: its pictures.
        image_id: the token that stands for pixels.
        merge: patches per side that become one token.
        start: position of its first token.

    Returns:
        int64 of shape (3, len(ids)): time, row, column.
    """
    pieces, at, waiting = list[NDArray[np.int64]](), 0, iter(images)
    tokens = np.asarray(ids, np.int64)
    places = np.flatnonzero(tokens == image_id)
    while True:
        left = places[np.searchsorted(places, at) :]
        until = int(left[0]) if left.size else len(tokens)
        pieces.append(np.broadcast_to(np.arange(start, start + until - at), (3, until - at)))
        start += until - at
        if until == len(tokens):
            return np.concatenate(pieces, axis=1), start
        t, h, w = next(waiting).grid
        size = (t, h // merge, w // merge)
        pieces.append(np.indices(size, np.int64).reshape(3, -1) + start)
        start += max(size[1:])
        at = until + size[0] * size[1] * size[2]
