"""Times and frames of videos as dialects write them: seconds with two decimals, MM:SS, and the numbers of frames."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from o3gym.types import Task, View

CLOCK = re.compile(r"\s*(?:([0-9]{1,4}):)?([0-9]{1,6}):([0-9]{1,2})\s*")
"""A time as "MM:SS" or "HH:MM:SS"."""
NO_FRAME = re.compile(
    r"\bthere is no frame (-?[0-9]{1,20}); frames are (?:those shown at the start|([0-9]{1,9}) to ([0-9]{1,9}))"
)
"""How time rules refuse the number of a frame that cannot be shown."""
NO_VIDEO = re.compile(r"\bthere is no video (-?[0-9]{1,20}); the task's videos have the numbers ([0-9, ]{1,400})")
"""How tools refuse the number of a video that does not exist."""
SECONDS = re.compile(r"(?<![0-9.\[-])([0-9]{1,9}\.[0-9]{2}) s\b")
"""How time rules write a single time."""


def write_seconds(span: Sequence[float]) -> list[float]:
    """An interval in seconds with two decimals. An interval with a length keeps one.

    Both ends are rounded down, so that an interval inside a video stays inside: systems refuse an end that is
    0.001 seconds too late. The small summand makes up for products such as 5.1 · 100 = 509.99999999999994.
    """
    start, end = (math.floor(time * 100 + 1e-6) for time in span)
    if span[0] < span[1] and start == end:
        end += 1
    return [start / 100, end / 100]


def read_clock(text: str) -> float | None:
    """The seconds of a time written as "MM:SS" or "HH:MM:SS"; None for any other text.

    Minutes may exceed 59, as in "62:30", unless there are hours; seconds may not.
    """
    match = CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = int(match[1] or 0), int(match[2]), int(match[3])
    if seconds > 59 or (match[1] is not None and minutes > 59):
        return None
    return float(3600 * hours + 60 * minutes + seconds)


def write_clock(seconds: float) -> str:
    """A time as "MM:SS", in whole seconds, rounded down. Minutes may exceed 59."""
    minutes, rest = divmod(max(0, math.floor(seconds + 1e-6)), 60)
    return f"{minutes:02d}:{rest:02d}"


def leading_video(views: Sequence[View]) -> int:
    """The number of the first video among the task's sources; 0 if there is none."""
    return next((view.video for view in views if view.video is not None), 0)


def several_videos(views: Sequence[View]) -> bool:
    """Whether the views show frames of more than one video."""
    return len({view.video for view in views if view.video is not None}) > 1


def opening_frames(views: Sequence[View], video: int) -> list[View]:
    """The frames of a video that were shown at reset, in the order of time."""
    return [view for view in views if view.video == video and view.parent < 0]


def begins(view: View) -> float:
    """The time in seconds at which a frame is first shown; 0 if it is not known."""
    return view.time[0] if view.time else 0.0


def durations(task: Task) -> list[tuple[int, float]]:
    """(number among the task's sources, seconds) of each video of the task."""
    return [(i, source.duration) for i, source in enumerate(task.sources) if source.duration is not None]
