"""Dialogues as token ids and pixels: what a model with a chat template reads, piece by piece.

A sequence grows by appending pieces and is never tokenised again: the opening, a reply exactly as it was sampled, the
messages that follow it, the next reply, and so on. Tokenising is not invertible (a model may spell a word with other
tokens than the tokenizer would), so a sequence that was tokenised again from its text would differ from the one whose
log-probabilities were recorded. Rollouts and training rows are built from the same pieces, so a model is trained on
exactly the ids that it will see.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.local.chat_template import ChatTemplate
from o3gym.policies.local.processors import patch_size, pixel_limits, settled_size
from o3gym.types import Size

FORBIDDEN = re.compile(
    r"<\|(image|video|vision)_(pad|start|end)\|>|</?(image|video)>|<(start|end)_of_image>|<image_soft_token>"
    r"|<fake_token_around_image>|<global-img>|<row_\d+_col_\d+>"
)
"""Tokens that stand for pixels or frame them, in the families that o3gym knows.

They must never be sampled: the model's code pairs image tokens with pictures one by one, so an image token in a reply
would claim pixels that do not exist, and every later forward pass over the sequence would fail or misplace features.
"""


@dataclass(frozen=True)
class Patches:
    """A picture in the form that Qwen models read.

    Attributes:
        rows: float32 of shape (t·h·w, channels · temporal patch · patch²), in the processor's order.
        grid: (t, h, w) in patches; the picture occupies t·h·w / merge² tokens.
    """

    rows: NDArray[np.float32]
    grid: tuple[int, int, int]


EncodedImage: TypeAlias = Patches | NDArray[np.uint8]
"""A picture ready for a model: `Patches` for the Qwen families, uint8 pixels (height, width, 3) for the others.

The processors of other families decide over all pictures of a batch together (padding, tiling), so their pixels can be
converted only when the batch is known; see `Encoder.inputs`.
"""


@dataclass(frozen=True)
class Encoded:
    """A piece of a sequence.

    Attributes:
        ids: the piece's token ids, with one image token for each token that a picture occupies.
        images: its pictures in order.
    """

    ids: tuple[int, ...]
    images: tuple[EncodedImage, ...] = ()


class Encoder:
    r"""Encodes dialogues for one model. It holds no state of any dialogue.

    Args:
        processor: from `load_processor`.
        min_pixels: minimum pixels of a picture, for the Qwen families; 0 for the checkpoint's own limit.
        max_pixels: maximum pixels of a picture, likewise.

    Attributes:
        template: the processor's chat template.
        factor: side in pixels of the square that becomes one token; 0 for families whose resizing rule is unknown.
        image_id: id of the token that stands for pixels.
        closing: ids that close an assistant turn, such as those of "<|im_end|>\n".
        end: the id among them with which the model ends its reply.
        eos: ids that end generation.
        pad: id used for padding.
        forbidden: ids that must never be sampled (see `FORBIDDEN`), ascending.
    """

    def __init__(self, processor: Any, min_pixels: int = 0, max_pixels: int = 0) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.factor = patch_size(processor.image_processor)
        if not self.factor and (min_pixels or max_pixels):
            raise ValueError(f"min_pixels, max_pixels: {type(processor).__name__} has no such limits")
        self.limits = pixel_limits(processor.image_processor, min_pixels, max_pixels) if self.factor else (0, 0)
        self.image_id = int(processor.image_token_id)
        self.forbidden = tuple(sorted({self.image_id, *_forbidden_ids(self.tokenizer.get_added_vocab())}))
        self.template = ChatTemplate(processor)
        self.closing = self._ids(self.template.closing)
        special = {number for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        self.end = next((i for i in self.closing if i in special), self.tokenizer.eos_token_id)
        self.eos = frozenset(filter(lambda i: i is not None, (self.end, self.tokenizer.eos_token_id)))
        self.pad = next((i for i in (self.tokenizer.pad_token_id, self.end) if i is not None), 0)

    # sizes and texts

    def vision_size(self, width: int, height: int) -> Size:
        """The size at which to show a region, so that the processor resizes nothing; the identity for unknown families.

        It is the size to which the processor would resize a picture of the given size (see `settled_size`).
        """
        return settled_size((width, height), self.factor, *self.limits) if self.factor else (width, height)

    def tokens(self, text: str) -> tuple[int, ...]:
        """Tokenises a text literally: a special token that a model or a question spells out stays plain text."""
        return self._ids(self.template.escape(text))

    def text(self, ids: Sequence[int]) -> str:
        """Decodes ids, without special tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    # pieces of a sequence

    def opening(self, messages: Sequence[Message]) -> Encoded:
        """Encodes a dialogue from its start to the beginning of the next reply, generation prompt included.

        Replies that it already contains are tokenised from their text.

        Raises:
            ValueError: the processor would resize a picture (see `vision_size`).
        """
        ids, _, images = self._joined(messages)
        return Encoded(tuple(ids), tuple(images))

    def following(self, messages: Sequence[Message], seen: int, reply: Sequence[int] = ()) -> Encoded:
        """Encodes what follows an assistant's reply, from the end of its text to the beginning of the next reply.

        After user messages, that includes the next generation prompt. Inline messages continue the assistant's turn, so
        they consist of nothing but their own text and pictures: the model reads them directly behind the ids of the
        reply, and the next reply follows them directly.

        Args:
            messages: the whole dialogue.
            seen: number of messages that the sequence already covers. The last of them is the reply; those after it are
                new.
            reply: ids of the reply. If they already close the turn, fully or in part, that part is not repeated.
        """
        new = messages[seen:]
        roles = {message.role for message in new}
        known = bool(new) and "assistant" not in roles and ("inline" not in roles or len(roles) == 1)
        if not known or messages[seen - 1].role != "assistant":
            raise ValueError(f"expected user messages after the reply at {seen - 1}, got {[m.role for m in messages]}")
        if "inline" in roles:
            return self._inline(new)
        piece = self._piece(self.template.after_reply(messages, seen - 1), new, special=False)
        return Encoded(piece.ids[self._overlap(piece.ids, reply) :], piece.images)

    def row(self, messages: Sequence[Message]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[EncodedImage, ...]]:
        """Encodes a whole dialogue that ends with an assistant message, as a training row.

        Returns:
            The ids, the loss mask and the pictures in order. The mask is 1 on the assistant's text and on the token
            that ends each of its turns, because that token has to be learnt too. It is 0 on inline messages: the
            environment wrote them into the assistant's turn. The row ends with the token that ends the last turn. The
            mask says nothing about attention: the model attends to all tokens of the row.
        """
        if not messages or messages[-1].role != "assistant":
            raise ValueError("a row ends with an assistant message")
        ids, mask, images = self._joined(messages[:-1])
        reply = self._reply(messages, len(messages) - 1)
        return (*ids, *reply), (*mask, *[1] * len(reply)), tuple(images)

    # pictures

    def images(self, messages: Iterable[Message]) -> tuple[EncodedImage, ...]:
        """Encodes the pictures of messages, in order."""
        pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
        if not pictures:
            return ()
        return self._patches(pictures) if self.factor else tuple(picture.load() for picture in pictures)

    def inputs(self, rows: Sequence[Sequence[EncodedImage]]) -> dict[str, Any]:
        """Converts the pictures of a batch of sequences to the model's keyword arguments (torch tensors).

        Empty for a batch without pictures.
        """
        import torch

        flat = [image for row in rows for image in row]
        if not flat:
            return {}
        if self.factor:
            values = np.concatenate([image.rows for image in flat if isinstance(image, Patches)])
            grids = [image.grid for image in flat if isinstance(image, Patches)]
            return {"pixel_values": torch.from_numpy(values), "image_grid_thw": torch.tensor(grids)}
        token = self.processor.tokenizer.convert_ids_to_tokens(self.image_id)
        # these processors refuse pictures without a text that has a place for each; the resulting ids are dropped
        texts = [getattr(self.processor, "image_token", token) * len(row) for row in rows]
        pictures = [[Image.fromarray(image) for image in row] for row in rows]  # type: ignore[arg-type]
        inputs = self.processor(text=texts, images=pictures, padding=True, return_tensors="pt")
        return {key: value for key, value in inputs.items() if key not in _TEXT_KEYS}

    def _patches(self, pictures: Sequence[Picture]) -> tuple[Patches, ...]:
        loaded = [Image.fromarray(picture.load()) for picture in pictures]
        for picture, image in zip(pictures, loaded, strict=True):
            if (size := self.vision_size(*image.size)) != image.size:
                raise ValueError(
                    f"view {picture.view.index} is {image.size[0]}×{image.size[1]} pixels and the model's processor "
                    f"would make it {size[0]}×{size[1]}; show views at the size that `vision_size` gives"
                )
        minimum, maximum = self.limits
        limits = {"shortest_edge": minimum, "longest_edge": maximum}  # areas, in spite of their names
        output = self.processor.image_processor(images=loaded, size=limits, return_tensors="np")
        grids = [(int(t), int(h), int(w)) for t, h, w in output["image_grid_thw"]]
        ends = np.cumsum([t * h * w for t, h, w in grids])
        rows = np.split(np.asarray(output["pixel_values"], np.float32), ends[:-1])
        return tuple(Patches(part, grid) for part, grid in zip(rows, grids, strict=True))

    # assembly

    def _reply(self, messages: Sequence[Message], index: int) -> tuple[int, ...]:
        """Returns the ids of a reply as a model would sample them, given its text."""
        text = messages[index].text
        begins = not index or messages[index - 1].role != "inline"
        pauses = index + 1 < len(messages) and messages[index + 1].role == "inline"
        # A reply that is to be continued may leave its thought open, so nothing closes the thought for it.
        ids = self.tokens(self.template.completion(text, pauses) if begins else text)
        return ids if pauses else (*ids, self.end)

    def _inline(self, messages: Sequence[Message]) -> Encoded:
        pieces = [
            Encoded(self.tokens(part)) if isinstance(part, str) else self._framed(part)
            for message in messages
            for part in message.parts
        ]
        return Encoded(
            tuple(chain.from_iterable(piece.ids for piece in pieces)),
            tuple(chain.from_iterable(piece.images for piece in pieces)),
        )

    def _framed(self, picture: Picture) -> Encoded:
        """Encodes a picture alone: its image tokens, and the token on each side that frames them.

        Only a user message has a place for a picture in every template, so the picture is encoded in a user message of
        its own and cut out of it.
        """
        alone = self.opening([Message("user", (picture,))])
        places = [index for index, token in enumerate(alone.ids) if token == self.image_id]
        return Encoded(alone.ids[places[0] - 1 : places[-1] + 2], alone.images)

    def _ids(self, text: str, special: bool = False) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])

    def _joined(self, messages: Sequence[Message]) -> tuple[list[int], list[int], list[EncodedImage]]:
        """Joins the pieces of a dialogue up to its next reply; returns ids, loss mask and pictures."""
        replies = [n for n, message in enumerate(messages) if message.role == "assistant"]
        first = self._first(messages[: replies[0]] if replies else messages)
        ids, mask, images = list(first.ids), [0] * len(first.ids), list(first.images)
        for index, until in zip(replies, [*replies, len(messages)][1:], strict=True):
            reply = self._reply(messages, index)
            piece = self.following(messages[:until], index + 1, reply)
            ids += [*reply, *piece.ids]
            mask += [*[1] * len(reply), *[0] * len(piece.ids)]
            images += piece.images
        return ids, mask, images

    def _first(self, messages: Sequence[Message]) -> Encoded:
        # the tokenizer adds the special tokens of a text's start only if the template has not written them already
        text, bos = self.template.render(messages), self.tokenizer.bos_token
        return self._piece(text, messages, special=not (bos and text.startswith(bos)))

    def _piece(self, text: str, messages: Sequence[Message], special: bool) -> Encoded:
        images = self.images(messages)
        if self.factor or not images:
            return Encoded(self._expanded(self._ids(text, special), images), images)
        shown = [Image.fromarray(image) for image in images]  # type: ignore[arg-type]
        output = self.processor(text=[text], images=[shown], add_special_tokens=special)
        return Encoded(tuple(output["input_ids"][0]), images)

    def _expanded(self, ids: tuple[int, ...], images: Sequence[EncodedImage]) -> tuple[int, ...]:
        """Repeats each image token that the template wrote as often as its picture has tokens."""
        if ids.count(self.image_id) != len(images):
            raise ValueError(f"the template wrote {ids.count(self.image_id)} places for {len(images)} pictures")
        if not images:
            return ids
        merge, out = self.processor.image_processor.merge_size**2, list[int]()
        counts = iter([math.prod(image.grid) // merge for image in images if isinstance(image, Patches)])
        for token in ids:
            out += [token] * (next(counts) if token == self.image_id else 1)
        return tuple(out)

    def _overlap(self, ids: Sequence[int], reply: Sequence[int]) -> int:
        """Counts the ids at the start of the following piece with which the reply already ends.

        A reply may end with the whole closing, with its end token alone, or, if it was cut or stopped by a stop string,
        with none of it; the longest match counts.
        """
        for count in range(min(len(self.closing), len(ids), len(reply)), 0, -1):
            if tuple(ids[:count]) == tuple(reply[-count:]) == self.closing[:count]:
                return count
        return 0


_TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")


def _forbidden_ids(vocabulary: dict[str, int]) -> list[int]:
    return [number for token, number in vocabulary.items() if FORBIDDEN.fullmatch(token)]
