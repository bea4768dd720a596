"""`clip`: show evenly spaced frames of an interval of a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult
from o3gym.tools.frames import VIDEO, show_frames, timing_of


class Clip(Tool):
    """Makes new views of evenly spaced frames of [start, end), as many as the environment's `time_rule` says.

    Source of the idea: VITAL's `get_video_clip_frame` (arXiv 2508.04416).
    """

    name: ClassVar[str] = "clip"
    doc: ClassVar[str] = "Look at an interval of the video with more frames per second."
    args: ClassVar[Mapping[str, Arg]] = {
        "span": Arg("span", "start and end of the interval in seconds"),
        "video": VIDEO,
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Shows the frames of the interval."""
        timeline, rule = timing_of(context, args["video"])
        return show_frames(context, args["video"], rule.clip(args["span"], timeline), rule)
