"""`chartqa`: ChartQA (Masry et al. 2022; lmms-lab's copy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class ChartQA(Released):
    """ChartQA (Masry et al. 2022): 2,500 questions, by people (`human_test`) and by a model (`augmented_test`).

    Scored by relaxed accuracy, which accepts a number within 5% of the right one. A year is therefore accepted within
    about a century. With `scoring="lmms-eval"`, the whole answer must be a number for that: "$5", "5 people" and
    "1,000" are compared as texts.
    """

    name: ClassVar[str] = "chartqa"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "GPL-3.0"
    repository: ClassVar[str] = "lmms-lab/ChartQA"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 2500}
    columns: ClassVar[tuple[str, ...]] = ("type", "question", "answer", "image")
    grouped_by: ClassVar[str] = "type"
    judge: ClassVar[str] = "relaxed"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/chartqa/utils.py", judge="relaxed_verbatim"
        )
    }

    def convert(self, row: TableRow) -> Task:
        """A question. Rows have no id, so the task is named by its row number."""
        return Task(
            id="",
            sources=(packed(row),),
            question=text(row, "question"),
            answer=word(row, "answer"),
            tags={"category": text(row, "type")},
        )
