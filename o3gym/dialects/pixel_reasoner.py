"""`pixel_reasoner`: the wire format of Pixel Reasoner, for pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.frames import UNIT, Frame, check_frame, read_box, shown_pixels, write_box
from o3gym.dialects.functions import Functions
from o3gym.dialects.tags import TagBlock, boxed_block, last_block
from o3gym.latex import BOXED, escape_boxed, last_boxed
from o3gym.types import Call, View


@dataclass(frozen=True)
class PixelReasoner(Functions):
    r"""`<tool_call>{"name": "crop_image_normalized", "arguments": {"bbox_2d": […], "target_image": 1}}</tool_call>`.

    Boxes are xyxy of the named picture. `target_image` counts from 1 through the task's pictures and then the crops, so
    view i is picture i + 1. If the reply ends with `</tool_call>`, the last call counts; otherwise the last `\boxed{…}`
    is the answer. As in the released code, even white space after `</tool_call>` means that there is no call, and a
    lone `</tool_call>` at the end is a call that cannot be read. Boxes are written with four decimals.

    The system grows each crop by 10% of the picture on every side, which is the size rule "pixel_reasoner". It also
    crops the displayed picture, whereas o3gym crops native pixels. Its video tool `select_frames` is not supported.

    Attributes:
        frame: how to tell fractions from pixels. "unit" (the default) takes a box for fractions if no coordinate is
            above 1, and other boxes for pixels of the named picture as shown. "released" takes it for fractions if all
            coordinates are below 1, as the released code does, where [0, 0, 1, 1] means one pixel and not the whole
            picture. Pixels of a crop then are those of the picture that it was cropped from, because the code keeps
            crops at the size that they had before they were resized for the model.

    Source: github.com/TIGER-AI-Lab/Pixel-Reasoner (curiosity_driven_rl, experience_maker.py), arXiv 2505.15966.
    """

    frame: str = "unit"
    name: ClassVar[str] = "pixel_reasoner"
    tools: ClassVar[tuple[str, ...]] = ("crop", "answer", "locate")
    size_rule: ClassVar[str] = "pixel_reasoner"
    wins: ClassVar[str] = "tool_call"
    think: ClassVar[bool] = False
    names: ClassVar[Mapping[str, str]] = {"crop": "crop_image_normalized"}
    keys: ClassVar[Mapping[str, str]] = {"box": "bbox_2d", "view": "target_image"}
    numbered: ClassVar[bool] = True
    first: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_frame(self.frame, ("unit", "released"))

    def is_fraction(self, values: Sequence[float]) -> bool:
        """Whether coordinates are fractions of the picture rather than pixels."""
        return max(values) < 1 if self.frame == "released" else max(values) <= 1

    def to_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[float]:
        """Keeps fractions and divides pixels by the size of the picture as shown."""
        return read_box(values, UNIT if self.is_fraction(values) else self.pixels_of(views, view))

    def pixels_of(self, views: Sequence[View], view: int) -> Frame:
        """The frame of a box in pixels of a view."""
        if self.frame == "unit" or not 0 <= view < len(views) or views[view].parent < 0:
            return shown_pixels(views, view)
        region = views[view].box
        given = next((one.shown for one in views if one.source == views[view].source), views[view].shown)
        width, height = (region[2] - region[0]) * given[0], (region[3] - region[1]) * given[1]
        return Frame(max(round(width), 1), max(round(height), 1))

    def from_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[Any]:
        """Writes fractions, or pixels where the frame would mistake these fractions for pixels."""
        return list(write_box(values, self.frame_for(values, views, view)))

    def frame_for(self, values: Sequence[float], views: Sequence[View], view: int) -> Frame:
        """Fractions, or pixels where the frame would mistake these fractions for pixels."""
        return UNIT if self.is_fraction(write_box(values, UNIT)) else self.pixels_of(views, view)

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the call at the very end of the reply, else the last boxed answer."""
        if not text.endswith(f"</{self.call_tag}>"):
            return boxed_block(last_boxed(text))
        block = last_block(text, self.call_tag)
        return block if block and block.closed else TagBlock(self.call_tag, len(text), "", True)

    def missing(self, text: str) -> str:
        r"""The feedback on a reply without a call at its end and without `\boxed`."""
        return r"the reply neither ends with </tool_call> nor has \boxed{…}"

    def well_formed(self, text: str, block: TagBlock) -> bool:
        """Whether there is one call at the end and no boxed answer, or one closed boxed answer and no call."""
        calls = (text.count("<tool_call>"), text.count("</tool_call>"))
        expected = (1, 0) if block.tag == self.call_tag else (0, 1)
        return block.closed and calls == (expected[0], expected[0]) and text.count(BOXED) == expected[1]

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """Writes the answer, with its braces escaped if they are unbalanced."""
        return escape_boxed(super().write_answer(call, views))

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        r"""Writes a call as other dialects do, with `\boxed` in the thought disarmed."""
        return super().format(call, views, thought.replace(BOXED, "boxed{"))

    def close(self, text: str) -> str:
        r"""Wraps an answer in `\boxed{…}`."""
        return BOXED + text + "}"

    def coordinates(self) -> str:
        """Explains that boxes are fractions of the named picture."""
        return (
            "Boxes are left, top, right and bottom edge as fractions (0 to 1) of the width and height of the picture "
            "with the number target_image. Pictures are numbered from 1 in the order they are shown, crops included."
        )

    def label(self, view: View) -> str:
        """The picture's number, as `target_image` takes it, and size, such as "Image 1 (640x480):"."""
        return f"Image {view.index + 1} ({view.shown[0]}x{view.shown[1]}):"

    def called(self, index: int) -> str:
        """The picture's number, as `target_image` takes it."""
        return f"image {index + 1}"

    def rename(self, text: str) -> str:
        """Renumbers views from 1, also in "numbered 0 to 3"."""
        text = re.sub(
            r"views are numbered 0 to ([0-9]{1,6})", lambda m: f"images are numbered 1 to {int(m[1]) + 1}", text
        )
        return super().rename(text)

    def trouble(self, reason: str) -> str:
        """The message after a call that was refused."""
        return f"Execution error: {reason}"
