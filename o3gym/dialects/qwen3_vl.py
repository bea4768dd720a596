"""`qwen3_vl`: tool calls in the format of Qwen3-VL's agent cookbook, for all tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.frames import THOUSANDTHS, Frame
from o3gym.dialects.functions import Functions, named_in_xml
from o3gym.dialects.wording import numbering
from o3gym.registry import TOOLS
from o3gym.types import View


@dataclass(frozen=True)
class Qwen3VL(Functions):
    """`<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": […], "img_idx": 0}}</tool_call>`.

    Coordinates are xyxy (xy for points) in thousandths of the picture `img_idx`, which counts all pictures so far from
    0. `crop` is written `image_zoom_in_tool` and may carry a "label"; every other registered tool keeps its name. The
    arguments `box`, `boxes`, `center` and `view` are written `bbox_2d`, `bboxes_2d`, `point_2d` and `img_idx`. Answers
    are `<answer>…</answer>`; a region search ends with a call of `locate`, a temporal grounding with one of
    `locate_span`, and a grounded question with one of `answer_with_span`. The last call or answer counts, so that a
    thinking model may mention tags while it thinks.

    Calls in Qwen3.5's form, `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>`, are
    read too, with values of the declared types of the tool's arguments. Calls are always written and described as JSON.

    Source: the agent cookbook of github.com/QwenLM/Qwen3-VL ("think with images"). The XML form is that of the chat
    template of Qwen3.5. Tools other than zooming in are ours.
    """

    name: ClassVar[str] = "qwen3_vl"
    tools: ClassVar[tuple[str, ...]] = (
        *("crop", "zoom", "reuse", "answer", "locate", "rotate", "draw"),
        *("frames", "clip", "locate_span", "answer_with_span", "code", "move"),
    )
    think: ClassVar[bool] = False
    names: ClassVar[Mapping[str, str]] = {"crop": "image_zoom_in_tool"}
    keys: ClassVar[Mapping[str, str]] = {
        "view": "img_idx",
        "box": "bbox_2d",
        "boxes": "bboxes_2d",
        "center": "point_2d",
    }
    numbered: ClassVar[bool] = True
    videos: ClassVar[bool] = True
    labelled: ClassVar[bool] = True

    def read_named(self, body: str) -> tuple[str, dict[str, Any], bool]:
        """Reads the body of a call in JSON or in XML. Raises `Unreadable`."""
        return named_in_xml(body) or super().read_named(body)

    def frame_of(self, views: Sequence[View], view: int) -> Frame:
        """Thousandths, whatever the view."""
        return THOUSANDTHS

    def spoken(self, tool: str) -> bool:
        """True for `answer` only: a box is located by a call."""
        return tool == "answer"

    def expresses(self, tool: str) -> bool:
        """True for every registered tool but `noop`."""
        return tool in TOOLS and tool != "noop"

    def coordinates(self) -> str:
        """Explains that coordinates are thousandths of the named picture."""
        return (
            "Coordinates run from 0 to 1000 over the width and over the height of the picture img_idx, counted from "
            "its top left corner, x before y. img_idx counts all pictures from 0 in the order they are shown."
        )

    def label(self, view: View) -> str:
        """The picture's number, as `img_idx` takes it."""
        return f"Picture {view.index} (img_idx {view.index}):"

    def called(self, index: int) -> str:
        """The picture's number, as `img_idx` takes it."""
        return f"picture {index}"

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """The refusal of a picture that does not exist, with the numbers that `img_idx` takes."""
        return f"there is no {self.called(index)}; {numbering('picture', 0, last)}"
