"""`next_state`: a picture of the next state, for models that plan by drawing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

from PIL import Image

from o3gym.dialects.base import CUT, MAX_REPLY, unreadable
from o3gym.dialects.moves import OneBlock, world_moves
from o3gym.dialects.tags import TagBlock, disarm, keeps_shape, last_block, quote_in_thoughts, thought_before
from o3gym.dialects.wording import WORLD_SHOWN, enumerated
from o3gym.tools.base import Tool
from o3gym.tools.draw_state import MAX_DRAWN
from o3gym.types import Call, Parsed, Task, View
from o3gym.worlds.tiles import StatePicture

MAX_DRAWN_REPLY = MAX_DRAWN + MAX_REPLY
"""Maximum number of characters read, taken from the end of a reply: a picture, and text around it."""
_IMAGE, _SOURCE, _IMAGE_END = "![", "](data:image/", ")"
"""The parts of a Markdown image with a data URL: `![`, any text, `](data:image/`, the rest of the URL, and `)`."""


@dataclass(frozen=True)
class NextState(OneBlock):
    """Any text with a picture of the next state: `<state>data:image/png;base64,…</state>`. The last picture counts.

    The environment reads the move from the picture. A Markdown image with a data URL, `![…](data:image/png;base64,…)`,
    counts as well, because chat models that generate images return them in this form, but it is not well formed. The
    text before and after the picture is the thought. Whether the picture can be decoded and shows a valid move is for
    the environment to judge.

    Each reply adds two views: the picture that was drawn, and then the true picture of the state after the move. Only
    the true one, which is the last one, is shown to the policy: it is the state from which to draw the next one, and
    the policy knows its own picture already.

    The format is ours. VPRL's models (arXiv 2505.11409) write the codes of a picture, which are not text.
    """

    name: ClassVar[str] = "next_state"
    tools: ClassVar[tuple[str, ...]] = ("draw_state",)
    call_tag: ClassVar[str] = "state"

    def actionable(self, text: str, cut: bool = False) -> str:
        """`text` with the pictures in its thoughts quoted, unless the dialect reads them; positions do not move."""
        return text if self.thought_answers else quote_in_thoughts(text, self.call_tag, cut)

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply: the last picture counts."""
        text = text[-MAX_DRAWN_REPLY:]
        block, end = _last_picture(self.actionable(text))
        if block is None:
            return unreadable("void", "the reply has no <state>…</state>", thought_before(text, len(text)))
        around = "\n".join(filter(None, [text[: block.start].strip(), text[end:].strip()]))
        shape = keeps_shape(text, self.call_tag, self.tags, self.think)
        return Parsed(self.read_call(block.body, views)[0], shape, thought_before(around, len(around)))

    def parse_cut(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply that was cut by its token limit: only a picture that is complete counts."""
        text = self.actionable(text[-MAX_DRAWN_REPLY:], cut=True)
        block, _ = _last_picture(text)
        if block is None or not block.closed:
            end = block.start if block else len(text)
            return unreadable("parse" if block else "void", CUT, thought_before(text, end))
        return self.parse(text, views)

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads the data URL, which may stand in a Markdown image and be broken into lines."""
        inner, _ = _last_image(body)
        picture = "".join((inner.body if inner else body).split())
        return Call("draw_state", {"picture": picture[:MAX_DRAWN]}), True

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The data URL."""
        return disarm(call.args["picture"], self.tags)

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The task's pictures and the question at reset; later the true picture of the state, then feedback."""
        return super().show(views if info.get("turn", 0) == 0 else views[-1:], text, info)

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains the possible moves and how to draw."""
        return (
            f"{WORLD_SHOWN} Choose the move that leads to the goal on the shortest way, and draw the state after it: "
            f"the same picture, changed by one move. The possible moves are {enumerated(world_moves(task))}. You are "
            "then shown the new state, until you have reached the goal.\n\n"
            "Write every reply as your reasoning, if you need any, followed by the picture and nothing after it: "
            "256×256 pixels, as <state>data:image/png;base64,…</state>."
        )


def picture_url(picture: StatePicture) -> str:
    """A picture as the data URL that a `<state>` block holds: PNG, which keeps every pixel."""
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


def _last_picture(text: str) -> tuple[TagBlock | None, int]:
    """The last `<state>` block or Markdown image of a text, and its end. A closed one wins over one that is not."""
    block = last_block(text, NextState.call_tag)
    end = len(text)
    if block is not None and block.closed:
        end = text.index(f"</{block.tag}>", block.start) + len(f"</{block.tag}>")
    image, image_end = _last_image(text)
    if image is None or (block is not None and block.closed and image_end <= end):
        return block, end
    return image, image_end


def _last_image(text: str) -> tuple[TagBlock | None, int]:
    """The last Markdown image with a data URL as a block, and its end; None and the end of the text for none."""
    at = text.rfind(_SOURCE, 0, max(text.rfind(_IMAGE_END), 0))
    start = text.rfind(_IMAGE, 0, at + 1) if at >= 0 else -1
    if start < 0:
        return None, len(text)
    end = text.index(_IMAGE_END, at)
    return TagBlock(NextState.call_tag, start, text[at + 2 : end], True), end + 1
