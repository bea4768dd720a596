"""`video-mmmu`: Video-MMMU (Hu et al. 2025; lmms-lab/VideoMMMU)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import BY_MODEL
from o3gym.suites.released.fields import text, word
from o3gym.suites.released.file_names import FILE_COLUMN, FileNames
from o3gym.suites.released.options import OPTION, letter
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import VideoSuite, listed_options
from o3gym.types import LETTERS, Task

TRACKS = ("Perception", "Comprehension", "Adaptation")
"""The three tracks, which are folders of the hub repository."""
AT_THE_END = "The picture that the question is about is shown at the end of the video."
"""A remark on questions of the track Adaptation, in our words."""


class VideoMMMU(FileNames, VideoSuite):
    """Video-MMMU: 900 questions about 300 lectures, 300 for each of three tracks (`category`).

    Perception and Comprehension ask about the lecture, with options. Adaptation asks to apply what it teaches to a
    picture at the end of its video, with options or a free answer, which here must equal the right one, while
    published code looks for it in the reply. The videos are named by the id of a question. Columns are those of the
    hub's card at an early revision and of lmms-eval's code; no rows were seen.
    """

    name: ClassVar[str] = "video-mmmu"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "unknown"
    wants_judge: ClassVar[str] = BY_MODEL
    repository: ClassVar[str] = "lmms-lab/VideoMMMU"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("[PCA]*/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 900}
    columns: ClassVar[tuple[str, ...]] = ("id", "question", "options", "answer", "question_type")
    pictures: ClassVar[tuple[str, ...]] = ("image",)
    grouped_by: ClassVar[str] = FILE_COLUMN
    identity: ClassVar[tuple[str, ...]] = (FILE_COLUMN, "id")

    @property
    def kinds(self) -> frozenset[str]:
        """Options and free answers."""
        return frozenset({"choice", "free"})

    def file_name(self, file: Path) -> str:
        """The track, which is the name of the folder."""
        return file.parent.name

    def convert(self, row: TableRow) -> Task:
        """A question about a lecture. Questions of different tracks may share an id."""
        track, name, question = text(row, FILE_COLUMN), text(row, "id"), text(row, "question")
        if track not in TRACKS:
            raise BadRow(FILE_COLUMN, f"one of {', '.join(TRACKS)}", track)
        choices = _without_letters(row) if row["options"] else ()
        return Task(
            id=f"{track}/{name}",
            sources=(self.video(name, field="id"),),
            question=f"{question}\n{AT_THE_END}" if track == "Adaptation" else question,
            answer=letter(row, "answer", choices) if choices else word(row, "answer"),
            choices=choices,
            kind="choice" if choices else "free",
            tags={"category": track, "type": text(row, "question_type")},
            origin={"cluster": name},
        )


def _without_letters(row: TableRow) -> tuple[str, ...]:
    """The options, without their letters where all of them begin with theirs."""
    options = listed_options(row["options"], "options")
    found = [OPTION.match(option) for option in options]
    letters = "".join(match[1] for match in found if match)
    return tuple(match[2].strip() for match in found if match) if letters == LETTERS[: len(options)] else options
