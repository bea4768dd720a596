"""`rextime`: ReXTime (Chen et al. 2024; ReXTime/ReXTime)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.fields import text, word
from o3gym.suites.released.options import letter
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import VideoSuite, listed_options, moments
from o3gym.types import Task


class ReXTime(VideoSuite):
    """ReXTime: 921 questions about cause and effect over time, answered with an option and the interval that shows it.

    The split `test` is the hub's validation set, because the answers of the test set (2,143 questions) are not public.
    Videos are those of ActivityNet and QVHighlights (`vid` and a suffix). Intervals are whole seconds, and are cut at
    the end of a video.

    Columns are those of the authors' demonstration and of VideoMind's loader. Rows were only seen in the authors' file
    of true answers, which has no options.
    """

    name: ClassVar[str] = "rextime"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"
    repository: ClassVar[str] = "ReXTime/ReXTime"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("rextime_val.json",)}
    substitutes: ClassVar[Mapping[str, Sequence[str]]] = {
        "test": ("data/validation-*.parquet", "data/rextime_val.json")
    }
    counts: ClassVar[Mapping[str, int]] = {"test": 921}
    columns: ClassVar[tuple[str, ...]] = ("qid", "vid", "question", "options", "ans", "span")
    identity: ClassVar[tuple[str, ...]] = ("qid",)
    measure: ClassVar[str] = "rextime"
    grounded: bool = True

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    def category_of(self, row: TableRow) -> str:
        """The kind of relation that a question is about; "" if it is not stated."""
        return str(row.get("category") or "")

    def convert(self, row: TableRow) -> Task:
        """A question with options and the interval of the answer."""
        name, choices = text(row, "vid"), listed_options(row["options"], "options")
        video = self.video(name, field="vid")
        category = self.category_of(row)
        return Task(
            id=word(row, "qid"),
            sources=(video,),
            question=text(row, "question"),
            answer=letter(row, "ans", choices),
            choices=choices,
            targets=moments([row["span"]], "span", video),
            kind="choice",
            tags={"category": category} if category else {},
            origin={"cluster": name, "grounded": True},
        )
