"""`draw`: draw boxes on a view; the result is a derived source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from PIL import Image, ImageDraw

from o3gym.geometry import clamp, is_empty, onto, relative, snap
from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.crop import VIEW, within
from o3gym.types import FULL, Source


class Draw(Tool):
    """Derives a source: the view with red outlines, which is how Simple-o3's training data focuses on regions."""

    name: ClassVar[str] = "draw"
    doc: ClassVar[str] = "Show a view again with boxes drawn on it."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "boxes": Arg("boxes", "the boxes to draw, each left, top, right, bottom as fractions of the view"),
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Derives the picture with the boxes and shows it at the size of the view."""
        view = context.view(args["view"])
        boxes = [list(relative(view.box, within(context, view, box))) for box in args["boxes"]]
        parent = context.sources[view.source]
        source = Source.derived(parent, "draw", onto(view.box), region=list(view.box), boxes=boxes)
        return ToolResult((ViewRequest(len(context.sources), FULL, view.index, magnify=view.shown),), (source,))


def draw_boxes(image: Image.Image, boxes: list[list[float]]) -> Image.Image:
    """The image operation: outlines `boxes` (unit xyxy) in red, inwards from their edges, at least 2 pixels thick."""
    draw = ImageDraw.Draw(image)
    width = max(2, max(image.size) // 200)
    for box in boxes:
        if not is_empty(clamp(box)):
            x0, y0, x1, y1 = snap(clamp(box), image.size)
            draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=(255, 0, 0), width=width)
    return image
