"""Time rules turn requested times into frames of a video, and refuse requests that a system does not accept.

Each rule is named after the system whose behaviour it reproduces. The default, "o3gym", moves the ends of a clip into
the video and refuses only clips without a length. All times are seconds from the first frame; a clip is [start, end).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from o3gym.media.timeline import Timeline
from o3gym.tools.base import Invalid
from o3gym.types import Span

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
    """

    overview: int = 16
    fps: float = 2.0
    most: int = 16
    longer_than: float = 0.0
    clamps: Literal["both", "end", "none"] = "both"
    frame_pixels: tuple[int, int] | None = None
    shown_only: bool = False

    def of(self, duration: float) -> TimeRule:
        """The rule for a video of that length in seconds: the same for every length, unless a system says otherwise."""
        return self

    def with_overview(self, frames: int) -> TimeRule:
        """The same rule with that many frames in the overview of a video of any length."""
        return replace(self, overview=frames)

    def first_frames(self, timeline: Timeline) -> list[int]:
        """The numbers of the frames of the overview."""
        return timeline.evenly(0.0, timeline.duration, self.overview / timeline.duration, self.overview)

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
        if len(frames) > self.most:
            raise Invalid("bad_time", f"{len(frames)} frames are too many; at most {self.most} are shown at once")
        known = set(self.first_frames(timeline)) if self.shown_only else range(len(timeline))
        if outside := [number for number in frames if number not in known]:
            which = "those shown at the start" if self.shown_only else f"0 to {len(timeline) - 1}"
            raise Invalid("bad_time", f"there is no frame {outside[0]}; frames are {which}")
        return frames


@dataclass(frozen=True)
class FrameThinkerRule(TimeRule):
    """FrameThinker's rule: 8 frames at most, or 12 smaller ones of a video that is longer than 300 seconds."""

    def of(self, duration: float) -> TimeRule:
        """More and smaller frames for a long video."""
        if duration <= 300.0:
            return self
        overview = 12 if self.overview == FRAME_THINKER_TIMES.overview else self.overview
        return replace(self, overview=overview, most=12, frame_pixels=(1, 448 * 252))


def written_span(span: Sequence[float]) -> str:
    """An interval as refusals write it, which dialects convert to their own form."""
    return f"[{span[0]:.2f}, {span[1]:.2f}] s"


O3GYM_TIMES = TimeRule()
VITAL_TIMES = TimeRule(
    overview=64,
    most=64,
    longer_than=1.0,
    clamps="none",
    frame_pixels=(4 * QWEN_PATCH, 64 * QWEN_PATCH),
)
"""Source: Jamesding000/ThinkingWithVideos, verl/verl/tools/zoom_tool_new.py and config/zoom_tool_config_new*.yaml."""
LONGVT_TIMES = TimeRule(overview=512, fps=1.0, most=128, clamps="none", frame_pixels=(QWEN_PATCH, 224 * 224))
"""Source: LongVT @08d755b, `crop_video`. The overview is that of its evaluation; 768 frames are its other setting."""
PARAVT_TIMES = TimeRule(overview=64, fps=1.0, most=64, clamps="end", frame_pixels=(QWEN_PATCH, 224 * 224))
"""LongVT's rule, but the end is moved into the video; its largest frame budget. Source: ParaVT @cf55249."""
PIXEL_REASONER_TIMES = TimeRule(overview=16, most=8, frame_pixels=(4 * QWEN_PATCH, 400 * QWEN_PATCH), shown_only=True)
"""Source: TIGER-AI-Lab/Pixel-Reasoner, curiosity_driven_rl/openrlhf/trainer/ppo_utils/experience_maker.py."""
FRAME_THINKER_TIMES = FrameThinkerRule(overview=8, most=8, frame_pixels=(1, 640 * 360))
"""Source: FrameThinker @3c917f3, envs/visual_agent/think_with_video.py."""
