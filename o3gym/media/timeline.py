"""When the frames of a video are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from o3gym.types import Size

Times: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Timeline:
    """The times of a video's frames, in seconds from its first frame.

    Frame k is shown from its own time to the time of the next frame, and the last one up to `duration`.

    Attributes:
        times: float64 array of shape (n,), strictly ascending; the first is 0.
        duration: the end of the last frame.
        size: (width, height) of every frame in pixels, after rotation.
    """

    times: Times
    duration: float
    size: Size

    def __len__(self) -> int:
        return len(self.times)

    def number_at(self, time: float) -> int:
        """The number of the frame that is shown at `time`; times outside of the video give the first or last frame."""
        return min(max(int(np.searchsorted(self.times, time, side="right")) - 1, 0), len(self) - 1)

    def span(self, number: int) -> tuple[float, float]:
        """The interval [t0, t1) in which frame `number` is shown."""
        end = self.times[number + 1] if number + 1 < len(self) else self.duration
        return float(self.times[number]), float(end)

    def evenly(self, start: float, end: float, fps: float, count: int) -> list[int]:
        """Numbers of the frames shown at evenly spaced times of the clip [start, end), the first of them at `start`.

        There are `fps` such times a second, but at least one and at most `count`. A frame that is shown at several of
        them occurs once.
        """
        asked = min(max(round(fps * (end - start)), 1), count)
        times = start + (end - start) * np.arange(asked) / asked
        return sorted({self.number_at(time) for time in times})
