"""`search`: ask another agent for a region in words, and look at what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.crop import within
from o3gym.types import Task, View

NOT_FOUND = "The region could not be located"
"""How the feedback begins where a search brought nothing."""


class Search(Tool):
    """Shows the region that fits a description, at native resolution; another agent says where it is.

    The environment knows no agents: whoever runs the episode takes the call, has `subtask` carried out, and steps with
    the same call and its results added, `Call("search", {"view": 0, "description": "the sign", "box": [...]})`:

    * `box`: unit xyxy of the picture `view`, or None if nothing was found;
    * `reason`: why there is no box, in words; "" if the searcher says that the thing is not in the picture.

    `o3gym.rollout` does that. Without results a call is refused as bad_args. With them it is a valid call whatever was
    found: a new view, or words. A box that the size rule refuses counts as nothing found.

    After InSight-o3 (arXiv 2512.18745), whose vReasoner describes regions and whose vSearcher finds them.
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

    def subtask(self, scene: ToolContext, **args: Any) -> Task:
        """The region search: the described region of that picture. What is right is not known, so nobody judges it."""
        view = _picture(scene, args["view"])
        if not args["description"].strip():
            raise Invalid("bad_args", "search needs a description of the region; this one is empty")
        origin = {"ground_truth": False}
        source = scene.sources[view.source]
        return Task(f"{scene.task.id}/search", (source,), args["description"].strip(), kind="box", origin=origin)

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        """Show the box that was found, or say that there is none."""
        self.subtask(scene, view=args["view"], description=args["description"])
        if "box" not in args:
            raise Invalid("bad_args", "search is carried out by another agent, and there is none in this episode")
        if args["box"] is None:
            return _nothing(args.get("reason", ""))
        view = _picture(scene, args["view"])
        try:
            return ToolResult((ViewRequest(view.source, within(scene, view, args["box"]), view.index),))
        except Invalid as refused:
            return _nothing(refused.reason)


def _picture(scene: ToolContext, index: int) -> View:
    view = scene.view(index)
    if view.parent >= 0:
        raise Invalid("bad_view", f"search works on the pictures shown at the start, and view {index} is a later one")
    return view


def _nothing(reason: str) -> ToolResult:
    return ToolResult(text=f"{NOT_FOUND}: {reason}." if reason else f"{NOT_FOUND}.")
