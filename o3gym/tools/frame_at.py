"""`frame_at`: ask which frame of a video is shown at a time; the answer is a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.tools.frames import VIDEO, timing_of

MAX_TIME = 1_000_000.0
"""Greatest time in seconds that can be asked for: eleven days."""


class TimeArg(Arg):
    """A time in seconds, of which samples lie inside the video."""

    def sample(self, rng: np.random.Generator, n_views: int, duration: float = 1.0, n_frames: int = 1) -> Any:
        """Samples a time inside a video of `duration` seconds."""
        return float(rng.uniform(0.0, duration))


class FrameAt(Tool):
    """Answers with the number of the frame that is shown at a time. It shows no picture.

    Source of the idea: FrameThinker's `get frame number at time` (lcqysl/FrameThinker-RL). There the number is the time
    multiplied by the frame rate, even after the end of the video; here such a time is refused, and the number is that
    of the frame also if the frame rate varies.
    """

    name: ClassVar[str] = "frame_at"
    doc: ClassVar[str] = "Ask for the number of the frame that is shown at a time."
    args: ClassVar[Mapping[str, Arg]] = {
        "time": TimeArg("number", "the time in seconds", 0.0, MAX_TIME),
        "video": VIDEO,
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Returns the number as feedback."""
        timeline, _ = timing_of(context, args["video"])
        time = float(args["time"])
        if time >= timeline.duration:
            raise Invalid("bad_time", f"{time:.2f} s is after the end of the video, at {timeline.duration:.2f} s")
        return ToolResult(text=f"Frame number at time {time:.2f} s is: {timeline.number_at(time)}.")
