"""`insight_o3`: the wire format of InSight-o3's vSearcher, the agent that locates a described region."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar

from o3gym.calls import locate, noop
from o3gym.dialects.base import MAX_REPLY
from o3gym.dialects.frames import THOUSANDTHS, Frame, check_frame, shown_pixels
from o3gym.dialects.functions import Functions, named
from o3gym.dialects.lenient_json import numbers, read_json
from o3gym.dialects.tagged import Unreadable
from o3gym.dialects.tags import TagBlock, first_block, last_block
from o3gym.geometry import clamp, is_empty
from o3gym.tools.base import Tool
from o3gym.types import Call, Parsed, Task, View

MAX_CALLS = 64
"""Maximum number of calls in a reply that are tried, so that parsing takes bounded time."""


@dataclass(frozen=True)
class InsightO3(Functions):
    """DeepEyes' tool call, and `<answer>[x1, y1, x2, y2]</answer>` to end; all zeros mean "not in the picture".

    Boxes are xyxy of the first picture (view 0), and every crop is taken from that picture. If a reply has both a call
    and an answer, the call counts; of several calls the first readable one counts, of several answers the last one. The
    reason is that the released loop runs one call and looks for an answer only in the reply that ends the episode. In
    well-formed replies, the numbers are integers with 0 ≤ x1 < x2 and 0 ≤ y1 < y2.

    As in that loop, a reply without a readable call ends the episode. It is void if its answer is unreadable too. A
    reply that is nothing but a list of four integers is an answer. A readable call with unsuitable arguments is
    refused, and the episode continues.

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

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply as other dialects do, but an unreadable answer is void and ends the episode."""
        parsed = super().parse(text, views)
        block = self.choose(self.actionable(text[-MAX_REPLY:]))
        if parsed.call.tool == "noop" and block is not None and block.tag == "answer":
            return replace(parsed, call=noop("void", parsed.call.args["reason"]))
        return parsed

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the first readable call; if there is none, the last answer, which may be the bare text of a box."""
        calls = list(islice(_calls(text, self.call_tag), MAX_CALLS))
        for closed in (True, False):
            for block in calls:
                if block.closed == closed and _is_call(block.body):
                    return block
        if (answered := last_block(text, "answer")) is not None:
            return answered
        bare = read_json(text)[0] if text.lstrip().startswith("[") else None
        return TagBlock("answer", 0, text, False) if _is_proper(bare) or _integers(bare) == [0, 0, 0, 0] else None

    def missing(self, text: str) -> str:
        """The feedback on a reply without a readable call or an answer."""
        called = f"<{self.call_tag}>" in text
        return "the call is not a readable JSON object with a name and arguments" if called else super().missing(text)

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
        unit = self.to_unit(box, views, 0)
        if is_empty(clamp(unit)):
            raise Unreadable("the box of the answer has no area inside the picture")
        return locate(unit), strict and _is_proper(value)

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

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """A sentence without names, because every call works on the first picture."""
        return "the function works on the first picture"

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The same as in other dialects, with a notice after the last permitted call."""
        parts = super().show(views, text, info)
        return [*parts, self.at_limit] if info.get("calls_left") == 0 else parts

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """Wraps the parts in tool_response tags."""
        return ["<tool_response>", *parts, "</tool_response>", self.reminder]


def _calls(text: str, tag: str) -> Iterator[TagBlock]:
    """Yields the `<tag>` blocks of a text in order."""
    start = 0
    while (block := first_block(text[start:], tag)) is not None:
        yield block._replace(start=start + block.start)
        start += block.start + len(block.body) + len(f"<{tag}>")


def _is_call(body: str) -> bool:
    """Whether the body of a call can be read as a function name with arguments."""
    try:
        return bool(named(body)[1])
    except Unreadable:
        return False


def _integers(box: object) -> list[int] | None:
    """`box` if it is a list of four JSON integers (0.0 and true are none), else None."""
    if isinstance(box, list) and len(box) == 4 and all(type(v) is int for v in box):
        return box
    return None


def _is_proper(box: object) -> bool:
    """Whether `box` is four integers with 0 ≤ x1 < x2 and 0 ≤ y1 < y2."""
    edges = _integers(box)
    return edges is not None and 0 <= edges[0] < edges[2] and 0 <= edges[1] < edges[3]
