"""`simple_o3`: the wire format of Simple-o3, as far as it has been published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.frames import THOUSANDTHS, Frame
from o3gym.dialects.functions import Functions
from o3gym.types import View


@dataclass(frozen=True)
class SimpleO3(Functions):
    """Reasoning as plain text, then `<function>{"name": "focus_area", "arguments": {"bbox_2d": […]}}</function>`.

    Boxes are [ymin, xmin, ymax, xmax] in thousandths of the original picture (view 0), y before x. The tools are
    `focus_area`, which crops, draws the box or shows the view again depending on the environment's `focus`; `zoom_in`
    with a `point_2d` [y, x] and a `factor`; and `reuse`, which shows the original again. The last call or answer
    counts.

    The tags, the tools, the grid and the coordinate order come from the paper. The keys inside the JSON, the arguments
    of `zoom_in` and the answer tag are unpublished and therefore our own choice; a released checkpoint may write them
    differently.

    Source: Simple o3, arXiv 2508.12109 (no code was released).
    """

    name: ClassVar[str] = "simple_o3"
    tools: ClassVar[tuple[str, ...]] = ("crop", "zoom", "reuse", "answer", "locate", "locate_span", "answer_with_span")
    stop: ClassVar[tuple[str, ...]] = ("</function>",)
    call_tag: ClassVar[str] = "function"
    think: ClassVar[bool] = False
    names: ClassVar[Mapping[str, str]] = {"crop": "focus_area", "zoom": "zoom_in"}
    keys: ClassVar[Mapping[str, str]] = {"box": "bbox_2d", "center": "point_2d"}
    corners: ClassVar[str] = "[ymin, xmin, ymax, xmax]"
    point: ClassVar[str] = "[y, x]"

    def frame_of(self, views: Sequence[View], view: int) -> Frame:
        """Thousandths, whatever the view."""
        return THOUSANDTHS

    def to_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[float]:
        """Converts as other dialects do, after swapping y and x."""
        return super().to_unit(_exchanged(values), views, view)

    def from_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[Any]:
        """Converts as other dialects do, then swaps x and y."""
        return _exchanged(super().from_unit(values, views, view))

    def coordinates(self) -> str:
        """Explains that coordinates are thousandths of the picture, y first."""
        return (
            "Coordinates run from 0 to 1000 over the height and over the width of the original picture, y before x, "
            "counted from its top left corner. Every function works on that picture, whatever was shown later."
        )

    def called(self, index: int) -> str:
        """A description, because this format does not name views."""
        return "the original picture" if index == 0 else "a later picture"

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """A sentence without names, because every call works on the original picture."""
        return "every function works on the original picture"

    def trouble(self, reason: str) -> str:
        """Wraps feedback in observation tags."""
        return f"<observation>Error: {reason}</observation>"

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """Wraps the parts in observation tags."""
        return ["<observation>", *parts, "</observation>"]


def _exchanged(values: Sequence[Any]) -> list[Any]:
    """Swaps each pair of values: x, y, x, y, … becomes y, x, y, x, …, and vice versa."""
    return [values[i ^ 1] for i in range(len(values))]
