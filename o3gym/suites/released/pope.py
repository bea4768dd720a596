"""`pope`: POPE (Li et al. 2023; lmms-lab's copy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word, yes_or_no
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class POPE(Released):
    """POPE (Li et al. 2023): 9,000 yes/no questions on whether an object is in the picture.

    There are 3,000 questions for each of three ways of sampling the object (`category`: random, popular, adversarial).
    Scored by accuracy, and by precision, recall and F1 of "yes". `scoring="authors"` reads a first sentence with the
    word "No", "no" or "not" as no and everything else as yes. `scoring="lmms-eval"` requires the whole answer to be
    "yes" or "no", so "Yes, there is." is wrong; and the share of "yes" that it reports is that of the right answers,
    not of the model's.
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
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring("AoiDragon/POPE@f3ec604, evaluate.py", judge="yes_unless_no"),
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/pope/utils.py", judge="verbatim"
        ),
    }
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
