"""`mme-reasoning`, `pope`: questions that are answered with yes or no (copies of lmms-lab)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.rows import TableRow
from o3gym.types import Task

COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
"""Categories of MME that its authors call cognition; the others are perception."""


class MMEReasoning(Released):
    """The four reasoning categories of MME (Fu et al. 2023): two questions about each picture.

    A category scores 100 × (accuracy + share of pictures with both answers right), so the whole is of 800. The file
    has the other categories too, 2,374 rows in all. Official scoring reads an answer by its first four characters.
    """

    name: ClassVar[str] = "mme-reasoning"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated; research"
    repository: ClassVar[str] = "lmms-lab/MME"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 2374}
    columns: ClassVar[tuple[str, ...]] = ("question_id", "image", "question", "answer", "category")
    judge: ClassVar[str] = "yes_no"
    official: ClassVar[str] = "yes_no_prefix"
    measure: ClassVar[str] = "mme"

    def belongs(self, row: TableRow) -> bool:
        """Whether it is of a reasoning category."""
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


class POPE(Released):
    """POPE (Li et al. 2023): whether a thing is in the picture, 9,000 questions, 3,000 for each way of choosing it.

    Scored by accuracy, and by precision, recall and F1 of "yes". Official scoring compares the whole answer with "yes"
    or "no", so that "Yes, there is." is wrong, and gives as the share of "yes" that of the right answers.
    """

    name: ClassVar[str] = "pope"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "MIT (pictures of COCO)"
    repository: ClassVar[str] = "lmms-lab/POPE"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 9000}
    columns: ClassVar[tuple[str, ...]] = ("id", "question", "answer", "image", "category")
    identity: ClassVar[tuple[str, ...]] = ("category", "id")
    judge: ClassVar[str] = "yes_no"
    official: ClassVar[str] = "verbatim"
    measure: ClassVar[str] = "pope"

    def convert(self, row: TableRow) -> Task:
        """A question."""
        category = text(row, "category")
        return Task(
            id=f"{category}/{word(row, 'id')}",
            sources=(packed(row),),
            question=text(row, "question"),
            answer=yes_or_no(row),
            tags={"category": category},
        )


def yes_or_no(row: TableRow) -> str:
    """The right answer, "yes" or "no"."""
    answer = text(row, "answer").lower().rstrip(".")
    if answer not in ("yes", "no"):
        raise BadRow("answer", '"yes" or "no"', row["answer"])
    return answer
