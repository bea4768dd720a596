"""Exact frames of video files, decoded with PyAV.

Nothing in a file is trusted to be regular. One pass over the packets, which decodes nothing, gives the time of every
frame, and the key frames at which decoding can start. A frame is then found by its timestamp and never by a frame rate,
so variable rates, B-frames (decoded in another order than shown) and a first timestamp other than 0 need no special
treatment. Files whose packets have no timestamps are decoded from their beginning.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from o3gym.media.errors import VideoError
from o3gym.media.pixels import Pixels, pixels_of, to_rgb
from o3gym.media.timeline import Timeline
from o3gym.registry import require
from o3gym.types import Size

MAX_FRAMES = 4_000_000
"""Maximum number of frames of a video: 37 hours at 30 frames a second, whose times take 32 MB."""
SEEKS = 3
"""Number of key frames that are tried before a file is decoded from its beginning."""
CONTAINERS = (
    *("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "rm", "mxf", "nut", "dv"),
    *("wtv", "gif", "apng", "mjpeg", "h264", "hevc", "m4v", "ivf", "obu", "yuv4mpegpipe"),
)
"""The formats that are read, by FFmpeg's names; "mov" includes MP4.

FFmpeg knows more, but some of them, such as playlists, name other files or addresses, which would then be read although
suites restrict the folders of files, and pictures are no videos.
"""
SOUNDS = ("mp3", "wav", "flac", "aac")
"""The formats that hold no video, which are opened to say so."""
ATTACHED_PICTURE = 1024
"""FFmpeg's disposition of a stream that is the cover picture of a sound file (AV_DISPOSITION_ATTACHED_PIC)."""


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """What is known of a file without decoding it.

    Attributes:
        timeline: the times of its frames.
        stamps: the timestamp of each frame in units of the stream's time base, ascending; None if the packets have
            none, and frames can only be counted.
        keys: timestamps of the key frames, ascending.
    """

    timeline: Timeline
    stamps: array[int] | None
    keys: Sequence[int]


NO_FRAMES = VideoIndex(Timeline(np.zeros(0), 0.0, (0, 0)), None, [])
"""The index with which frames are counted."""


def index_video(path: str) -> VideoIndex:
    """Reads the index of a file.

    Raises:
        VideoError: the file is missing or broken, has no video stream or no frames, or its frames are too large.
    """
    with _opened(path) as (container, stream):
        size, first = _first_frame(path, container, stream)
    # The file is opened again and not rewound: a transport stream loses its first packets then, and a raw stream cannot
    # be rewound at all.
    with _opened(path) as (container, stream):
        packets = [
            (packet.pts, packet.duration or 0, packet.is_keyframe)
            for packet in _limited(path, container.demux(stream))
            if packet.size and not packet.is_discard
        ]
        base, gap = float(stream.time_base), _usual_gap(stream)
    if any(pts is None for pts, _, _ in packets):
        return _counted(path, gap, size)
    # A recording that begins between two key frames has packets that nothing can decode before its first frame.
    packets = sorted(packet for packet in packets if first is None or packet[0] >= first)
    stamps = array("q", (pts for pts, _, _ in packets))  # of eight bytes, because indices of long films are kept
    if len(set(stamps)) < len(stamps):
        return _counted(path, gap, size)
    times = (np.asarray(stamps, np.float64) - stamps[0]) * base
    duration = float(times[-1]) + (packets[-1][1] * base or gap)
    keys = array("q", (pts for pts, _, key in packets if key))
    return VideoIndex(Timeline(times, duration, size), stamps, keys)


def stated_duration(path: str) -> float | None:
    """The length in seconds that a file states in its header; None if it states none, or an impossible one.

    Reading it takes milliseconds, whereas an index reads the whole file. It may differ by a frame from the end of the
    index's last frame.

    Raises:
        VideoError: the file is missing or broken, or has no video stream.
    """
    with _opened(path) as (container, stream):
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if not container.duration or container.duration < 0:
            return None
        # The unit is a microsecond (AV_TIME_BASE). Matroska counts from time 0 and not from the first frame.
        late = "matroska" in container.format.name and stream.start_time
        seconds = float(container.duration / 1e6 - (late * stream.time_base if late else 0.0))
        return seconds if seconds > 0 else None


def read_video(path: str, index: VideoIndex, numbers: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
    """Decodes the frames with the given ascending numbers, in one pass, and yields (number, upright RGB pixels).

    Raises:
        VideoError: a frame cannot be decoded; frames before it have been yielded.
    """
    stamps = index.stamps if index.stamps is not None else range(len(index.timeline))
    with _opened(path) as (container, stream):
        position, frames = None, _decoded(container, stream, index)
        for number in numbers:
            stamp = stamps[number]
            before = bisect_right(index.keys, stamp)
            # Between two frames decoding continues, unless it can start again at a key frame that lies between them.
            near = position is not None and (before == 0 or index.keys[before - 1] <= position)
            frame = _advance(frames, stamp) if near else None
            for key in reversed(index.keys[max(0, before - SEEKS) : before]) if frame is None else ():
                # Some containers seek by decoding time and land behind the frame; the key frame before may not.
                container.seek(key, stream=stream)
                frames = _decoded(container, stream, index)
                frame = _advance(frames, stamp)
                if frame is not None:
                    break
            if frame is None:
                frames = _from_beginning(path, index)
                frame = _advance(frames, stamp)
            if frame is None:
                time = index.timeline.times[number]
                raise VideoError(f"{path}: frame {number}, at {time:.3f} s, cannot be decoded")
            position = stamp
            yield number, _upright(frame)


def _decoded(container: Any, stream: Any, index: VideoIndex) -> Iterator[tuple[int, Any]]:
    """Decodes from where the container is, and yields (timestamp or, without timestamps, number, frame)."""
    invalid = require("av", "video").error.InvalidDataError
    count = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except invalid:
            continue  # a damaged packet costs its own frame and not the rest of the film
        for frame in frames:
            if index.stamps is None:
                yield count, frame
            elif frame.pts is not None:
                yield frame.pts, frame
            count += 1


def _from_beginning(path: str, index: VideoIndex) -> Iterator[tuple[int, Any]]:
    """Decodes a file that is opened anew, because transport streams lose packets when they are rewound."""
    with _opened(path) as (container, stream):
        yield from _decoded(container, stream, index)


def _advance(frames: Iterator[tuple[int, Any]], wanted: int) -> Any:
    """The frame with the timestamp `wanted`, or None if decoding has passed it."""
    for stamp, frame in frames:
        if stamp >= wanted:
            return frame if stamp == wanted else None
    return None


def _first_frame(path: str, container: Any, stream: Any) -> tuple[Size, int | None]:
    """The size of the upright frames, which is known from the first one only, and the timestamp of that frame."""
    size = (stream.codec_context.width, stream.codec_context.height)
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise VideoError(
            f"{path}: frames of {size[0]}×{size[1]} pixels are more than PIL.Image.MAX_IMAGE_PIXELS = {limit}"
        )
    frame = next((frame for _, frame in _decoded(container, stream, NO_FRAMES)), None)
    if frame is None:
        raise VideoError(f"{path}: the video has no frames")
    height, width = _upright(frame).shape[:2]
    return (width, height), frame.pts


def _counted(path: str, gap: float, size: Size) -> VideoIndex:
    """The index of a file without usable timestamps: its frames are counted, at the usual distance in time."""
    with _opened(path) as (container, stream):
        count = sum(1 for _ in _limited(path, _decoded(container, stream, NO_FRAMES)))
    return VideoIndex(Timeline(np.arange(count, dtype=np.float64) * gap, count * gap, size), None, [])


def _usual_gap(stream: Any) -> float:
    rate = stream.average_rate or stream.guessed_rate
    return 1.0 / float(rate) if rate else 1.0 / 25


def _limited(path: str, items: Iterator[Any]) -> Iterator[Any]:
    for count, item in enumerate(items):
        if count >= MAX_FRAMES:
            raise VideoError(f"{path}: the video has more than {MAX_FRAMES:,} frames")
        yield item


def _upright(frame: Any) -> Pixels:
    """The frame as RGB pixels, over white where it is transparent, turned as its display matrix says."""
    pixels: Pixels
    if any(component.is_alpha for component in frame.format.components):
        pixels = pixels_of(to_rgb(Image.fromarray(frame.to_ndarray(format="rgba"))))
    else:
        pixels = frame.to_ndarray(format="rgb24")  # an array of its own, which needs no way through Pillow
    turns = frame.rotation % 360
    return pixels_of(Image.fromarray(pixels).rotate(turns, expand=True)) if turns else pixels


@contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Any]]:
    """Opens a file and its first video stream. Any exception of FFmpeg becomes a `VideoError` that names the file."""
    av = require("av", "video")
    known = {"format_whitelist": ",".join(CONTAINERS + SOUNDS)}
    try:
        with av.open(path, metadata_errors="replace", options=known) as container:
            streams = [s for s in container.streams.video if not s.disposition & ATTACHED_PICTURE]
            if not streams:
                kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
                raise VideoError(f"{path}: expected a video stream, found {kinds}")
            yield container, streams[0]
    except FileNotFoundError as error:
        raise VideoError(f"no video at {path}") from error
    except av.error.ArgumentError as error:  # FFmpeg's answer to a format that is not in the list
        raise VideoError(f"{path}: expected a video in one of the formats {', '.join(CONTAINERS)}") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{path}: broken video ({error})") from error
