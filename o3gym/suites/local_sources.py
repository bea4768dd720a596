"""What rows of `local` show and where the evidence is: pictures and videos, boxes and intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o3gym.geometry import from_pixels, is_box, is_empty, is_number
from o3gym.media.errors import VideoError
from o3gym.media.file_state import file_state
from o3gym.media.videos import timeline_of, video_source
from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import ROOTS_HINT, check_below, is_file, picture, picture_size
from o3gym.suites.released.videos import timed_video
from o3gym.types import FULL, Size, Source, Span, Target

PICTURE_KEYS, VIDEO_KEYS, SPAN_KEYS = ("image", "file_name", "images"), ("video", "videos"), ("span", "spans")
SPAN_SLACK = 0.25
"""Seconds by which an interval may end after its video, whose stated length is rounded; such ends are clipped."""


@dataclass(frozen=True)
class RowSources:
    """The pictures and the videos of a row, which become the sources of its task in this order."""

    pictures: tuple[Source, ...]
    videos: tuple[Source, ...]

    @property
    def all(self) -> tuple[Source, ...]:
        """The sources of the task."""
        return (*self.pictures, *self.videos)


def read_sources(row: Mapping[str, Any], folder: Path, roots: Sequence[Path]) -> RowSources:
    """The pictures and videos that a row names. Raises `BadRow` if one is missing or unreadable, or there is none."""
    videos: list[Source] = []
    if (field := _given(row, VIDEO_KEYS)) is not None:
        paths = [folder / name for name in _names(row, field)]
        _check_fps(row, paths)
        videos = [_video(row, path, field, (folder, *roots)) for path in paths]
    elif not is_absent(row.get("fps")):
        raise BadRow("fps", "a video that consists of frames", row["fps"])
    field = _given(row, PICTURE_KEYS)
    if field is None and videos:
        return RowSources((), tuple(videos))
    field = field or "image"
    return RowSources(tuple(picture(folder, name, field, roots) for name in _names(row, field)), tuple(videos))


def is_absent(value: Any) -> bool:
    """Whether a value is null or NaN, which pandas writes for it.

    The answer is an exception: without one, the task would become a region search, which must not happen by mistake.
    """
    return value is None or (isinstance(value, float) and math.isnan(value))


def _given(row: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    """The first of the keys that a row has. A missing value counts for pictures, for which one is required."""
    return next((key for key in keys if key in row and (key in PICTURE_KEYS or not is_absent(row[key]))), None)


def _names(row: Mapping[str, Any], field: str) -> list[str]:
    names = row.get(field)
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BadRow(field, "a path or a list of paths", names)
    return names


def _check_fps(row: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Check that there is a frame rate if, and only if, a video is a folder of frames."""
    fps, folders = row.get("fps"), [path for path in paths if _is_folder(path)]
    if folders and not (is_number(fps) and float(fps or 0) > 0):
        raise BadRow("fps", f"the frame rate of the frames in {folders[0].name} as a number above 0", fps)
    if not folders and not is_absent(fps):
        raise BadRow("fps", "no frame rate, because a video file has its own timestamps", fps)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _video(row: Mapping[str, Any], path: Path, field: str, roots: Sequence[Path]) -> Source:
    """A video file or folder of frames, which must lie below one of `roots`, as must each of the frames."""
    check_below(roots, path, field, ROOTS_HINT)
    if is_file(path):
        return timed_video(path, field)
    if not _is_folder(path):
        raise BadRow(field, "an existing file or folder of frames", str(path))
    for frame in path.iterdir():
        check_below(roots, frame, field, ROOTS_HINT)
    try:
        video = video_source(path, float(row["fps"]))
        timeline_of(video)
    except (VideoError, OSError) as error:
        raise BadRow(field, "a folder with readable frames", str(error)) from error
    return video


# ── evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_boxes(row: Mapping[str, Any], sources: RowSources, frame: str) -> tuple[Target, ...] | None:
    """The targets that the field `boxes` lists, with boxes in pixels or units according to `frame`; None without it."""
    items = row.get("boxes")
    if is_absent(items):
        return None
    if not isinstance(items, list):
        raise BadRow("boxes", "a list", items)
    return tuple(_boxed(item, sources, frame) for item in items)


def _boxed(item: Any, sources: RowSources, frame: str) -> Target:
    entry = item if isinstance(item, dict) else {"box": item}
    box, source = entry.get("box"), _source_of(entry, sources, "boxes")
    if not is_box(box):
        raise BadRow("boxes", "[x0, y0, x1, y1] of four numbers", box)
    assert box is not None
    time = None if is_absent(entry.get("time")) else _span(entry["time"], "boxes", sources.all[source])
    unit = from_pixels(box, _size(sources.all[source])) if frame == "pixel" else box
    x0, y0, x1, y1 = unit
    if is_empty(unit) or min(x0, y0) < 0 or max(x1, y1) > 1:
        raise BadRow("boxes", f"x0 < x1 and y0 < y1 inside the picture, in {frame}s", box)
    return Target((x0, y0, x1, y1), source, _label(entry), time)


def read_spans(row: Mapping[str, Any], sources: RowSources) -> tuple[Target, ...]:
    """The targets that the field `span` or `spans` lists; none without it."""
    given = [key for key in SPAN_KEYS if not is_absent(row.get(key))]
    if not given:
        return ()
    if len(given) > 1:
        raise BadRow("spans", 'either "span" or "spans"', row["spans"])
    field = given[0]
    if not sources.videos:
        raise BadRow(field, "a video in the row", row[field])
    items = [row[field]] if field == "span" else row[field]
    if not isinstance(items, list) or not items:
        raise BadRow(field, "a list with at least one interval", items)
    return tuple(_timed(item, sources, field) for item in items)


def _timed(item: Any, sources: RowSources, field: str) -> Target:
    entry = item if isinstance(item, dict) else {"span": item}
    source = _source_of({"video": 0, **entry}, sources, field)
    return Target(FULL, source, _label(entry), _span(entry.get("span"), field, sources.all[source]))


def _source_of(entry: Mapping[str, Any], sources: RowSources, field: str) -> int:
    """The index among the task's sources of the picture or video that an entry is about; by default the first one."""
    video = "video" in entry or not sources.pictures
    index = entry.get("video" if video else "image", 0)
    group, name = (sources.videos, "a video") if video else (sources.pictures, "an image")
    if type(index) is not int or not 0 <= index < len(group):
        raise BadRow(field, f"{name} index from 0 to {len(group) - 1}" if group else f"no index of {name}", index)
    return index + (len(sources.pictures) if video else 0)


def _span(value: Any, field: str, video: Source) -> Span:
    """[start, end] in seconds inside of a video, up to `SPAN_SLACK`."""
    if video.duration is None:
        raise BadRow(field, "no interval, because it is about a picture", value)
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        raise BadRow(field, "[start, end] of two numbers in seconds", value)
    start, end = map(float, value)
    if not 0 <= start < min(end, video.duration) or end > video.duration + SPAN_SLACK:
        raise BadRow(field, f"0 <= start < end within the {video.duration:.2f} seconds of the video", value)
    return start, min(end, video.duration)


def _size(source: Source) -> Size:
    return picture_size(source, "image" if source.duration is None else "video")


def _label(entry: Mapping[str, Any]) -> str:
    label = entry.get("label")
    return "" if is_absent(label) else str(label)


def states_of(source: Source) -> list[list[Any]]:
    """Path, size and time of modification of the files of a picture or video, which are several for frames."""
    path = Path(source.ref)
    files = sorted(path.iterdir()) if "fps" in source.args and path.is_dir() else [path]
    return [[str(file), *file_state(file)] for file in files]
