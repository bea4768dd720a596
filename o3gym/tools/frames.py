"""`frames`: show frames of a video by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.media.timeline import Timeline
from o3gym.media.videos import frame_source, timeline_of
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.time_rules import TimeRule
from o3gym.types import FULL, Source

VIDEO = Arg("video", "number of the video; 0 is the first", default=0, required=False)


class Frames(Tool):
    """Makes one new view of each frame, in the order of time.

    Source of the idea: Pixel Reasoner's `select_frames` (arXiv 2505.15966).
    """

    name: ClassVar[str] = "frames"
    doc: ClassVar[str] = "Look at some frames of the video more closely."
    args: ClassVar[Mapping[str, Arg]] = {
        "numbers": Arg("numbers", "numbers of the frames, which count from 0"),
        "video": VIDEO,
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Shows the frames."""
        timeline, rule = timing_of(context, args["video"])
        return show_frames(context, args["video"], rule.numbered(args["numbers"], timeline), rule)


def timing_of(context: ToolContext, index: int) -> tuple[Timeline, TimeRule]:
    """The timeline of the video with that index among the task's sources, and the rule for its length."""
    sources = context.task.sources
    if not 0 <= index < len(sources) or sources[index].duration is None:
        videos = [str(i) for i, source in enumerate(sources) if source.duration is not None]
        known = f"the task's videos have the numbers {', '.join(videos)}" if videos else "this task has no video"
        raise Invalid("bad_view", f"there is no video {index}; {known}")
    timeline = timeline_of(sources[index])
    return timeline, context.time_rule.of(timeline.duration)


def show_frames(
    context: ToolContext, video: int, numbers: Sequence[int], rule: TimeRule, added: Sequence[Source] = ()
) -> ToolResult:
    """Requests a view of each of the frames. A frame that was shown before keeps its place among the sources.

    `added` are sources that the same call has already added.
    """
    sources = (*context.sources, *added)
    known = {source: place for place, source in enumerate(sources)}
    frames = [frame_source(context.task.sources[video], number) for number in numbers]
    new = [frame for frame in frames if frame not in known]
    known.update({frame: len(sources) + i for i, frame in enumerate(new)})
    first = next((view.index for view in context.views if view.video == video), 0)
    requests = tuple(ViewRequest(known[frame], FULL, first, frame_pixels=rule.frame_pixels) for frame in frames)
    return ToolResult(requests, tuple(new))
