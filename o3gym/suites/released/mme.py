"""`mme-reasoning`: the reasoning categories of MME (Fu et al. 2023; lmms-lab's copy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word, yes_or_no
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
"""The MME categories that its authors call cognition; the others are perception."""


class MMEReasoning(Released):
    """The four reasoning categories of MME (Fu et al. 2023): two yes/no questions about each picture.

    A category scores 100 × (accuracy + share of pictures with both answers right), so the total is at most 800. The
    file also contains the perception categories, 2,374 rows in all. `scoring="lmms-eval"` reads only the first four
    characters of an answer.
    """

    name: ClassVar[str] = "mme-reasoning"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated; research"
    repository: ClassVar[str] = "lmms-lab/MME"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 2374}
    columns: ClassVar[tuple[str, ...]] = ("question_id", "image", "question", "answer", "category")
    judge: ClassVar[str] = "yes_no"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/mme/utils.py", judge="yes_no_prefix"
        )
    }
    measure: ClassVar[str] = "mme"

    def belongs(self, row: TableRow) -> bool:
        """Whether a row is in a reasoning category."""
        return row["category"] in COGNITION

    def convert(self, row: TableRow) -> Task:
        """One of the two questions about a picture, which share their `question_id`."""
        return Task(
            id="",
            sources=(packed(row),),
            question=text(row, "question"),
            answer=yes_or_no(row),
            tags={"category": text(row, "category"), "pair": word(row, "question_id")},
        )
