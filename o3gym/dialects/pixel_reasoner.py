"""`pixel_reasoner`: the wire format of Pixel Reasoner, for pictures and videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.frames import UNIT, Frame, check_frame, read_box, shown_pixels, write_box
from o3gym.dialects.functions import Functions
from o3gym.dialects.tagged import Unreadable
from o3gym.dialects.tags import TagBlock, boxed_block, last_block
from o3gym.dialects.times import leading_video, opening_frames
from o3gym.dialects.wording import numbering
from o3gym.latex import BOXED, escape_boxed, last_boxed
from o3gym.tools.base import Tool
from o3gym.tools.time_rules import PIXEL_REASONER_TIMES
from o3gym.types import Call, Task, View


@dataclass(frozen=True)
class PixelReasoner(Functions):
    r"""`<tool_call>{"name": "crop_image_normalized", "arguments": {"bbox_2d": […], "target_image": 1}}</tool_call>`.

    Boxes are xyxy of the named picture. `target_image` counts from 1 through the task's pictures and then the crops, so
    view i is picture i + 1. If the reply ends with `</tool_call>`, the last call counts; otherwise the last `\boxed{…}`
    is the answer. As in the released code, even white space after `</tool_call>` means that there is no call, and a
    lone `</tool_call>` at the end is a call that cannot be read. Boxes are written with four decimals.

    The system grows each crop by 10% of the picture on every side, which is the size rule "pixel_reasoner". It also
    crops the displayed picture, whereas o3gym crops native pixels.

    `{"name": "select_frames", "arguments": {"target_frames": [1, 5]}}` shows frames of the first video again, larger.
    They are numbered from 1 among the frames shown at the start, of which the time rule "pixel_reasoner" shows 16 and
    allows 8 in one call. A frame that was not among them is written as the nearest one, and a written number without a
    frame is read as a negative frame, which the environment refuses. The released code has a branch that shortens
    requests for more than 8 frames; it is never reached, so they are refused here. There, `target_image` counts either
    the frames at the start or, once there are later pictures, only those; here it always counts all pictures.

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
    tools: ClassVar[tuple[str, ...]] = ("crop", "frames", "answer", "locate", "locate_span", "answer_with_span")
    size_rule: ClassVar[str] = "pixel_reasoner"
    time_rule: ClassVar[str] = "pixel_reasoner"
    wins: ClassVar[str] = "tool_call"
    think: ClassVar[bool] = False
    names: ClassVar[Mapping[str, str]] = {"crop": "crop_image_normalized", "frames": "select_frames"}
    keys: ClassVar[Mapping[str, str]] = {"box": "bbox_2d", "view": "target_image", "numbers": "target_frames"}
    numbered: ClassVar[bool] = True
    most_frames: ClassVar[int] = PIXEL_REASONER_TIMES.most
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

    def to_frames(self, written: Sequence[int], views: Sequence[View]) -> list[int]:
        """The frames with those numbers among the frames shown at the start; −n for a number n without a frame."""
        if min(written) < 1:
            raise Unreadable(f'"target_frames" are numbered from 1, got {min(written)}')
        shown = _opening(views)
        return [shown[number - 1] if number <= len(shown) else -number for number in written]

    def from_frames(self, frames: Sequence[int], views: Sequence[View]) -> list[int]:
        """The numbers, from 1, of the frames shown at the start that are nearest to `frames`, without repetitions."""
        return sorted({self.frame_number(frame, views) for frame in frames})

    def frame_number(self, frame: int, views: Sequence[View]) -> int:
        """The number, from 1, of the nearest frame shown at the start."""
        shown = _opening(views)
        return 1 + min(range(len(shown)), key=lambda i: abs(shown[i] - frame)) if shown else frame + 1

    def missing_frame(self, refused: int, known: tuple[int, int] | None, views: Sequence[View]) -> str:
        """The refusal of a frame, with the numbers that `target_frames` takes."""
        return f"there is no frame {abs(refused)}; {numbering('frame', 1, max(1, len(_opening(views))))}"

    def timing(self, tools: Sequence[Tool], task: Task) -> str:
        """Explains the numbers of frames, if frames can be selected."""
        if not any(tool.name == "frames" for tool in tools):
            return ""
        return "target_frames counts from 1 the frames of the video that are shown at the start."

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """As in other dialects, with the system's line above selected frames."""
        parts = super().show(views, text, info)
        if views and info.get("tool") == "frames" and not info.get("error") and isinstance(parts[0], str):
            (width, height), numbers = views[0].shown, f"{views[0].index + 1} to {views[-1].index + 1}"
            parts[0] = f"Here are the selected frames (Frame Size: {width}x{height}, Numbered {numbers}):\n{parts[0]}"
        return parts

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

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """The refusal of a picture that does not exist, with the numbers that `target_image` takes."""
        return f"there is no {self.called(index)}; {numbering('image', 1, last + 1)}"

    def trouble(self, reason: str) -> str:
        """The message after a call that was refused."""
        return f"Execution error: {reason}"


def _opening(views: Sequence[View]) -> list[int]:
    """The numbers, in the video, of the frames of the first video that were shown at the start."""
    return [view.frame for view in opening_frames(views, leading_video(views)) if view.frame is not None]
