"""`crop`: show a box of a view at native resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.geometry import clamp, compose, from_pixels, is_empty
from o3gym.registry import TOOLS
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.types import Box, View

VIEW = Arg("view", "number of the view that coordinates refer to; 0 is the original picture", default=0, required=False)


PIXELS = 2.0
"""Right and lower edges beyond this many widths and heights of a view are taken for pixels."""
PIXELS_HINT = "; fractions 0..1 expected, these look like pixels"
"""Added to the refusal of a box whose edges look like pixels. Dialects with another frame than fractions drop it."""


class Crop(Tool):
    """Makes a new view of `box`, at native resolution up to the pixel budget.

    The environment's `focus` can change the effect: "crop" (the default) crops, as Simple-o3 does at inference; "draw"
    shows the view again with the box drawn on it, as in Simple-o3's training data; "reuse" shows the view again
    unchanged.
    """

    name: ClassVar[str] = "crop"
    doc: ClassVar[str] = "Look at a part of a view in full resolution."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "box": Arg(
            "box", "the part to look at: left, top, right, bottom edge as fractions of the view's width and height"
        ),
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Shows the box, or has the effect that `context.focus` selects instead."""
        view = context.view(args["view"])
        box = within(context, view, args["box"])
        if context.focus == "reuse":
            result: ToolResult = TOOLS["reuse"]().apply(context, view=view.index)
            return result
        if context.focus == "draw":
            result = TOOLS["draw"]().apply(context, view=view.index, boxes=[args["box"]])
            return result
        return ToolResult((ViewRequest(view.source, box, view.index),))


def within(context: ToolContext, view: View, box: list[float]) -> Box:
    """Clamps a box of `view`, applies the size rule and converts it to unit xyxy of the view's source.

    Raises `Invalid` if the box has no area inside the view or the size rule refuses it.
    """
    inside = clamp(box)
    if is_empty(inside):
        raise no_area(box, view.index)
    try:
        pixels = context.size_rule(inside, view.native)
    except Invalid as refused:
        named = f"box {written_box(box)} of view {view.index}"
        raise Invalid(refused.kind, f"{named} is refused: {refused.reason}") from refused
    return compose(view.box, from_pixels(pixels, view.native))


def no_area(box: Sequence[float], view: int) -> Invalid:
    """The refusal of a box that is empty or lies outside of a view."""
    hint = PIXELS_HINT if min(box[2:]) > PIXELS else ""
    return Invalid("bad_box", f"box {written_box(box)} has no area inside view {view}{hint}")


def written_box(box: Sequence[float]) -> list[float]:
    """A unit box as refusals write it: precise enough for dialects to recover the pixels of any picture."""
    return [round(float(edge), 7) for edge in box]
