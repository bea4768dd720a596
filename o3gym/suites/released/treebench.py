"""`treebench`: TreeBench (Wang et al. 2025, "Traceable Evidence Enhanced Visual Grounded Reasoning")."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import evidence, packed, text, word
from o3gym.suites.released.options import columns_of_options, letter, lettered_lines
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

COLUMNS = "ABCDEFGHIJK"
"""Columns of options."""
JOINED = "multi-choice options"
"""The column with all options as one text."""
UNDOTTED = re.compile(r"^[ \t]*([A-K])[ \t]+(?=\S)", re.MULTILINE)
"""Matches the letter of an option without a dot at the start of a line: "A Cast iron"."""


class TreeBench(Released):
    """TreeBench: 405 questions that need small or second-order evidence, each with one to eight evidence boxes.

    Options are read from the columns A to K, because the column with all options as one text runs some of them together
    on one line. That column is read only for three rows, in which its letters have no dots ("A Cast iron"), so that the
    options were not spread over the columns.

    In the 68 rows of `Perception/OCR`, the question and options are also drawn into the picture. They are asked in
    words all the same, as in the released script (which means to leave them out, but compares the category with "OCR").

    The paper's `mIoU` takes the best IoU of any predicted box for each evidence box, and averages these over the
    evidence boxes; additional predictions are not penalised. `scoring="authors"` accepts only the bare letter.
    """

    name: ClassVar[str] = "treebench"
    version: ClassVar[str] = "2"
    licence: ClassVar[str] = "Apache-2.0"
    repository: ClassVar[str] = "HaochenWang/TreeBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("TreeBench.tsv",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 405}
    columns: ClassVar[tuple[str, ...]] = ("index", "image", "question", "answer", "category", "target_instances", "A")
    identity: ClassVar[tuple[str, ...]] = ("index",)
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring("Haochen-Wang409/TreeVGR@4823ad8, inference_treebench.py", judge="verbatim")
    }
    measure: ClassVar[str] = "treebench"

    def convert(self, row: TableRow) -> Task:
        """A question with the boxes of its evidence; the file has them in pixels of the stored picture."""
        image = packed(row)
        choices = _options(row)
        return Task(
            id=word(row, "index"),
            sources=(image,),
            question=text(row, "question"),
            answer=letter(row, "answer", choices),
            choices=choices,
            targets=evidence(row, "target_instances", image),
            kind="choice",
            tags={"category": text(row, "category")},
        )


def _options(row: TableRow) -> tuple[str, ...]:
    """Options from the columns, or from the joined text if no column after A has a value."""
    if any(row.get(column) for column in COLUMNS[1:]):
        return columns_of_options(row, COLUMNS)
    return lettered_lines(UNDOTTED.sub(r"\1. ", text(row, JOINED)), JOINED)[1]
