"""`locate`: end a region search with a box, or with "not in the picture"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.geometry import clamp, compose, is_empty, to_root
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.tools.crop import VIEW
from o3gym.types import Box


class Locate(Tool):
    """Ends a region-search episode. The box is kept in units of the task's first picture; null is a legal answer."""

    name: ClassVar[str] = "locate"
    doc: ClassVar[str] = "Give the final box of what was asked for, or null if it is not in the picture."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "box": Arg("box?", "left, top, right, bottom edge as fractions of the view, or null if it is not there"),
    }
    ends: ClassVar[bool] = True

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        """Record the box, mapped to the first picture."""
        if scene.task.kind != "box":
            raise Invalid("bad_args", "this task asks for words: end it with answer")
        box = None if args["box"] is None else self._on_first(scene, args["view"], args["box"])
        return ToolResult(stop="located", answer=json.dumps(box), located=box)

    def _on_first(self, scene: ToolContext, index: int, box: list[float]) -> Box:
        view = scene.view(index)
        inside = clamp(box)
        if is_empty(inside):
            raise Invalid("bad_box", f"box {[round(v, 4) for v in box]} has no area inside view {index}")
        root = to_root(scene.sources[view.source], compose(view.box, inside), scene.task.sources)
        if root is None or root[0] != scene.sources[0]:
            raise Invalid("bad_view", f"view {index} is not a part of the first picture; locate there")
        return root[1]
