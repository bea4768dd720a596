"""Suites about videos: where the files of videos are found, how long they are, and readers of fields about them.

Annotations name videos by file name or by the id of a web page. The user provides the files, since no hub repository
has them unpacked: `videos` names their folder. A video is found by its name in any folder below, with any usual suffix.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from o3gym.geometry import is_number
from o3gym.media.errors import VideoError
from o3gym.media.file_state import file_state
from o3gym.media.video_files import stated_duration
from o3gym.media.videos import video_source
from o3gym.suites.base import BadRow, SuiteError
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import check_below, is_file, word
from o3gym.types import FULL, LETTERS, Source, Span, Target, Task

WHEN = "When does this happen in the video: {event}"
"""The question of temporal grounding."""

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")
"""Suffixes of video files, in the order in which they are preferred, in small or capital letters."""
FRAME_MIN_PIXELS, FRAME_MAX_PIXELS = 128 * 28 * 28, 768 * 28 * 28
"""Bounds of the pixels of a frame for which videos are resized by default in QwenLM's package qwen-vl-utils."""


class VideoSuite(Released):
    """A suite about videos.

    A task needs the length of its videos, which is read from the headers of the files when the task is requested.
    Opening the suite opens no video. A row whose video is missing or unreadable is bad.

    Args:
        videos: folder of the video files; by default the data folder.
        options: the options of every released suite.
    """

    pictures: ClassVar[tuple[str, ...]] = ()
    min_pixels: int = FRAME_MIN_PIXELS
    max_pixels: int = FRAME_MAX_PIXELS

    def __init__(self, argument: str = "", split: str = "test", *, videos: str = "", **options: Any) -> None:
        if videos and not Path(videos).is_dir():
            raise SuiteError(f"{self.name}: no such folder of videos: {videos}")
        self._videos = videos
        self._by_name: dict[str, list[Path]] | None = None
        super().__init__(argument, split, **options)

    @property
    def has_videos(self) -> bool:
        """Always True."""
        return True

    @property
    def video_folder(self) -> Path:
        """The folder below which videos are looked for."""
        return Path(self._videos) if self._videos else self.root if self.root.is_dir() else self.folder

    def moment_task(self, name: str, event: str, timestamp: object) -> Task:
        """The task to find the interval of an event in the video of that name. Such rows have no id."""
        video = self.video(name)
        return Task(
            id="",
            sources=(video,),
            question=WHEN.format(event=event),
            targets=moments([timestamp], "timestamp", video, event),
            kind="span",
            origin={"cluster": name},
        )

    def video(self, *names: str, field: str = "video") -> Source:
        """The first of these videos that exists, each named by its path or the end of it, with or without a suffix."""
        for name in names:
            path = self._path_of(name, field)
            if path is not None:
                check_below((self.video_folder, *self._roots), path, field)
                return timed_video(path, field)
        raise BadRow(field, f"a video below {self.video_folder} (videos= names another folder)", names[0])

    def _path_of(self, name: str, field: str) -> Path | None:
        path = self.video_folder / name
        if is_file(path):
            return path
        *parents, last = PurePosixPath(name).parts or ("",)
        found = [path for path in self._named(video_stem(last)) if _ends_with(path.parent, parents)]
        if len({path.parent for path in found}) > 1:
            places = ", ".join(str(path) for path in found[:3])
            raise BadRow(field, f"the path of one video, because there are several: {places}", name)
        return min(found, key=lambda path: VIDEO_SUFFIXES.index(path.suffix.lower()), default=None)

    def _named(self, stem: str) -> list[Path]:
        """The videos with this name. The folder is read once, at the first name that is not a whole path."""
        if self._by_name is None:
            self._by_name = {}
            for folder, _, files in os.walk(self.video_folder):
                for file in sorted(files):
                    if Path(file).suffix.lower() in VIDEO_SUFFIXES:
                        self._by_name.setdefault(video_stem(file), []).append(Path(folder, file))
        return self._by_name.get(stem, [])


class NotOnHub(VideoSuite):
    """A suite whose annotations are in no hub repository; `repository` says where they are."""

    def _locate(self, data: str, revision: str) -> tuple[Path, str]:
        if not data:
            raise SuiteError(
                f"{self.name}: the annotations are not on the hub; download them from {self.repository} "
                "and pass their folder to the suite as ?data=FOLDER"
            )
        return super()._locate(data, revision)

    @classmethod
    def about(cls, ask: bool = False) -> str:
        """Row count, licence and origin."""
        return super().about(ask=False)

    @classmethod
    def _downloaded(cls) -> bool:
        return False


def video_stem(name: str) -> str:
    """A file name without the suffix of a video. Other names are unchanged: "a_510.0_660.0" has no suffix."""
    return Path(name).stem if Path(name).suffix.lower() in VIDEO_SUFFIXES else name


def _ends_with(folder: Path, parents: Sequence[str]) -> bool:
    return not parents or list(folder.parts[-len(parents) :]) == list(parents)


def timed_video(path: Path, field: str) -> Source:
    """A video file with its length. Raises `BadRow` if it cannot be opened."""
    try:
        return Source("file", str(path), duration=_duration(str(path), file_state(path)))
    except VideoError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise BadRow(field, f"a readable video ({reason})", path.name) from error


@lru_cache(maxsize=1 << 16)
def _duration(path: str, state: tuple[int, int]) -> float:
    # `state` is only a part of the cache key. A file without a stated length has to be indexed.
    stated = stated_duration(path)
    return stated if stated is not None else float(video_source(path).duration or 0.0)


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def interval(value: object, field: str, video: Source) -> Span:
    """[start, end] in seconds, or the same as JSON text. An end after the end of the video is moved to it."""
    duration = video.duration or 0.0
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRow(field, "[start, end] in seconds", value) from error
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        raise BadRow(field, "[start, end] in seconds", value)
    start, end = map(float, value)
    if not 0.0 <= start < min(end, duration):
        raise BadRow(field, f"[start, end] with 0 <= start < end within the {duration:.2f} seconds of the video", value)
    return start, min(end, duration)


def moments(spans: object, field: str, video: Source, label: str = "") -> tuple[Target, ...]:
    """Targets from a non-empty list of intervals of the first video."""
    if not isinstance(spans, list) or not spans:
        raise BadRow(field, "a list of intervals", spans)
    return tuple(Target(FULL, label=label, time=interval(span, field, video)) for span in spans)


def listed_options(value: object, field: str) -> tuple[str, ...]:
    """At least two options from a list of texts or numbers."""
    fit = isinstance(value, list) and 2 <= len(value) <= len(LETTERS)
    texts = [_option(item) for item in value] if fit and isinstance(value, list) else []
    if not texts or not all(texts):
        raise BadRow(field, f"2 to {len(LETTERS)} options", value)
    return tuple(texts)


def _option(item: object) -> str:
    return str(item).strip() if isinstance(item, (str, int, float)) and not isinstance(item, bool) else ""


def letter_of(row: Mapping[str, Any], field: str, choices: Sequence[str]) -> str:
    """The letter of the option whose text is the right answer."""
    answer = word(row, field)
    if answer not in choices:
        raise BadRow(field, f"one of the options {list(choices)}", row[field])
    return LETTERS[choices.index(answer)]
