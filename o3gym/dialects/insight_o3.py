"""`insight_o3`: the wire format of InSight-o3's vSearcher, the agent that locates a described region."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.frames import THOUSANDTHS, Frame, check_frame, shown_pixels
from o3gym.dialects.functions import Functions, named
from o3gym.dialects.lenient_json import numbers, read_json
from o3gym.dialects.tagged import Unreadable
from o3gym.dialects.tags import TagBlock, first_block, tag_blocks
from o3gym.tools.base import Tool
from o3gym.types import Call, Task, View, locate


@dataclass(frozen=True)
class InsightO3(Functions):
    """DeepEyes' tool call, and `<answer>[x1, y1, x2, y2]</answer>` to end; all zeros mean "not in the picture".

    Boxes are xyxy of the first picture (view 0), and every crop is taken from that picture. If a reply has both a call
    and an answer, the call counts; of several calls the first one counts, of several answers the last one. The reason
    is that the released loop runs one call and looks for an answer only in the reply that ends the episode. In
    well-formed replies, the numbers are integers with 0 ≤ x1 < x2 and 0 ≤ y1 < y2.

    Attributes:
        frame: "shown" (the default) means whole pixels of view 0 as displayed to the model, as with Qwen2.5-VL.
            "grid1000" means thousandths of its width and height, as in the Qwen3-VL variant of the system.

    Source: github.com/m-Just/InSight-o3 and InSight-doc (verl/utils/vsearch.py, insight_o3_agent_loop.py),
    arXiv 2512.18745.
    """

    frame: str = "shown"
    name: ClassVar[str] = "insight_o3"
    tools: ClassVar[tuple[str, ...]] = ("crop", "locate")
    size_rule: ClassVar[str] = "insight_o3"
    wins: ClassVar[str] = "tool_call"
    names: ClassVar[Mapping[str, str]] = {"crop": "image_zoom_in_tool"}
    labelled: ClassVar[bool] = True
    reminder: ClassVar[str] = "Think on, then call the function or answer with the box."
    at_limit: ClassVar[str] = "\nNo call is left: answer with the box now."

    def __post_init__(self) -> None:
        check_frame(self.frame, ("shown", "grid1000"))

    def frame_of(self, views: Sequence[View], view: int) -> Frame:
        """The size of view 0 as shown, or the thousandths grid."""
        return shown_pixels(views, 0) if self.frame == "shown" else THOUSANDTHS

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the first call; if there is none, the last answer."""
        found = tag_blocks(text, self.tags)
        first = first_block(text, self.call_tag)
        return first if first and found[0].tag == self.call_tag else found[0] if found else None

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads a crop of the first picture."""
        call, strict = super().read_call(body, views)
        return call, strict and _is_proper(named(body)[1].get("bbox_2d"))

    def read_answer(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads a box; all zeros mean None."""
        value, strict = read_json(body)
        box = numbers(value["bbox_2d"] if isinstance(value, dict) and "bbox_2d" in value else value or body, 4)
        if box is None:
            raise Unreadable(f"the answer must be a box {self.corners} of four numbers")
        if not any(box):
            return locate(None), strict and _integers(value) == [0, 0, 0, 0]
        return locate(self.to_unit(box, views, 0)), strict and _is_proper(value)

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """Writes the box as a list. Raises ValueError for a box of another view than 0."""
        if call.args.get("view", 0) != 0:
            raise ValueError(f"dialect {self.name} answers with boxes of view 0 only, got view {call.args['view']}")
        box = call.args["box"]
        return json.dumps([0, 0, 0, 0] if box is None else self.from_unit(box, views, 0))

    def coordinates(self) -> str:
        """Explains that boxes are in pixels or thousandths of the first picture."""
        unit = "whole pixels" if self.frame == "shown" else "thousandths of the width and height"
        return (
            f"Boxes are left, top, right and bottom edge in {unit} of the first picture, counted from its top left "
            "corner, always as integers. The function works on that picture, whatever was shown later."
        )

    def answer_form(self, task: Task) -> str:
        """Describes a box, or zeros."""
        return f"the box {self.corners} of what is asked for, or [0, 0, 0, 0] if it is not in the picture"

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """The same as in other dialects, but for region search only. Raises ValueError for other tasks."""
        if task.kind != "box":
            raise ValueError(f'dialect insight_o3 is for region search (kind "box"); task {task.id} is "{task.kind}"')
        return super().prompt(tools, task)

    def label(self, view: View) -> str:
        """The size of the first picture, if boxes are in its pixels."""
        pixels = view.index == 0 and self.frame == "shown"
        return f"Picture of {view.shown[0]}x{view.shown[1]} pixels:" if pixels else ""

    def called(self, index: int) -> str:
        """A description, because this format does not name views."""
        return "the first picture" if index == 0 else "a later picture"

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The same as in other dialects, with a notice after the last permitted call."""
        parts = super().show(views, text, info)
        return [*parts, self.at_limit] if info.get("calls_left") == 0 else parts

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """Wraps the parts in tool_response tags."""
        return ["<tool_response>", *parts, "</tool_response>", self.reminder]


def _integers(box: object) -> list[int] | None:
    """`box` if it is a list of four JSON integers (0.0 and true are none), else None."""
    if isinstance(box, list) and len(box) == 4 and all(type(v) is int for v in box):
        return box
    return None


def _is_proper(box: object) -> bool:
    """Whether `box` is four integers with 0 ≤ x1 < x2 and 0 ≤ y1 < y2."""
    edges = _integers(box)
    return edges is not None and 0 <= edges[0] < edges[2] and 0 <= edges[1] < edges[3]
