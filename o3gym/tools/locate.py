"""`locate`: end a region search with a box, or with "not in the picture"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.geometry import clamp, compose, is_empty, to_root
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.tools.crop import VIEW, no_area
from o3gym.types import Box


class Locate(Tool):
    """Ends a region search. The box is stored in unit xyxy of the task's first picture; null means "not there"."""

    name: ClassVar[str] = "locate"
    doc: ClassVar[str] = "Give the final box of what was asked for, or null if it is not in the picture."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "box": Arg("box?", "left, top, right, bottom edge as fractions of the view, or null if it is not there"),
    }
    ends: ClassVar[bool] = True

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Records the box, mapped to the first picture."""
        if context.task.kind != "box":
            raise Invalid("bad_args", "this task asks for words: end it with answer")
        box = None if args["box"] is None else self._on_first(context, args["view"], args["box"])
        return ToolResult(stop="located", answer=json.dumps(box), located=box)

    def _on_first(self, context: ToolContext, index: int, box: list[float]) -> Box:
        view = context.view(index)
        inside = clamp(box)
        if is_empty(inside):
            raise no_area(box, index)
        root = to_root(context.sources[view.source], compose(view.box, inside), context.task.sources)
        if root is None or root[0] != context.sources[0]:
            raise Invalid("bad_view", f"view {index} is not a part of the first picture; locate there")
        return root[1]
