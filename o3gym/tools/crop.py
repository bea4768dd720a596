"""`crop`: look at a box of a view, in native pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.geometry import clamp, compose, from_pixels, is_empty
from o3gym.registry import TOOLS
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.types import Box, View

VIEW = Arg("view", "number of the view that coordinates refer to; 0 is the original picture", default=0, required=False)


class Crop(Tool):
    """Makes a new view of `box`, at native resolution up to the pixel budget.

    What it does is the environment's `focus`: "crop" (the default, and what Simple-o3 does at inference), "draw" (the
    view again with the box drawn on it, as in Simple-o3's training data) or "reuse" (the view again, untouched).
    """

    name: ClassVar[str] = "crop"
    doc: ClassVar[str] = "Look at a part of a view in full resolution."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "box": Arg(
            "box", "the part to look at: left, top, right, bottom edge as fractions of the view's width and height"
        ),
    }

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        """Show the box, or what `scene.focus` says instead."""
        view = scene.view(args["view"])
        box = within(scene, view, args["box"])
        if scene.focus == "reuse":
            outcome: ToolResult = TOOLS["reuse"]().apply(scene, view=view.index)
            return outcome
        if scene.focus == "draw":
            outcome = TOOLS["draw"]().apply(scene, view=view.index, boxes=[args["box"]])
            return outcome
        return ToolResult((ViewRequest(view.source, box, view.index),))


def within(scene: ToolContext, view: View, box: list[float]) -> Box:
    """A box of a view in units of the view's source, after clamping and the size rule. Raises `Invalid`."""
    inside = clamp(box)
    if is_empty(inside):
        raise Invalid("bad_box", f"box {[round(v, 4) for v in box]} has no area inside view {view.index}")
    return compose(view.box, from_pixels(scene.size_rule(inside, view.native), view.native))
