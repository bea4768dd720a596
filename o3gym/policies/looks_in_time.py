"""Calls by which scripted policies look at an interval of a video, with whichever tool the dialect has."""

from __future__ import annotations

from o3gym.calls import clip, frames
from o3gym.media.videos import timeline_of
from o3gym.policies.dialogue import Privileged
from o3gym.tools.time_rules import SAMPLED
from o3gym.types import Call, Span

SHORTEST_LOOK = 1.5
"""Minimum length in seconds of the clip that the oracle looks at, since VITAL refuses clips of up to 1 second."""
MOST_FRAMES = 8
"""Maximum number of frames that are asked for at once, which is Pixel Reasoner's limit."""
TOOLS_IN_TIME = ("clip", "frames", "sampled_frames")
"""The tools that show an interval, in order of preference."""


def first_video_of(privileged: Privileged) -> int | None:
    """The index of the first video among the task's sources; None if there is none."""
    return next((i for i, source in enumerate(privileged.task.sources) if source.duration is not None), None)


def tools_in_time(privileged: Privileged) -> list[str]:
    """The tools that show an interval of a video and are both enabled and in the dialect, the preferred one first."""
    return [name for name in TOOLS_IN_TIME if name in privileged.tools and name in privileged.dialect.tools]


def look_in_time(privileged: Privileged, video: int, span: Span, shortest: float = SHORTEST_LOOK) -> Call | None:
    """A look at an interval of a video; None if no tool can look there or the dialect cannot write the call.

    Args:
        privileged: the ground truth, with the enabled tools and the dialect.
        video: the index of the video among the task's sources.
        span: the interval in seconds.
        shortest: the minimum length of the look in seconds.
    """
    known = tools_in_time(privileged)
    if not known:
        return None
    timeline = timeline_of(privileged.task.sources[video])
    start, end = _at_least(span, shortest, timeline.duration)
    if known[0] == "clip":
        call = clip(start, end, video)
    elif known[0] == "frames":
        call = frames(timeline.evenly(start, end, len(timeline) / timeline.duration, MOST_FRAMES), video)
    else:
        call = Call("sampled_frames", {"numbers": _sampled(privileged, video, start, end)})
    try:
        privileged.dialect.format(call, privileged.views)
    except ValueError:  # a dialect without names of videos, and a video that is not the first
        return None
    return call


def _sampled(privileged: Privileged, video: int, start: float, end: float) -> list[int]:
    """The numbers of evenly spaced frames of an interval, as `sampled_frames` counts them through all videos."""
    sources = privileged.task.sources
    rank = sum(source.duration is not None for source in sources[:video])
    step = (sources[video].duration or 1.0) / SAMPLED
    inside = [i for i in range(SAMPLED) if start <= i * step < end] or [min(int(start / step), SAMPLED - 1)]
    return [rank * SAMPLED + i for i in inside[:: -(-len(inside) // MOST_FRAMES)]]


def _at_least(span: Span, length: float, duration: float) -> Span:
    """The interval, or one of that length around its middle, inside a video of that duration."""
    if span[1] - span[0] >= length:
        return span
    start = min(max((span[0] + span[1] - length) / 2, 0.0), max(duration - length, 0.0))
    return start, min(start + length, duration)
