"""Small video files with every irregularity, written with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

COUNT = 40
"""Number of frames of every file."""
REORDERED = {"g": "12", "bf": "3"}
"""Options of x264: a key frame every 12 frames, and up to three B-frames between two others."""
IRREGULAR = [int(t) for t in np.cumsum(np.random.default_rng(0).integers(20, 400, COUNT))]
"""Times of the frames of a video with a variable rate, in milliseconds; the first is not 0."""


@dataclass(frozen=True)
class Clip:
    """How a file is written: frames at `times` (milliseconds), with a codec, a pixel format and its options."""

    name: str
    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (64, 48)
    times: Sequence[int] = field(default_factory=lambda: range(0, 100 * COUNT, 100))
    options: dict[str, str] = field(default_factory=lambda: dict(REORDERED))
    rotation: int = 0
    alpha: bool = False


LATE = range(5000, 5000 + 100 * COUNT, 100)
CLIPS = [
    Clip("plain.mp4"),
    Clip("variable.mp4", times=IRREGULAR),
    Clip("variable.mkv", times=IRREGULAR),
    Clip("late.mkv", times=LATE),
    Clip("late.mp4", times=LATE),
    Clip("late.ts", times=LATE),
    Clip("odd_size.mkv", "ffv1", "bgr0", (63, 47), options={}),
    Clip("odd_size.mp4", pixels="yuv444p", size=(63, 47)),
    Clip("turned.mp4", rotation=90),
    Clip("turned_back.mp4", rotation=-90),
    Clip("upside_down.mp4", rotation=180),
    Clip("alpha.mkv", "ffv1", "bgra", options={}, alpha=True),
    Clip("alpha.webm", "libvpx-vp9", "yuva420p", options={"cpu-used": "8", "deadline": "realtime"}, alpha=True),
    Clip("without_timestamps.h264"),
    Clip("open_groups.ts", options={"g": "8", "bf": "3", "x264-params": "open-gop=1"}),
    Clip("one_frame.mp4", times=[0]),
    Clip("animation.gif", "gif", "rgb8", options={}),
]


def picture(number: int, size: tuple[int, int], alpha: bool) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """The picture that frame `number` was encoded from; every frame differs from the others."""
    width, height = size
    pixels = np.zeros((height, width, 4 if alpha else 3), np.uint8)
    pixels[..., 0] = (np.arange(width) * 3 + number * 7) % 256
    pixels[..., 1] = ((np.arange(height) * 5 + number * 11) % 256)[:, None]
    pixels[..., 2] = (number * 23) % 256
    if alpha:
        pixels[..., 3] = np.where(np.arange(width) < width // 2, 255, 40)
    return pixels


def write_clip(folder: Path, clip: Clip) -> Path:
    """Writes a file and returns its path."""
    path = folder / clip.name
    with av.open(str(path), "w") as container:
        stream = container.add_stream(clip.codec, rate=10, options=clip.options)
        stream.width, stream.height = clip.size
        stream.pix_fmt = clip.pixels
        stream.codec_context.time_base = Fraction(1, 1000)
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        for number, time in enumerate(clip.times):
            frame = av.VideoFrame.from_ndarray(
                picture(number, clip.size, clip.alpha), format="rgba" if clip.alpha else "rgb24"
            )
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """Writes a second of silence without any pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
