"""Dialogues as token ids and pixels: what a model with a chat template reads, piece by piece.

A sequence grows by pieces and is never tokenised again: the opening, a reply as it was sampled, what follows it, the
next reply, and so on. Rollouts and training rows are built from the same pieces, so a model is trained on exactly the
ids that it will see.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.local.processors import patch_size, pixel_limits, settled_size
from o3gym.types import Size

REPLY_MARK = "\ue000"
"""Stands for a reply in a rendered template; a private-use character, removed from everything else."""
FORBIDDEN = re.compile(
    r"<\|(image|video|vision)_(pad|start|end)\|>|</?(image|video)>|<(start|end)_of_image>|<image_soft_token>"
    r"|<fake_token_around_image>|<global-img>|<row_\d+_col_\d+>"
)
"""Tokens that stand for pixels or frame them. One in a reply would claim pixels that are not there."""


@dataclass(frozen=True)
class Patches:
    """A picture as a Qwen model takes it.

    Attributes:
        rows: float32 of shape (t·h·w, channels · temporal patch · patch²), in the processor's order.
        grid: (t, h, w) in patches; t·h·w / merge² tokens stand for the picture.
    """

    rows: NDArray[np.float32]
    grid: tuple[int, int, int]


EncodedImage: TypeAlias = Patches | NDArray[np.uint8]


@dataclass(frozen=True)
class Encoded:
    """A piece of a sequence.

    Attributes:
        ids: its tokens, with one image token per place that pixels take.
        images: its pictures in order: `Patches` for the Qwen families; for others uint8 (height, width, 3), because
            there the processor decides over all pictures of a batch. `Encoder.inputs` makes tensors of either.
    """

    ids: tuple[int, ...]
    images: tuple[EncodedImage, ...] = ()


class Encoder:
    r"""Writes dialogues for one model. Holds no state of a dialogue.

    Args:
        processor: from `load_processor`.
        min_pixels, max_pixels: of a picture, for the Qwen families; 0 for what the checkpoint says.

    Attributes:
        factor: pixels per side of one token; 0 for families whose resizing is unknown.
        image_id: the token that stands for pixels.
        closing: ids that close an assistant turn, such as those of "<|im_end|>\n"; `end`: the one a model ends with.
        eos: ids after which nothing is generated.
        pad: id to pad with.
        forbidden: ids that must never be sampled, ascending.
    """

    def __init__(self, processor: Any, min_pixels: int = 0, max_pixels: int = 0) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self.factor = patch_size(processor.image_processor)
        if not self.factor and (min_pixels or max_pixels):
            raise ValueError(f"min_pixels, max_pixels: {type(processor).__name__} has no such limits")
        self.limits = pixel_limits(processor.image_processor, min_pixels, max_pixels) if self.factor else (0, 0)
        self.image_id = int(processor.image_token_id)
        special = {i: str(token) for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        self._special = re.compile("|".join(re.escape(t) for t in special.values() if len(t) > 1) or r"(?!)")
        self.forbidden = tuple(sorted({self.image_id, *self._matching(self.tokenizer.get_added_vocab())}))
        self._whole_text = self._takes_text_only()
        self.closing = self._closing()
        self.end = next((i for i in self.closing if i in special), self.tokenizer.eos_token_id)
        self.eos = frozenset(filter(lambda i: i is not None, (self.end, self.tokenizer.eos_token_id)))
        self.pad = next((i for i in (self.tokenizer.pad_token_id, self.end) if i is not None), 0)

    @staticmethod
    def _matching(vocabulary: dict[str, int]) -> list[int]:
        return [number for token, number in vocabulary.items() if FORBIDDEN.fullmatch(token)]

    # what a size and a text become

    def vision_size(self, width: int, height: int) -> Size:
        """The size that the processor leaves alone for a picture of this size; the identity for unknown families."""
        return settled_size((width, height), self.factor, *self.limits) if self.factor else (width, height)

    def tokens(self, text: str) -> tuple[int, ...]:
        """Ids of a text in which special tokens are taken literally: one a model or a question wrote stays text."""
        return self._ids(self._plain(text))

    def text(self, ids: Sequence[int]) -> str:
        """What ids say, special tokens removed."""
        said: str = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return said

    # the pieces of a sequence

    def opening(self, messages: Sequence[Message]) -> Encoded:
        """From nothing through the generation prompt; replies that are in there already are tokenised from their text.

        Raises ValueError for a picture of a size that the processor would change (see `vision_size`).
        """
        ids, _, images = self._woven(messages)
        return Encoded(tuple(ids), tuple(images))

    def following(self, messages: Sequence[Message], seen: int, reply: Sequence[int] = ()) -> Encoded:
        """From the end of an assistant's reply through the next generation prompt.

        Args:
            messages: the whole dialogue.
            seen: how many messages the sequence already covers; the last of them is the reply, those after it are new.
            reply: the reply's ids; what it already closes its turn with is not repeated.
        """
        new = messages[seen:]
        if not new or messages[seen - 1].role != "assistant" or any(m.role == "assistant" for m in new):
            raise ValueError(f"expected user messages after the reply at {seen - 1}, got {[m.role for m in messages]}")
        kept = messages[: seen - 1] if not self._local else self._stand_in(messages)
        rendered = self._rendered([*kept, Message("assistant", (REPLY_MARK,)), *new], prompt=True)
        piece = self._piece(rendered.partition(REPLY_MARK)[2], new, special=False)
        return Encoded(piece.ids[self._closed(piece.ids, reply) :], piece.images)

    def row(self, messages: Sequence[Message]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[EncodedImage, ...]]:
        """A whole dialogue that ends with an assistant message: ids, mask, pictures in order.

        The mask is 1 on what the assistant wrote and on the token that ends its turn. The row ends with that token.
        """
        if not messages or messages[-1].role != "assistant":
            raise ValueError("a row ends with an assistant message")
        ids, mask, images = self._woven(messages[:-1])
        said = (*self.tokens(messages[-1].text), self.end)
        return (*ids, *said), (*mask, *[1] * len(said)), tuple(images)

    def images(self, messages: Iterable[Message]) -> tuple[EncodedImage, ...]:
        """The pictures of some messages, in order."""
        pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
        if not pictures:
            return ()
        return self._patches(pictures) if self.factor else tuple(picture.load() for picture in pictures)

    def inputs(self, rows: Sequence[Sequence[EncodedImage]]) -> dict[str, Any]:
        """The pictures of a batch of sequences as the model's keyword arguments (torch tensors); empty without any."""
        import torch

        flat = [image for row in rows for image in row]
        if not flat:
            return {}
        if self.factor:
            values = np.concatenate([image.rows for image in flat if isinstance(image, Patches)])
            grids = [image.grid for image in flat if isinstance(image, Patches)]
            return {"pixel_values": torch.from_numpy(values), "image_grid_thw": torch.tensor(grids)}
        token = self.processor.tokenizer.convert_ids_to_tokens(self.image_id)
        places = [getattr(self.processor, "image_token", token) * len(row) for row in rows]
        pictures = [[Image.fromarray(image) for image in row] for row in rows]  # type: ignore[arg-type]
        made = self.processor(text=places, images=pictures, padding=True, return_tensors="pt")
        return {key: value for key, value in made.items() if key not in _TEXT_KEYS}

    # how they are made

    def _rendered(self, messages: Iterable[Message], prompt: bool) -> str:
        said: str = self.processor.apply_chat_template(
            [self._chat(message) for message in messages], tokenize=False, add_generation_prompt=prompt
        )
        return said

    def _chat(self, message: Message) -> dict[str, Any]:
        if self._whole_text and message.role != "user":
            return {"role": message.role, "content": self._plain(message.text, message.role)}
        parts = [
            {"type": "text", "text": self._plain(part, message.role)} if isinstance(part, str) else {"type": "image"}
            for part in message.parts
        ]
        return {"role": message.role, "content": parts}

    def _plain(self, text: str, role: str = "") -> str:
        """The text with a gap in each special token that it spells out, so that it is no token."""
        if REPLY_MARK in text and not (role == "assistant" and text == REPLY_MARK):
            text = text.replace(REPLY_MARK, "")
        return self._special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    def _ids(self, text: str, special: bool = False) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])

    def _woven(self, messages: Sequence[Message]) -> tuple[list[int], list[int], list[EncodedImage]]:
        """Ids, mask and pictures of a dialogue through the generation prompt, from pieces."""
        replies = [n for n, message in enumerate(messages) if message.role == "assistant"]
        first = self._first(messages[: replies[0]] if replies else messages)
        ids, mask, images = list(first.ids), [0] * len(first.ids), list(first.images)
        for here, until in zip(replies, [*replies, len(messages)][1:], strict=True):
            said = (*self.tokens(messages[here].text), self.end)
            piece = self.following(messages[:until], here + 1, said)
            ids += [*said, *piece.ids]
            mask += [*[1] * len(said), *[0] * len(piece.ids)]
            images += piece.images
        return ids, mask, images

    def _first(self, messages: Sequence[Message]) -> Encoded:
        text, bos = self._rendered(messages, prompt=True), self.tokenizer.bos_token
        return self._piece(text, messages, special=not (bos and text.startswith(bos)))

    def _piece(self, text: str, messages: Sequence[Message], special: bool) -> Encoded:
        images = self.images(messages)
        if self.factor or not images:
            return Encoded(self._expanded(self._ids(text, special), images), images)
        shown = [Image.fromarray(image) for image in images]  # type: ignore[arg-type]
        made = self.processor(text=[text], images=[shown], add_special_tokens=special)
        return Encoded(tuple(made["input_ids"][0]), images)

    def _patches(self, pictures: Sequence[Picture]) -> tuple[Patches, ...]:
        loaded = [Image.fromarray(picture.load()) for picture in pictures]
        for picture, image in zip(pictures, loaded, strict=True):
            if (size := self.vision_size(*image.size)) != image.size:
                raise ValueError(
                    f"view {picture.view.index} is {image.size[0]}×{image.size[1]} pixels and the model's processor "
                    f"would make it {size[0]}×{size[1]}; show views at the size that `vision_size` gives"
                )
        least, most = self.limits
        limits = {"shortest_edge": least, "longest_edge": most}
        made = self.processor.image_processor(images=loaded, size=limits, return_tensors="np")
        grids = [(int(t), int(h), int(w)) for t, h, w in made["image_grid_thw"]]
        ends = np.cumsum([t * h * w for t, h, w in grids])
        rows = np.split(np.asarray(made["pixel_values"], np.float32), ends[:-1])
        return tuple(Patches(part, grid) for part, grid in zip(rows, grids, strict=True))

    def _expanded(self, ids: tuple[int, ...], images: Sequence[EncodedImage]) -> tuple[int, ...]:
        """One image token per place that a picture takes, for each one that the template wrote."""
        if ids.count(self.image_id) != len(images):
            raise ValueError(f"the template wrote {ids.count(self.image_id)} places for {len(images)} pictures")
        if not images:
            return ids
        merge, out = self.processor.image_processor.merge_size**2, list[int]()
        places = iter([math.prod(image.grid) // merge for image in images if isinstance(image, Patches)])
        for token in ids:
            out += [token] * (next(places) if token == self.image_id else 1)
        return tuple(out)

    def _closing(self) -> tuple[int, ...]:
        probe = [Message("user", ("?",)), Message("assistant", (REPLY_MARK,))]
        rendered = self._rendered(probe, prompt=False)
        if REPLY_MARK not in rendered:
            raise ValueError("its chat template does not show what an assistant said")
        return self._ids(rendered.partition(REPLY_MARK)[2])

    def _closed(self, ids: Sequence[int], reply: Sequence[int]) -> int:
        """How many ids at the start of what follows a reply are already its end."""
        for count in range(min(len(self.closing), len(ids), len(reply)), 0, -1):
            if tuple(ids[:count]) == tuple(reply[-count:]) == self.closing[:count]:
                return count
        return 0

    @staticmethod
    def _stand_in(messages: Sequence[Message]) -> list[Message]:
        """A short beginning instead of the whole one."""
        return [*(m for m in messages[:1] if m.role == "system"), Message("user", ("?",))]

    def _takes_text_only(self) -> bool:
        """Whether the template wants a string, not a list of parts, from all but the user."""
        self._whole_text = False
        probe = [Message("system", ("?",)), Message("user", ("?",)), Message("assistant", (REPLY_MARK,))]
        try:
            return "'type'" in self._rendered(probe, prompt=False)
        except Exception:
            return True

    @cached_property
    def _local(self) -> bool:
        """Whether what the template writes after a reply does not depend on what came long before it.

        Then a short beginning is rendered in place of the whole, or a dialogue of n turns would cost n².
        """
        system, user, mark = Message("system", ("?",)), Message("user", ("!",)), Message("assistant", (REPLY_MARK,))
        long = [system, user, Message("assistant", ("a",)), user, Message("assistant", ("b",)), user, mark, user]
        short = [*self._stand_in(long), mark, user]
        first, second = (self._rendered(m, prompt=True).partition(REPLY_MARK)[2] for m in (long, short))
        return first == second


_TEXT_KEYS = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
