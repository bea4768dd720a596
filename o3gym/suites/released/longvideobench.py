"""`longvideobench`: LongVideoBench (Wu et al. 2024; longvideobench/LongVideoBench)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.geometry import is_number
from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import text, word
from o3gym.suites.released.subtitled import Subtitled
from o3gym.suites.released.subtitles import Subtitle, with_subtitles
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import listed_options
from o3gym.types import LETTERS, Task

ABSENT_OPTION = "N/A"
"""The value of `option0` to `option4` where a question has fewer options."""


class LongVideoBench(Subtitled):
    """LongVideoBench: 1,337 questions about what a part of a video shows or says, in videos of up to one hour.

    The split `test` is the hub's validation set, because the answers of the test set are not public. The hub asks for
    an agreement before the download. `category` is the group of lengths: the maximum in seconds ("15", "60", "600",
    "3600"). With `subtitles=true`, the question begins with all subtitles of the video (`subtitles/…`), whereas
    published prompts show them between the frames. lmms-eval guesses an option at random where an answer has no
    letter; here such an answer is wrong. Columns are those of the hub's card and of lmms-eval's code.
    """

    name: ClassVar[str] = "longvideobench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"
    repository: ClassVar[str] = "longvideobench/LongVideoBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("validation-*.parquet", "lvb_val.json")}
    counts: ClassVar[Mapping[str, int]] = {"test": 1337}
    columns: ClassVar[tuple[str, ...]] = (
        *("id", "video_path", "subtitle_path", "question", "correct_choice"),
        *("duration_group", "question_category", "starting_timestamp_for_subtitles"),
    )
    grouped_by: ClassVar[str] = "duration_group"
    identity: ClassVar[tuple[str, ...]] = ("id",)

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    def convert(self, row: TableRow) -> Task:
        """A question with two to five options."""
        name, choices, right = text(row, "video_path"), _choices(row), row["correct_choice"]
        if type(right) is not int or not 0 <= right < len(choices):
            raise BadRow("correct_choice", f"the number of an option, 0 to {len(choices) - 1}", right)
        question, video = text(row, "question"), self.video(name, field="video_path")
        if self.subtitles:
            question = with_subtitles(self._subtitles(row, video.duration or 0.0), question)
        return Task(
            id=word(row, "id"),
            sources=(video,),
            question=question,
            answer=LETTERS[right],
            choices=choices,
            kind="choice",
            tags={"category": word(row, "duration_group"), "question": word(row, "question_category")},
            origin={"cluster": name},
        )

    def _subtitles(self, row: TableRow, duration: float) -> list[Subtitle]:
        """The subtitles that are shown during the video, which may be a part of a longer one."""
        name, offset = text(row, "subtitle_path"), row["starting_timestamp_for_subtitles"]
        content = self.subtitle_text(name, "subtitle_path")
        if content is None:
            raise BadRow("subtitle_path", f"a file below {self.subtitle_folder}", name)
        if not is_number(offset):
            raise BadRow("starting_timestamp_for_subtitles", "a number", offset)
        try:
            entries = [_subtitle(entry, float(offset), duration) for entry in json.loads(content)]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise BadRow("subtitle_path", "a list of subtitles with times and text", str(error)) from error
        return [entry for entry in entries if entry.end > 0 and entry.start < duration and entry.text]


def _choices(row: TableRow) -> tuple[str, ...]:
    """The options of the hub's table, in five columns, or those of the authors' file, in a list."""
    if row.get("candidates") is not None:
        return listed_options(row["candidates"], "candidates")
    values = [row.get(f"option{i}") for i in range(5)]
    return listed_options([value for value in values if value not in (ABSENT_OPTION, None, "")], "option0")


def _subtitle(entry: Any, offset: float, duration: float) -> Subtitle:
    """A subtitle in one of the two released forms: {"timestamp": [s, e], "text"}, or {"start", "end", "line"}."""
    if "timestamp" in entry:
        start, end = entry["timestamp"]
        end = float(end) if is_number(end) else duration + offset
        return Subtitle(float(start) - offset, end - offset, " ".join(entry["text"].split()))
    start, end = (_clock(entry[key]) for key in ("start", "end"))
    return Subtitle(start - offset, end - offset, " ".join(entry["line"].split()))


def _clock(value: str) -> float:
    hours, minutes, seconds = value.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
