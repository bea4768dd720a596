"""Suites about videos with subtitles, which the option `subtitles` writes into the questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from o3gym.suites.base import BadRow, SuiteError
from o3gym.suites.released.fields import check_below, is_file
from o3gym.suites.released.videos import VideoSuite

SUBTITLE_FOLDERS = ("subtitle", "subtitles")
"""Names of the folder with the files of subtitles."""


class Subtitled(VideoSuite):
    """A suite whose videos may have subtitles, in a folder `subtitle` or `subtitles` of the data or of the videos.

    Args:
        subtitles: whether the question begins with all subtitles of the video, with their times.
        options: the options of every suite about videos.
    """

    def __init__(self, argument: str = "", split: str = "test", *, subtitles: bool = False, **options: Any) -> None:
        if type(subtitles) is not bool:
            raise ValueError(f"subtitles: expected true or false, got {subtitles!r}")
        super().__init__(argument, split, **options)
        self.subtitles = subtitles
        if subtitles:
            self.subtitle_folder = self._subtitle_folder()

    def _subtitle_folder(self) -> Path:
        roots = dict.fromkeys((self.video_folder, self.folder, *([self.root] if self.root.is_dir() else [])))
        folders = [root / name for root in roots for name in SUBTITLE_FOLDERS]
        found = next((folder for folder in folders if folder.is_dir()), None)
        if found is None:
            raise SuiteError(f"{self.name}: expected a folder of subtitles, such as {folders[0]}, found none")
        return found

    def subtitle_text(self, name: str, field: str) -> str | None:
        """The content of a file of subtitles; None if there is no such file."""
        path = self.subtitle_folder / name
        if not is_file(path):
            return None
        check_below((self.subtitle_folder,), path, field)
        try:
            return path.read_text("utf-8", errors="replace")
        except OSError as error:
            raise BadRow(field, "a readable file", str(error)) from error
