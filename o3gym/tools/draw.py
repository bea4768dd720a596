"""`draw`: mark boxes on a view; the result is a derived source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from PIL import Image, ImageDraw

from o3gym.geometry import clamp, is_empty, onto, relative, snap
from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.crop import VIEW, within
from o3gym.types import FULL, Source


class Draw(Tool):
    """Makes a derived source: the view with red outlines. Simple-o3's training data focus in this way."""

    name: ClassVar[str] = "draw"
    doc: ClassVar[str] = "Show a view again with boxes drawn on it."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "boxes": Arg("boxes", "the boxes to draw, each left, top, right, bottom as fractions of the view"),
    }

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        """Derive the marked picture and show it as large as the view was."""
        view = scene.view(args["view"])
        boxes = [list(relative(view.box, within(scene, view, box))) for box in args["boxes"]]
        parent = scene.sources[view.source]
        source = Source.derived(parent, "draw", onto(view.box), region=list(view.box), boxes=boxes)
        return ToolResult((ViewRequest(len(scene.sources), FULL, view.index, magnify=view.shown),), (source,))


def draw_boxes(image: Image.Image, boxes: list[list[float]]) -> Image.Image:
    """The operation: outline `boxes` (unit xyxy) in red, inwards from their edges, at least 2 pixels thick."""
    draw = ImageDraw.Draw(image)
    width = max(2, max(image.size) // 200)
    for box in boxes:
        if not is_empty(clamp(box)):
            x0, y0, x1, y1 = snap(clamp(box), image.size)
            draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=(255, 0, 0), width=width)
    return image
