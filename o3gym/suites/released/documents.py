"""`infovqa`, `chartqa`: questions about infographics and charts, with short answers (copies of lmms-lab)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.rows import TableRow
from o3gym.types import Task


class InfoVQA(Released):
    """InfographicVQA (Mathew et al. 2021): 2,801 questions, each with several right answers.

    They are those of the hub's split `validation`; the answers of its `test` are not public. Scored by ANLS with
    threshold 0.5.
    """

    name: ClassVar[str] = "infovqa"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "terms of the Robust Reading Competition"
    repository: ClassVar[str] = "lmms-lab/DocVQA"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("InfographicVQA/validation-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 2801}
    columns: ClassVar[tuple[str, ...]] = ("questionId", "question", "answers", "image")
    identity: ClassVar[tuple[str, ...]] = ("questionId",)
    judge: ClassVar[str] = "anls"

    def convert(self, row: TableRow) -> Task:
        """A question and all of its answers."""
        answers = row["answers"]
        if not isinstance(answers, list) or not answers or not all(isinstance(a, str) and a.strip() for a in answers):
            raise BadRow("answers", "a list of texts", answers)
        return Task(
            id=word(row, "questionId"),
            sources=(packed(row),),
            question=text(row, "question"),
            answer=answers[0],
            origin={"answers": list(answers)},
        )


class ChartQA(Released):
    """ChartQA (Masry et al. 2022): 2,500 questions, by people (`human_test`) and made by a model (`augmented_test`).

    Scored by relaxed accuracy: a number is right within 5%, so a year is right if it is within a century.
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

    def convert(self, row: TableRow) -> Task:
        """A question; it has no id of its own, so the row's number stands in."""
        return Task(
            id="",
            sources=(packed(row),),
            question=text(row, "question"),
            answer=word(row, "answer"),
            tags={"category": text(row, "type")},
        )
