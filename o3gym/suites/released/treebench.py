"""`treebench`: TreeBench (Wang et al. 2025, "Traceable Evidence Enhanced Visual Grounded Reasoning")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import columns_of_options, evidence, letter, packed, text, word
from o3gym.suites.released.rows import TableRow
from o3gym.types import Task


class TreeBench(Released):
    """TreeBench: 405 questions that need small or second-order evidence, with one to eight boxes of it.

    Options are taken from the columns A to K; the text with all of them runs some together on one line. In the 68 rows
    of `Perception/OCR` question and options are drawn into the picture, and are given in words all the same, as the
    released script does (it means to leave them out, but compares with "OCR").

    `mIoU` of the paper is the mean over the boxes of the evidence of the best IoU of any predicted box; further boxes
    cost nothing. Official scoring asks for the letter and nothing else in the answer.
    """

    name: ClassVar[str] = "treebench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated"
    repository: ClassVar[str] = "HaochenWang/TreeBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("TreeBench.tsv",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 405}
    columns: ClassVar[tuple[str, ...]] = ("index", "image", "question", "answer", "category", "target_instances", "A")
    identity: ClassVar[tuple[str, ...]] = ("index",)
    official: ClassVar[str] = "verbatim"
    measure: ClassVar[str] = "treebench"

    def convert(self, row: TableRow) -> Task:
        """A question with the boxes of its evidence, in pixels of the stored picture."""
        image = packed(row)
        choices = columns_of_options(row, "ABCDEFGHIJK")
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
