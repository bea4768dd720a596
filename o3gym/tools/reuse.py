"""`reuse`: show an earlier view again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult, ViewRequest


class Reuse(Tool):
    """Makes a new view of the same region and size as an earlier one, to put it at the end of the context.

    Source of the idea: Simple-o3 (arXiv 2508.12109), where inserting the original again is the cheapest useful tool.
    """

    name: ClassVar[str] = "reuse"
    doc: ClassVar[str] = "Show an earlier view again; 0 is the original picture."
    args: ClassVar[Mapping[str, Arg]] = {"view": Arg("view", "number of the view to show again")}

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Shows the view again."""
        view = context.view(args["view"])
        return ToolResult((ViewRequest(view.source, view.box, view.index, magnify=view.shown),))
