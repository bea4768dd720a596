"""The exact token ids of each dialogue, kept from turn to turn and never tokenised again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from o3gym.policies.dialogue import Dialogue, Request
from o3gym.policies.local.encoding import EncodedImage, Encoder, Patches


@dataclass
class _Piece:
    """What a sequence read between two replies: the opening, or the messages after a reply.

    Attributes:
        message: index of its first message.
        start: index of its first id.
        end: index after its last id, where the reply to it begins.
        saved: number of ids by which its pictures exceed the rotary positions that they take.
    """

    message: int
    start: int
    end: int
    saved: int


@dataclass(eq=False)
class TokenSequence:
    """One dialogue as token ids, and its place in the KV cache.

    Attributes:
        dialogue: the dialogue that the ids encode.
        ids: all ids so far. Replies are kept as they were sampled, because tokenising their text again could give
            other ids than those whose log-probabilities were recorded.
        messages_read: number of messages that the ids cover.
        segment: the dialogue's segment that the ids encode.
        prompt: ids added since the last reply; for the first reply of a segment, all ids.
        images: pictures of the ids that the model has yet to read.
        fresh: index of the first id whose pictures are in `images`.
        reply_text: text of the last reply; None while a reply is awaited.
        row: row in the KV cache, or −1 for none.
        cached: number of ids whose keys and values the cache row holds.
        position: rotary position of the first id that the row lacks. It is not `cached`, because a picture advances
            the position by less than its number of tokens (see `rope_positions`).
        last_used: logical time of the last request; the smallest is the least recently used.
    """

    dialogue: Dialogue
    ids: list[int] = field(default_factory=list)
    messages_read: int = 0
    segment: int = 0
    prompt: tuple[int, ...] = ()
    images: tuple[EncodedImage, ...] = ()
    fresh: int = 0
    reply_text: str | None = None
    row: int = -1
    cached: int = 0
    position: int = 0
    last_used: int = 0
    _pieces: list[_Piece] = field(default_factory=list)

    def continues(self, request: Request) -> bool:
        """Whether the request's dialogue extends this one by the last reply, new messages and cuts, and nothing else.

        Otherwise the kept ids are not a prefix of the dialogue (a reply was edited, say), so it must be encoded anew.
        """
        messages = request.dialogue.messages
        if self.reply_text is None or request.dialogue is not self.dialogue or len(messages) <= self.messages_read:
            return False
        reply, new = messages[self.messages_read - 1], messages[self.messages_read :]
        return reply.role == "assistant" and reply.text == self.reply_text and all(m.role != "assistant" for m in new)

    def extend(self, encoder: Encoder) -> None:
        """Appends the dialogue's new messages: all of them at the start, later those after the reply.

        If the dialogue was cut, everything from the first changed message on is encoded again, except the replies,
        whose ids are kept. The pieces are those of a dialogue that only grows, so the result is the sequence of a
        dialogue that never held the dropped pictures, with the replies as they were sampled.
        """
        messages, cuts = self.dialogue.messages, self.dialogue.cuts[self.segment :] if self._pieces else []
        replies = self._rewind(min(cuts)) if cuts else []
        self.segment, self.reply_text, self.images, self.fresh = self.dialogue.segment, None, (), len(self.ids)
        for reply, until in replies:
            self._append(encoder, until)
            self.ids += reply
            self.messages_read += 1
        new = self._append(encoder, len(messages))
        self.prompt = tuple(self.ids) if cuts else new

    def answer(self, ids: Sequence[int], text: str) -> None:
        """Appends a reply exactly as it was sampled."""
        self.ids += ids
        self.reply_text, self.images = text, ()
        self.messages_read += 1

    def _append(self, encoder: Encoder, until: int) -> tuple[int, ...]:
        """Appends the piece that ends before message `until`; returns its ids."""
        messages, seen, start = self.dialogue.messages[:until], self.messages_read, len(self.ids)
        piece = encoder.following(messages, seen, self.ids) if seen else encoder.opening(messages)
        self.ids += piece.ids
        self.images += piece.images
        self.messages_read = until
        self._pieces.append(_Piece(seen, start, len(self.ids), _saved(piece.images, encoder)))
        return piece.ids

    def _rewind(self, message: int) -> list[tuple[list[int], int]]:
        """Removes the ids from the piece that holds message `message` on.

        The cached keys and values before that piece stay valid, because they depend on earlier tokens only.

        Returns:
            For each removed piece, the ids of the reply to it, and the index of that reply among the messages.
        """
        kept = max(number for number, piece in enumerate(self._pieces) if piece.message <= message)
        removed = self._pieces[kept:]
        ends = [piece.start for piece in removed[1:]] + [len(self.ids)]
        until = [piece.message - 1 for piece in removed[1:]] + [self.messages_read - 1]
        replies = [self.ids[piece.end : end] for piece, end in zip(removed, ends, strict=True)]
        del self._pieces[kept:], self.ids[removed[0].start :]
        self.messages_read = removed[0].message
        if self.cached > len(self.ids):
            self.cached = len(self.ids)
            self.position = len(self.ids) - sum(piece.saved for piece in self._pieces)
        return list(zip(replies, until, strict=True))


def _saved(images: Sequence[EncodedImage], encoder: Encoder) -> int:
    """Returns by how much the ids of pictures exceed the rotary positions that they take, see `rope_positions`."""
    grids = [image.grid for image in images if isinstance(image, Patches)]
    if not grids:
        return 0
    merge = int(encoder.processor.image_processor.merge_size)
    return sum(t * (h // merge) * (w // merge) - max(h // merge, w // merge) for t, h, w in grids)


def rope_positions(
    ids: Sequence[int], images: Sequence[Patches], image_id: int, merge: int, start: int
) -> tuple[NDArray[np.int64], int]:
    """Computes positions for the multimodal rotary embedding (M-RoPE) of the Qwen families.

    Every token has a position on three axes: time, row and column. Text advances all three by one per token. The tokens
    of a picture lie on a grid that starts at the current position on every axis; the text after it continues from the
    longer side of the grid. So a picture of h × w tokens takes h·w cache entries but only max(h, w) positions, and the
    next position cannot be derived from the number of tokens: it has to be carried along, per dialogue.

    Source: `get_rope_index` in transformers, models/qwen2_5_vl, qwen3_vl and qwen3_5; a test compares the two.

    Args:
        ids: a slice of a sequence that neither begins nor ends inside a picture.
        images: the pictures in the slice.
        image_id: the token that stands for pixels.
        merge: patches per side that become one token.
        start: position of the slice's first token.

    Returns:
        int64 of shape (3, len(ids)) with the axes time, row and column, and the position after the slice.
    """
    tokens = np.asarray(ids, np.int64)
    image_places = np.flatnonzero(tokens == image_id)
    pieces, at, grids = list[NDArray[np.int64]](), 0, iter(images)
    while True:
        # text up to the next picture, or to the end of the slice
        ahead = image_places[np.searchsorted(image_places, at) :]
        until = int(ahead[0]) if ahead.size else len(tokens)
        pieces.append(np.broadcast_to(np.arange(start, start + until - at), (3, until - at)))
        start += until - at
        if until == len(tokens):
            return np.concatenate(pieces, axis=1), start
        t, h, w = next(grids).grid
        size = (t, h // merge, w // merge)
        # np.indices enumerates the grid in row-major order, which is the order of a picture's tokens
        pieces.append(np.indices(size, np.int64).reshape(3, -1) + start)
        start += max(size[1:])
        at = until + size[0] * size[1] * size[2]
