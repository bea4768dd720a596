"""`sampled_frames`: show frames of all videos of a task by one numbering of evenly spaced frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.tools.frames import show_frames, timing_of
from o3gym.tools.time_rules import SAMPLED, refuse_missing, refuse_too_many

SHOWN = "sampled frames"
"""The first words of the feedback that lists the numbers of the frames shown, in the order of the new views."""


class SampledNumbers(Arg):
    """Numbers of sampled frames, of which samples are of the first video."""

    def sample(self, rng: np.random.Generator, n_views: int, duration: float = 1.0, n_frames: int = 1) -> Any:
        """Samples one to four numbers."""
        return sorted({int(number) for number in rng.integers(SAMPLED, size=4)})


class SampledFrames(Tool):
    """Makes one new view of each frame that is named by its number among evenly spaced frames of all videos.

    Of each video of the task there are `SAMPLED` such frames, at its start and every 1/48 of its length. They are
    numbered from 0 through the videos in order, so that 0 to 47 are frames of the first and 48 to 95 of the second. In
    a video with fewer frames, several numbers mean the same frame. The feedback lists the numbers in the order of the
    views: without repetitions, and in the order of the videos and of time.

    Source: VR-Thinker's `select_frames` (arXiv 2510.10518), which picks frames of two videos in one call.
    """

    name: ClassVar[str] = "sampled_frames"
    doc: ClassVar[str] = "Look at some frames of the videos, of which evenly spaced frames are numbered."
    args: ClassVar[Mapping[str, Arg]] = {
        "numbers": SampledNumbers(
            "numbers", "numbers of the evenly spaced frames, which count from 0 through all videos"
        ),
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Shows the frames."""
        videos = [i for i, source in enumerate(context.task.sources) if source.duration is not None]
        if not videos:
            raise Invalid("bad_view", "this task has no video")
        asked = sorted(set(args["numbers"]))
        refuse_too_many(len(asked), min(timing_of(context, video)[1].most for video in videos))
        refuse_missing(asked, range(SAMPLED * len(videos)))
        result, numbers = ToolResult(), list[int]()
        for rank, video in enumerate(videos):
            timeline, rule = timing_of(context, video)
            own: dict[int, int] = {}  # frame of the video → its number among all
            for number in asked:
                if rank * SAMPLED <= number < (rank + 1) * SAMPLED:
                    # The small summand makes the frames of the overview, whose times are computed otherwise, the same.
                    time = (number - rank * SAMPLED) * timeline.duration / SAMPLED + 1e-9
                    own.setdefault(timeline.number_at(time), number)
            more = show_frames(context, video, list(own), rule, result.sources)
            result = ToolResult((*result.views, *more.views), (*result.sources, *more.sources))
            numbers += own.values()
        return replace(result, text=f"{SHOWN} {', '.join(map(str, numbers))}")
