"""`zoom`: magnify a view around a point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.geometry import around
from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.crop import VIEW, within


class Zoom(Tool):
    """Makes a new view of 1/`factor` of the width and height around `center`, shown at the size of the named view.

    Unlike a crop, the region is enlarged if it has fewer pixels than the named view was shown with.
    """

    name: ClassVar[str] = "zoom"
    doc: ClassVar[str] = "Magnify a view around a point; the result is as large as the view."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "center": Arg("point", "x and y of the point as fractions of the view's width and height"),
        "factor": Arg("number", "how many times larger", 1.0, 16.0, default=2.0, required=False),
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Shows the region around the point, shifted to lie inside the view."""
        view = context.view(args["view"])
        x, y = (min(max(float(v), 0.0), 1.0) for v in args["center"])
        side = 1.0 / args["factor"]
        box = within(context, view, list(around((x, y), side, side)))
        return ToolResult((ViewRequest(view.source, box, view.index, magnify=view.shown),))
