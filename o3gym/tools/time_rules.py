"""Time rules turn requested times into frames of a video, and refuse requests that a system does not accept.

Each rule is named after the system whose behaviour it reproduces. The default, "o3gym", moves the ends of a clip into
the video and refuses only clips without a length. All times are seconds from the first frame; a clip is [start, end).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from o3gym.media.timeline import Timeline
from o3gym.tools.base import Invalid
from o3gym.types import Span

SAMPLED = 48
"""Evenly spaced frames of each video that the tool `sampled_frames` numbers: 96 of two videos, as in VR-Thinker."""
QWEN_PATCH = 28 * 28
"""Pixels of one visual token of Qwen2-VL and Qwen2.5-VL, in which their systems give the sizes of frames."""


@dataclass(frozen=True)
class TimeRule:
    """How a system shows videos.

    Attributes:
        overview: the number of evenly spaced frames of each video that are shown at reset.
        fps: frames per second of a clip.
        most: the maximum number of frames that one call shows. A clip that has more is shown with fewer per second, and
            a list of more frame numbers is refused.
        longer_than: a clip must be longer than this, in seconds.
        clamps: which ends of a clip are moved into the video if they lie outside; the others are refused.
        frame_pixels: the least and greatest number of pixels of a frame that is shown whole; None for the environment's
            pixel budget.
        shown_only: whether only frames of the overview may be asked for by their numbers.
        source: where the system's numbers are from, for lists of rules; "" for our own.
    """

    overview: int = 16
    fps: float = 2.0
    most: int = 16
    longer_than: float = 0.0
    clamps: Literal["both", "end", "none"] = "both"
    frame_pixels: tuple[int, int] | None = None
    shown_only: bool = False
    source: str = ""

    def of(self, duration: float) -> TimeRule:
        """The rule for a video of that length in seconds: the same for every length, unless a system says otherwise."""
        return self

    def with_overview(self, frames: int) -> TimeRule:
        """The same rule with that many frames in the overview of a video of any length."""
        return replace(self, overview=frames)

    def first_frames(self, timeline: Timeline) -> list[int]:
        """The numbers of the frames of the overview."""
        return timeline.evenly(0.0, timeline.duration, self.overview / max(timeline.duration, 1e-9), self.overview)

    def span(self, span: Sequence[float], duration: float) -> Span:
        """The interval that a request for `span` shows. Raises `Invalid("bad_time")` if the rule refuses it."""
        start, end = float(span[0]), float(span[1])
        if self.clamps == "both":
            start = max(start, 0.0)
        if self.clamps != "none":
            end = min(end, duration)
        named = f"the interval {written_span(span)}"
        if start < 0:
            raise Invalid("bad_time", f"{named} starts before the video does, at 0 s")
        if start >= duration:
            raise Invalid("bad_time", f"{named} starts after the end of the video, at {duration:.2f} s")
        if end > duration:
            raise Invalid("bad_time", f"{named} ends after the video does, at {duration:.2f} s")
        if end <= start:
            raise Invalid("bad_time", f"{named} has no length inside the video")
        if end - start <= self.longer_than:
            raise Invalid("bad_time", f"{named} must be longer than {self.longer_than:g} s")
        return start, end

    def clip(self, span: Sequence[float], timeline: Timeline) -> list[int]:
        """The numbers of the frames that a request for the clip `span` shows. Raises `Invalid("bad_time")`."""
        start, end = self.span(span, timeline.duration)
        return timeline.evenly(start, end, self.fps, self.most)

    def numbered(self, numbers: Sequence[int], timeline: Timeline) -> list[int]:
        """The frames that a request for `numbers` shows, in the order of time. Raises `Invalid("bad_time")`."""
        frames = sorted(set(numbers))
        refuse_too_many(len(frames), self.most)
        refuse_missing(frames, set(self.first_frames(timeline)) if self.shown_only else range(len(timeline)))
        return frames


@dataclass(frozen=True)
class FrameThinkerRule(TimeRule):
    """FrameThinker's rule: 8 frames at most, or 12 smaller ones of a video that is longer than 300 seconds.

    The overview runs from the first to the last frame of the video.
    """

    def first_frames(self, timeline: Timeline) -> list[int]:
        """The numbers of the frames of the overview, evenly spaced from the first to the last frame."""
        return sorted({int(number) for number in np.linspace(0, len(timeline) - 1, self.overview)})

    def of(self, duration: float) -> TimeRule:
        """More and smaller frames for a long video."""
        if duration <= 300.0:
            return self
        overview = 12 if self.overview == FRAME_THINKER_TIMES.overview else self.overview
        return replace(self, overview=overview, most=12, frame_pixels=(1, 448 * 252))


def refuse_too_many(count: int, most: int) -> None:
    """Raises `Invalid("bad_time")` if more than `most` frames are asked for."""
    if count > most:
        raise Invalid("bad_time", f"{count} frames are too many; at most {most} are shown at once")


def refuse_missing(numbers: Sequence[int], known: range | set[int]) -> None:
    """Raises `Invalid("bad_time")` if one of the numbers is not `known`: a range, or those of the overview."""
    if missing := [number for number in numbers if number not in known]:
        which = f"0 to {len(known) - 1}" if isinstance(known, range) else "those shown at the start"
        raise Invalid("bad_time", f"there is no frame {missing[0]}; frames are {which}")


def written_span(span: Sequence[float]) -> str:
    """An interval as refusals write it, which dialects convert to their own form."""
    return f"[{span[0]:.2f}, {span[1]:.2f}] s"


O3GYM_TIMES = TimeRule(source="ours: clips are moved into the video, and only those without a length are refused")
VITAL_TIMES = TimeRule(
    overview=64,
    most=64,
    longer_than=1.0,
    clamps="none",
    frame_pixels=(4 * QWEN_PATCH, 64 * QWEN_PATCH),
    source="Jamesding000/ThinkingWithVideos, verl/verl/tools/zoom_tool_new.py and config/zoom_tool_config_new*.yaml",
)
LONGVT_TIMES = TimeRule(
    overview=512,
    fps=1.0,
    most=128,
    clamps="none",
    frame_pixels=(QWEN_PATCH, 224 * 224),
    source="EvolvingLMMs-Lab/LongVT at 08d755b, examples/video_tools/mcp_server.py (crop_video)",
)
"""LongVT's rule. The overview is that of its evaluation; 768 frames are its other setting."""
PARAVT_TIMES = TimeRule(
    overview=64,
    fps=1.0,
    most=64,
    clamps="end",
    frame_pixels=(QWEN_PATCH, 224 * 224),
    source="ParaVT at cf55249, crop_video",
)
"""LongVT's rule, but the end is moved into the video; its largest frame budget."""
PIXEL_REASONER_TIMES = TimeRule(
    overview=16,
    most=8,
    frame_pixels=(4 * QWEN_PATCH, 400 * QWEN_PATCH),
    shown_only=True,
    source="TIGER-AI-Lab/Pixel-Reasoner, curiosity_driven_rl/openrlhf/trainer/ppo_utils/experience_maker.py",
)
VR_THINKER_TIMES = TimeRule(
    overview=4,
    most=8,
    frame_pixels=(4 * QWEN_PATCH, 400 * QWEN_PATCH),
    source="arXiv 2510.10518, figure 2; qunzhongwang/VideoSearch-Reasoner, experience_maker.py (SelectFrames)",
)
"""Eight frames of two videos at the start, and at most eight in one call. Frames have the sizes of its training."""
FRAME_THINKER_TIMES = FrameThinkerRule(
    overview=8,
    most=8,
    frame_pixels=(1, 640 * 360),
    source="lcqysl/FrameThinker-RL at 3c917f3, envs/visual_agent/think_with_video.py and infer.py",
)
