"""`reuse`: show an earlier view again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult, ViewRequest


class Reuse(Tool):
    """Makes a new view of the same region and size as an earlier one, so that it is fresh in the context.

    Source of the idea: Simple-o3 (arXiv 2508.12109), where re-inserting the original is the cheapest tool that helps.
    """

    name: ClassVar[str] = "reuse"
    doc: ClassVar[str] = "Show an earlier view again; 0 is the original picture."
    args: ClassVar[Mapping[str, Arg]] = {"view": Arg("view", "number of the view to show again")}

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        """Show the view again."""
        view = scene.view(args["view"])
        return ToolResult((ViewRequest(view.source, view.box, view.index, magnify=view.shown),))
