"""`deepeyes`: the wire format of DeepEyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fmod
from typing import Any, ClassVar

from o3gym.dialects.frames import UNIT, Frame, check_frame, shown_pixels
from o3gym.dialects.functions import Functions
from o3gym.dialects.lenient_json import number
from o3gym.dialects.tags import TagBlock, tag_blocks
from o3gym.tools.base import Arg
from o3gym.types import Call, View


@dataclass(frozen=True)
class DeepEyes(Functions):
    """A think block, then `<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": […]}}</tool_call>`.

    Boxes are xyxy in whole pixels of the first picture (view 0), and every crop is taken from that picture. A crop may
    carry a "label". `image_rotate_tool` rotates the first picture by an `angle`. If a reply has both an answer and a
    call, the answer counts; of several calls, the last one counts. Empty blocks count as absent. Arguments beside the
    name, without "arguments", are accepted as well, because an official prompt that is not in use writes them that way.

    Attributes:
        frame: the pixels that boxes are measured in. "shown" (the default) means the picture as displayed to the
            model, so boxes land where the model intends. "native" means the picture before resizing, which is how the
            released code reads the same numbers; crops are then shifted whenever the picture was displayed at less
            than its native size (DeepEyes issue 141).

    Source: github.com/Visual-Agent/DeepEyes (verl/workers/agent/envs/mm_process_engine), arXiv 2505.14362.
    """

    frame: str = "shown"
    name: ClassVar[str] = "deepeyes"
    tools: ClassVar[tuple[str, ...]] = ("crop", "rotate", "answer", "locate", "locate_span", "answer_with_span")
    size_rule: ClassVar[str] = "deepeyes"
    wins: ClassVar[str] = "answer"
    names: ClassVar[Mapping[str, str]] = {"crop": "image_zoom_in_tool", "rotate": "image_rotate_tool"}
    labelled: ClassVar[bool] = True
    reminder: ClassVar[str] = "Think on, then call a function or answer."

    def __post_init__(self) -> None:
        check_frame(self.frame, ("shown", "native"))

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the answer, or else the call, that counts, and takes empty blocks for absent."""
        return next((block for block in tag_blocks(text, self.tags) if block.body), None)

    def read_value(self, key: str, arg: Arg, value: Any, views: Sequence[View], view: int) -> Any:
        """Reads an argument as other dialects do, and takes whole turns off an angle that `rotate` would refuse."""
        degrees = number(value) if key == "angle" else None
        value = value if degrees is None or abs(degrees) <= arg.high else fmod(degrees, 360.0)
        return super().read_value(key, arg, value, views, view)

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """The body of an answer; an empty one is written as a space, because an empty block counts as absent."""
        return super().write_answer(call, views) or " "

    def frame_of(self, views: Sequence[View], view: int) -> Frame:
        """The size of view 0, as shown or native."""
        return shown_pixels(views, 0) if self.frame == "shown" else Frame(*views[0].native) if views else UNIT

    def coordinates(self) -> str:
        """Explains that boxes are in pixels of the first picture."""
        return (
            "Boxes are left, top, right and bottom edge in pixels of the first picture, counted from its top left "
            "corner. Every function works on that picture, whatever was shown later."
        )

    def label(self, view: View) -> str:
        """The size of the first picture, in whose pixels boxes are measured."""
        return f"Picture of {view.shown[0]}x{view.shown[1]} pixels:" if view.index == 0 else ""

    def called(self, index: int) -> str:
        """A description, because this format does not name views."""
        return "the first picture" if index == 0 else "a later picture"

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """A sentence without names, because every call works on the first picture."""
        return "every function works on the first picture"

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """Wraps the parts in tool_response tags."""
        return ["<tool_response>", *parts, "</tool_response>", self.reminder]
