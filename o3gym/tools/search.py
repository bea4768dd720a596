"""`search`: delegate finding a described region to another agent, and show the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.crop import within
from o3gym.types import Task, View

NOT_FOUND = "The region could not be located"
"""The first words of the feedback after a search that found nothing."""


class Search(Tool):
    """Shows the region that matches a description, at native resolution; another agent locates it.

    The environment knows nothing of agents. The rollout loop takes the call, has `subtask` solved by another agent, and
    steps the environment with the same call plus the results,
    `Call("search", {"view": 0, "description": "the sign", "box": [...]})`:

    * `box`: unit xyxy of the picture `view`, or None if nothing was found;
    * `reason`: why there is no box, in words; "" if the searcher reports that the target is not in the picture.

    `o3gym.rollout` implements this. A call without results is refused as bad_args. A call with results is always
    valid: it shows a new view, or says that nothing was found. A box that the size rule refuses counts as not found.

    Source of the idea: InSight-o3 (arXiv 2512.18745), whose vReasoner describes regions and whose vSearcher finds them.
    """

    name: ClassVar[str] = "search"
    doc: ClassVar[str] = "Have a region of the picture found and shown in full resolution, from its description."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": Arg(
            "view", "number of the picture to search, one of those shown at the start", default=0, required=False
        ),
        "description": Arg("text", "one region, described by what is seen there, and roughly where it is"),
    }
    results: ClassVar[Mapping[str, Arg]] = {
        "box": Arg("box?", "the region that was found, as fractions of the picture, or null", required=False),
        "reason": Arg("text", "why there is no box", default="", required=False),
    }

    def subtask(self, context: ToolContext, **args: Any) -> Task:
        """The searcher's task: to find the described region. It has no ground truth, so its answer is never judged."""
        view = _picture(context, args["view"])
        if not args["description"].strip():
            raise Invalid("bad_args", "search needs a description of the region; this one is empty")
        origin = {"ground_truth": False}
        source = context.sources[view.source]
        return Task(f"{context.task.id}/search", (source,), args["description"].strip(), kind="box", origin=origin)

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Shows the box that was found, or reports that none was found."""
        self.subtask(context, view=args["view"], description=args["description"])
        if "box" not in args:
            raise Invalid("bad_args", "search is carried out by another agent, and there is none in this episode")
        if args["box"] is None:
            return _nothing(args.get("reason", ""))
        view = _picture(context, args["view"])
        try:
            return ToolResult((ViewRequest(view.source, within(context, view, args["box"]), view.index),))
        except Invalid as refused:
            return _nothing(refused.reason)


def _picture(context: ToolContext, index: int) -> View:
    view = context.view(index)
    if view.parent >= 0:
        raise Invalid("bad_view", f"search works on the pictures shown at the start, and view {index} is a later one")
    return view


def _nothing(reason: str) -> ToolResult:
    return ToolResult(text=f"{NOT_FOUND}: {reason}." if reason else f"{NOT_FOUND}.")
