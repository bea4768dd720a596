"""`video-mme`: Video-MME (Fu et al. 2024; lmms-lab/Video-MME)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import ReleasedScoring
from o3gym.suites.released.fields import text
from o3gym.suites.released.options import letter, lettered
from o3gym.suites.released.subtitled import Subtitled
from o3gym.suites.released.subtitles import read_srt, with_subtitles
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

LENGTHS = ("short", "medium", "long")
"""Groups of videos by their length: below 2 minutes, 4 to 15, and 30 to 60."""


class VideoMME(Subtitled):
    """Video-MME: 2,700 questions with four options about 900 videos of 11 seconds to one hour.

    `category` is the length ("short", "medium" or "long"). The videos are named by their ids on YouTube (`videoID`).
    With `subtitles=true`, which published numbers report separately, the question begins with all subtitles of the
    video (`subtitle/ID.srt`), whereas lmms-eval shows those of the sampled frames; a video without a file has none.
    `scoring="lmms-eval"` reads the first capital A to D. Columns are those of the hub's card; no rows were seen.
    """

    name: ClassVar[str] = "video-mme"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "unknown (for academic research)"
    repository: ClassVar[str] = "lmms-lab/Video-MME"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("videomme/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 2700}
    columns: ClassVar[tuple[str, ...]] = (
        "duration",
        "domain",
        "videoID",
        "question_id",
        "question",
        "options",
        "answer",
    )
    grouped_by: ClassVar[str] = "duration"
    identity: ClassVar[tuple[str, ...]] = ("question_id",)
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval@0696573, lmms_eval/tasks/videomme/utils.py", judge="first_capital"
        )
    }

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    def convert(self, row: TableRow) -> Task:
        """A question with four options."""
        name, length, question = text(row, "videoID"), text(row, "duration"), text(row, "question")
        if length not in LENGTHS:
            raise BadRow("duration", '"short", "medium" or "long"', length)
        choices = lettered(row["options"], "options")
        if self.subtitles:
            question = with_subtitles(read_srt(self.subtitle_text(f"{name}.srt", "videoID") or ""), question)
        return Task(
            id=text(row, "question_id"),
            sources=(self.video(name, field="videoID"),),
            question=question,
            answer=letter(row, "answer", choices),
            choices=choices,
            kind="choice",
            tags={"category": length, "domain": text(row, "domain")},
            origin={"cluster": name},
        )
