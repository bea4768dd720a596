"""Videos as sources: their timelines and frames, whatever they are stored as.

A video is a `Source` with a `duration`, of one of three forms:

- a file, decoded with PyAV (the extra `video`);
- a folder with one picture per frame, in the order of their names, and `args={"fps": …}`;
- the output of a registered generator, which is called with its arguments and the frame's `time` in seconds, and needs
  no codec. Its arguments include `fps`.

A frame is a derived source. Whatever works on pictures therefore works on frames: crops, zooms, the store, pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from o3gym.media.errors import VideoError
from o3gym.media.file_state import NO_FILE, file_state
from o3gym.media.pixels import Pixels, pixels_of, to_rgb
from o3gym.media.timeline import Timeline
from o3gym.media.video_files import VideoIndex, index_video, read_video
from o3gym.registry import GENERATED_SIZES, GENERATORS
from o3gym.types import Size, Source

FRAME = "frame"
"""The operation of a derived source that is a frame of its parent. Its argument `number` counts from 0."""
UNCHANGED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""The affine map from a frame to its video: both have the same unit coordinates."""
FRAME_FILES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""Suffixes of the pictures in a folder of frames."""
FRAME_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""Their formats, by Pillow's names."""


def video_source(path: str | Path, fps: float | None = None) -> Source:
    """The video in a file, or in a folder of pictures that were taken at `fps` frames a second.

    Raises:
        VideoError: the file or folder is missing or unreadable, or `fps` does not fit it.
    """
    if Path(path).is_dir():
        if fps is None or not 0 < fps < math.inf:
            raise VideoError(f"{path}: expected the frame rate of a folder of frames as a number above 0, got {fps}")
        duration = len(_frame_files(str(path))) / fps
        if duration == math.inf:
            raise VideoError(f"{path}: expected a frame rate at which it ends, got {fps}")
        return Source("file", str(path), {"fps": fps}, duration=duration)
    if fps is not None:
        raise VideoError(f"{path}: fps is meant for folders of frames; a file has its own timestamps")
    return Source("file", str(path), duration=_index(str(path), _changed(str(path))).timeline.duration)


def frame_source(video: Source, number: int) -> Source:
    """Frame `number` of a video as a picture."""
    return Source.derived(video, FRAME, UNCHANGED, number=number)


def is_frame(source: Source) -> bool:
    """Whether a derived source is a frame of a video."""
    return source.ref == FRAME and source.parent is not None and source.parent.duration is not None


def frame_under(source: Source) -> Source | None:
    """The frame of a video that a picture is, or was derived from; None if there is none or code made the picture."""
    while not is_frame(source):
        if source.parent is None or source.kind == "bytes":
            return None
        source = source.parent
    return source


def timeline_of(video: Source) -> Timeline:
    """When the frames of a video are shown. Raises `VideoError` if it cannot be read."""
    if video.duration is None:
        raise VideoError(f"{video.ref}: expected a video, got a picture")
    if video.kind == "generated":
        size = GENERATED_SIZES[video.ref](**video.args)
        return _regular(video.duration, float(video.args["fps"]), (size[0], size[1]))
    if "fps" not in video.args:
        return _index(video.ref, _changed(video.ref)).timeline
    files = _frame_files(video.ref)
    timeline = _regular(video.duration, float(video.args["fps"]), _upright_size(files[0], file_state(files[0])))
    if len(files) != len(timeline):  # the numbers would mean other frames than before
        raise VideoError(f"{video.ref}: expected {len(timeline)} frames, found {len(files)}")
    return timeline


def read_frames(video: Source, numbers: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
    """Yields (number, RGB pixels) for frames of a video, in ascending order; those of a file are decoded in one pass.

    Raises:
        VideoError: the video or a frame cannot be read, or there is no frame with one of the numbers.
    """
    timeline = timeline_of(video)
    ordered, count = sorted(set(numbers)), len(timeline)
    if ordered and not 0 <= ordered[0] <= ordered[-1] < count:
        raise VideoError(f"{video.ref}: expected frames from 0 to {count - 1}, got {ordered[0]} to {ordered[-1]}")
    for number, where, pixels in _decoded(video, ordered):
        size, (width, height) = (pixels.shape[1], pixels.shape[0]), timeline.size
        if size != timeline.size:  # boxes computed with the size of the video would be wrong
            expected = f"expected a frame of {width}×{height} pixels like the first"
            raise VideoError(f"{where}: {expected}, got {size[0]}×{size[1]}")
        yield number, pixels


def _decoded(video: Source, numbers: Sequence[int]) -> Iterator[tuple[int, str, Pixels]]:
    """Yields (number, name of the frame in error messages, RGB pixels) for ascending numbers of frames."""
    if video.kind == "generated":
        for number in numbers:
            image = GENERATORS[video.ref](**video.args, time=number / float(video.args["fps"]))
            yield number, f"{video.ref}, frame {number}", pixels_of(to_rgb(image))
    elif "fps" in video.args:
        files = _frame_files(video.ref)
        for number in numbers:
            with _frame_file(files[number]) as image:
                pixels = pixels_of(to_rgb(image))
            yield number, str(files[number]), pixels
    elif numbers:
        for number, pixels in read_video(video.ref, _index(video.ref, _changed(video.ref)), numbers):
            yield number, f"{video.ref}, frame {number}", pixels


def _regular(duration: float, fps: float, size: Size) -> Timeline:
    """The timeline of a video with a constant frame rate."""
    return Timeline(np.arange(max(1, round(duration * fps))) / fps, duration, size)


@contextmanager
def _frame_file(path: Path) -> Iterator[Image.Image]:
    """Opens a picture of a folder of frames. Any exception of its decoder becomes a `VideoError` that names it."""
    try:
        with Image.open(path, formats=FRAME_FORMATS) as image:
            yield image
    except Exception as error:  # decoders raise exceptions of many types for broken files
        raise VideoError(f"{path}: broken frame ({error or type(error).__name__})") from error


@lru_cache(maxsize=64)
def _upright_size(path: Path, changed: tuple[int, int]) -> Size:
    """The (width, height) of a picture after its EXIF rotation; orientations 5 to 8 swap the sides."""
    # `changed` is only a part of the cache key.
    with _frame_file(path) as image:
        if image.format == "PNG":
            image.load()  # which may have its EXIF data after its pixels
        width, height = image.size
        return (height, width) if image.getexif().get(Base.Orientation, 1) in (5, 6, 7, 8) else (width, height)


@lru_cache(maxsize=64)
def _index(path: str, changed: tuple[int, int]) -> VideoIndex:
    # `changed` is only a part of the cache key.
    return index_video(path)


@lru_cache(maxsize=64)
def _files_in(folder: str, changed: tuple[int, int]) -> list[Path]:
    found = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in FRAME_FILES)
    if not found:
        raise VideoError(f"{folder}: expected pictures ({', '.join(FRAME_FILES)}), found none")
    return found


def _frame_files(folder: str) -> list[Path]:
    return _files_in(folder, _changed(folder))


def _changed(path: str) -> tuple[int, int]:
    """The state of a file or folder, which must exist."""
    state = file_state(Path(path))
    if state == NO_FILE:
        raise VideoError(f"no video at {path}")
    return state
