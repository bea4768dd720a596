"""Dialogues as messages of the chat completions API: text, pictures as data URLs, native tool calls."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from o3gym.geometry import fit
from o3gym.policies.dialogue import OBSERVING, Dialogue, Message, Part, Picture
from o3gym.types import Size

Json: TypeAlias = dict[str, Any]
_Turn: TypeAlias = tuple[Message, ...]

IMAGE_FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 1},  # higher levels take several times as long to save a few per cent
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},  # small coloured text does not survive subsampling
}
BYTES_A_PIXEL = 4
"""Upper bound for a PNG or a JPEG with the settings above, even of noise."""
BLOCK = 8
"""A JPEG pads both sides to a multiple of this many pixels, which makes narrow strips costly."""
HEADERS = 4096
"""Bytes reserved for the parts of a file that do not grow with the picture."""
WRITTEN_CALL = re.compile(r"<tool_call>(\{.*\})</tool_call>\s*", re.DOTALL)
"""Matches a native call as a `Reply` and the dialect `openai` write it."""
MOST_SHARED = 256
"""Largest number of encoded turns that are kept for other dialogues; more than any file of exemplars has."""
FOLLOWS = "The result is in the next message."
"""Text of every tool message, because the API takes pictures in user messages only."""


@dataclass(frozen=True)
class Wire:
    """How pictures are sent.

    Attributes:
        image_format: "png" or "jpeg".
        detail: the API's level of detail.
        max_bytes: limit of an encoded picture, before base64.
        max_pixels: limit of pixels; 0 for none.
    """

    image_format: str
    detail: str
    max_bytes: int
    max_pixels: int = 0

    def pixels(self) -> int:
        """Returns the most pixels with which any picture fits."""
        fitting = (self.max_bytes - HEADERS) // BYTES_A_PIXEL
        return min(fitting, self.max_pixels) if self.max_pixels else fitting

    def size(self, width: int, height: int) -> Size:
        """Returns the size itself, or a smaller one with which any picture fits."""
        shown = fit((width, height), 1, self.pixels())
        narrow = min(BLOCK, *shown)
        return fit(shown, 1, self.pixels() * narrow // BLOCK) if narrow < BLOCK else shown

    def url(self, picture: Picture) -> str:
        """Returns the picture as a data URL. Raises ValueError if it exceeds the limits, which `size` prevents."""
        size: Size = picture.view.shown
        data = encoded(picture.load(), self.image_format)
        if size[0] * size[1] > self.pixels() or len(data) > self.max_bytes:
            raise ValueError(
                f"view {picture.view.index} is {size[0]}×{size[1]} pixels and {len(data)} bytes; the limits are "
                f"{self.pixels()} pixels and {self.max_bytes} bytes"
            )
        return data_url(data, self.image_format)


def encoded(pixels: np.ndarray[Any, np.dtype[np.uint8]], image_format: str) -> bytes:
    """Returns a picture as the content of a file in one of `IMAGE_FORMATS`."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **IMAGE_FORMATS[image_format])
    return file.getvalue()


def data_url(data: bytes, image_format: str) -> str:
    """Returns the content of a picture's file as a URL."""
    return f"data:image/{image_format};base64,{base64.b64encode(data).decode()}"


class SharedTurns:
    """The encodings of turns that several dialogues begin with, as exemplars do: they are the same objects in each.

    Encoding the pictures of exemplars again for every episode would take longer than encoding those of the episode.
    Threads may share this: at worst, two of them encode the same turn.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], tuple[_Turn, list[bytes]]] = {}

    def encoded(self, turn: _Turn, encode: Callable[[_Turn], list[bytes]]) -> list[bytes]:
        """Returns the encoding of a turn, from `encode` if it is new."""
        key = tuple(map(id, turn))
        kept = self._kept.get(key)  # it holds the messages, so their ids cannot become those of others
        if kept is None:
            if len(self._kept) >= MOST_SHARED:
                self._kept.clear()
            kept = self._kept[key] = (turn, encode(turn))
        return kept[1]


@dataclass
class Chat:
    """The messages of one dialogue, which grow with it. Each is encoded once and kept until the episode is released.

    A message never changes: one that a cut replaced is another object, and is encoded in place of the old one.

    Attributes:
        dialogue: the dialogue.
        wire: how pictures are sent.
        appendix: text after the system prompt.
        native: the last reply in the API's form, if it made well-formed native calls; it is sent back in that form.
        inline_as_user: whether inline messages are sent as user messages. Otherwise they are parts of the assistant's
            message, which the server is asked to continue.
        native_calls: whether replies that the dialogue has from its start, as those of exemplars, make their calls in
            the API's form, as the model is to make its own.
        shared: keeps the encodings of turns that the dialogue has from its start, for other dialogues.
    """

    dialogue: Dialogue
    wire: Wire
    appendix: str = ""
    native: Json | None = None
    inline_as_user: bool = False
    native_calls: bool = False
    shared: SharedTurns = field(default_factory=SharedTurns)
    _encoded: list[tuple[_Turn, list[bytes]]] = field(default_factory=list)

    def messages(self, begun: str = "") -> list[bytes]:
        """Returns all messages so far, each as JSON text; only new and changed ones are converted.

        Args:
            begun: the beginning of the next reply, which the server is to continue.

        Raises:
            ValueError: an inline message that the server is to continue has a picture.
        """
        begins, stale = not self._encoded, self._stale()
        for index, turn in stale:
            if begins and 0 < index < len(stale) - 1:  # between the system prompt and the task
                encoded = self.shared.encoded(turn, partial(self._earlier, index))
            else:
                encoded = _dumped(self._converted(turn, self.native))
            self._encoded[index : index + 1] = [(turn, encoded)]
        whole = [each for _, encoded in self._encoded for each in encoded]
        if not begun:
            return whole
        before = "".join(message.text for message in self._encoded[-1][0]) if self.unfinished else ""
        message = json.dumps({"role": "assistant", "content": before + begun}).encode()
        return [*(whole[:-1] if self.unfinished else whole), message]

    @property
    def unfinished(self) -> bool:
        """Whether the next reply continues the last message."""
        return not self.inline_as_user and self.dialogue.messages[-1].role == "inline"

    def pixels(self) -> int:
        """Returns the pixels of the pictures that `messages` has yet to encode."""
        new = (part for _, turn in self._stale() for message in turn for part in message.parts)
        return sum(part.view.shown[0] * part.view.shown[1] for part in new if isinstance(part, Picture))

    def _stale(self) -> list[tuple[int, _Turn]]:
        """Returns the turns without a valid encoding, with their indices."""
        known = len(self._encoded)
        return [
            (index, turn)
            for index, turn in enumerate(self._turns())
            if index >= known or list(map(id, self._encoded[index][0])) != list(map(id, turn))
        ]

    def _turns(self) -> list[_Turn]:
        """Returns the messages, those of each turn of the assistant together."""
        turns: list[_Turn] = []
        for message in self.dialogue.messages:
            before = turns[-1][-1].role if turns else ""
            inside = message.role == "inline" or (message.role == "assistant" and before == "inline")
            if inside and not self.inline_as_user:
                turns[-1] = (*turns[-1], message)
            else:
                turns.append((message,))
        return turns

    def _earlier(self, index: int, turn: _Turn) -> list[bytes]:
        """Encodes a turn that the dialogue has from its start."""
        written = self.native_calls and turn[0].role == "assistant" and len(turn) == 1
        return _dumped(self._converted(turn, written_call(turn[0].text, index) if written else None))

    def _converted(self, turn: _Turn, native: Json | None) -> Iterator[Json]:
        message = turn[0]
        if message.role in OBSERVING:
            yield {"role": "user", "content": [self._part(part) for part in message.parts if part]}
        elif message.role == "system":
            yield {"role": "system", "content": "\n\n".join(filter(None, [message.text, self.appendix]))}
        elif native is None:
            if any(isinstance(part, Picture) for message in turn for part in message.parts):
                raise ValueError(
                    "a message of the assistant cannot hold a picture in the chat completions API: send observations "
                    "as user messages (inline=user), or sample with transformers:PATH, vllm:PATH or vllm_server:PATH"
                )
            yield {"role": "assistant", "content": "".join(message.text for message in turn)}
        else:
            yield native
            for call in native["tool_calls"]:
                yield {"role": "tool", "tool_call_id": call["id"], "content": FOLLOWS}

    def _part(self, part: Part) -> Json:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        return {"type": "image_url", "image_url": {"url": self.wire.url(part), "detail": self.wire.detail}}


def _dumped(messages: Iterator[Json]) -> list[bytes]:
    return [json.dumps(message).encode() for message in messages]


def written_call(reply: str, number: int) -> Json | None:
    """Returns a written reply that ends with a call as a message with a native call; None if it ends otherwise.

    `number` makes the id of the call unique. Some servers accept nothing but nine letters and digits as an id.
    """
    match = WRITTEN_CALL.search(reply)
    if match is None or match.end() < len(reply):
        return None
    try:
        call = json.loads(match[1])
        function = {"name": str(call["name"]), "arguments": json.dumps(call["arguments"])}
    except (ValueError, KeyError, TypeError):
        return None
    calls = [{"id": f"call{number:05}", "type": "function", "function": function}]
    return {"role": "assistant", "content": reply[: match.start()].strip(), "tool_calls": calls}


def native_message(message: Mapping[str, Any]) -> Json | None:
    """Returns a reply's message as history, or None if a call in it is malformed, which servers refuse in a history."""
    calls = message.get("tool_calls") or []
    if not calls or not all(_well_formed(call) for call in calls):
        return None
    kept = [
        {"id": c["id"], "type": "function", "function": {key: c["function"][key] for key in ("name", "arguments")}}
        for c in calls
    ]
    return {"role": "assistant", "content": message.get("content") or "", "tool_calls": kept}


def _well_formed(call: Mapping[str, Any]) -> bool:
    try:
        return bool(call["id"]) and isinstance(json.loads(call["function"]["arguments"]), dict)
    except (ValueError, KeyError, TypeError):
        return False


def tools_in_words(tools: Sequence[Mapping[str, Any]]) -> str:
    """Describes function tools in text, for a server that takes no `tools=`."""
    schemas = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    form = '<tool_call>{"name": …, "arguments": {…}}</tool_call>'
    return f"The functions, as JSON schemas:\n{schemas}\n\nWrite a call as {form}." if tools else ""
