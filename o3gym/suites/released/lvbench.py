"""`lvbench`: LVBench (Wang et al. 2024; zai-org/LVBench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.exploded import Exploded
from o3gym.suites.released.fields import text, word
from o3gym.suites.released.options import letter, lettered_lines
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import VideoSuite
from o3gym.types import Task


class LVBench(Exploded, VideoSuite):
    """LVBench: by the paper's count 1,549 questions with four options about 103 videos of up to two hours.

    A row of the file has a video (`key`, its id on YouTube) and all questions about it (`qa`). `category` is the first
    of a question's types; published numbers per type count a question for each of its types. Where the video shows the
    answer, as stated in `time_reference`, is kept in `Task.origin`. The form of the rows is known from VideoMind's
    loader; no rows were seen.
    """

    name: ClassVar[str] = "lvbench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"
    repository: ClassVar[str] = "zai-org/LVBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("video_info.meta.jsonl",)}
    columns: ClassVar[tuple[str, ...]] = ("key", "qa")
    exploded: ClassVar[str] = "qa"

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    def category_of(self, row: TableRow) -> str:
        """The first type of a question."""
        types = _question(row).get("question_type")
        types = [types] if isinstance(types, str) else types
        if not isinstance(types, list) or not types or not isinstance(types[0], str):
            raise BadRow("qa", "a question with a list question_type", types)
        return types[0]

    def convert(self, row: TableRow) -> Task:
        """A question with four options, which stand on lines of their own in the question."""
        name, asked = text(row, "key"), _question(row)
        question, choices = lettered_lines(text(asked, "question"), "qa")
        return Task(
            id=word(asked, "uid"),
            sources=(self.video(name, field="key"),),
            question=question,
            answer=letter(asked, "answer", choices),
            choices=choices,
            kind="choice",
            tags={"category": self.category_of(row)},
            origin={"cluster": name, "time_reference": str(asked.get("time_reference") or "")},
        )


def _question(row: TableRow) -> Mapping[str, Any]:
    asked = row["qa"]
    if not isinstance(asked, dict):
        raise BadRow("qa", "a list of questions", asked)
    return asked
