"""`next-gqa`: NExT-GQA (Xiao et al. 2024; doc-doc/NExT-GQA on GitHub)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from o3gym.suites.base import BadRow, SuiteError
from o3gym.suites.released.fields import text, word
from o3gym.suites.released.rows import read_object
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import NotOnHub, letter_of, moments
from o3gym.types import Task

QUESTION_TYPES: Mapping[str, str] = {"C": "causal", "T": "temporal"}
"""The first letter of `type`, and what it means: CW and CH, TN, TC and TP."""


class NExTGQA(NotOnHub):
    """NExT-GQA: questions about causes and times, answered with an option and an interval that shows it.

    A data folder needs `test.csv` and `gsub_test.json` of the authors' repository (`datasets/nextgqa`); the split `val`
    reads `val.csv` and `gsub_val.json`. The videos are those of NExT-QA, which the authors name by numbers
    (`2574374895.mp4`, in any folder). A question may have several true intervals; any of them counts, as in published
    numbers. `category` is "causal" or "temporal". Rows of both files were seen.
    """

    name: ClassVar[str] = "next-gqa"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("test", "val")
    licence: ClassVar[str] = "unknown"
    repository: ClassVar[str] = "https://github.com/doc-doc/NExT-GQA (datasets/nextgqa)"
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        split: (f"{split}.csv", f"nextgqa/{split}.csv", f"datasets/nextgqa/{split}.csv") for split in ("test", "val")
    }
    columns: ClassVar[tuple[str, ...]] = ("video_id", "question", "answer", "qid", "type", "a0", "a1", "a2", "a3", "a4")
    identity: ClassVar[tuple[str, ...]] = ("video_id", "qid")
    measure: ClassVar[str] = "next_gqa"
    grounded: bool = True

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    @cached_property
    def spans(self) -> Mapping[str, Any]:
        """The true intervals by video and question, which are read when the first task is requested."""
        path = self.folder / f"gsub_{self.split}.json"
        if not path.is_file():
            raise SuiteError(f"{self.name}: expected the true intervals in {path}, beside the table")
        return read_object(path)

    def category_of(self, row: TableRow) -> str:
        """Whether a question is "causal" or "temporal"."""
        return QUESTION_TYPES.get(str(row["type"])[:1], "")

    def convert(self, row: TableRow) -> Task:
        """A question with five options and its intervals."""
        name, number = word(row, "video_id"), word(row, "qid")
        choices = tuple(word(row, f"a{i}") for i in range(5))
        video = self.video(name, field="video_id")
        entry = self.spans.get(name)
        spans = entry.get("location") if isinstance(entry, dict) else None
        if not isinstance(spans, dict) or number not in spans:
            raise BadRow("qid", f"a question with intervals in gsub_{self.split}.json", f"{name}, {number}")
        return Task(
            id=f"{name}/{number}",
            sources=(video,),
            question=f"{text(row, 'question')}?",
            answer=letter_of(row, "answer", choices),
            choices=choices,
            targets=moments(spans[number], "qid", video),
            kind="choice",
            tags={"category": self.category_of(row), "type": text(row, "type")},
            origin={"cluster": name, "grounded": True},
        )
