"""`hrbench-4k`, `hrbench-8k`: HR-Bench (Wang et al. 2024, "Divide, Conquer and Combine"; DreamMr/HR-Bench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.fields import columns_of_options, letter, text, word
from o3gym.suites.released import Released
from o3gym.suites.rows import Row
from o3gym.types import Source, Task


class HRBench4K(Released):
    """HR-Bench 4K: 200 questions about pictures of 4,000 pixels a side, each in four orders of its options.

    Rows are used as they are stored: only the place of the right option goes round, the others stand in any order. The
    score is the plain mean over the four orders, as in VLMEvalKit, so accuracy over all rows is the published measure;
    `single` (FSP) and `cross` (FCP) are its categories. Orders of one question are no independent tasks:
    intervals over all rows are too narrow.

    The file is gigabytes of base64; it is read row by row, and a picture when it is looked at.
    """

    name: ClassVar[str] = "hrbench-4k"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated"
    repository: ClassVar[str] = "DreamMr/HR-Bench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_4k.tsv", "HRBench4K.tsv")}
    counts: ClassVar[Mapping[str, int]] = {"test": 800}
    columns: ClassVar[tuple[str, ...]] = ("index", "question", "answer", "category", "A", "B", "C", "D", "image")

    def convert(self, row: Row) -> Task:
        """One order of one question."""
        choices = columns_of_options(row, "ABCD")
        image = row["image"]
        if not isinstance(image, Source):
            raise BadRow("image", "a picture as base64", image)
        category, index = text(row, "category"), word(row, "index")
        if category not in ("single", "cross"):
            raise BadRow("category", '"single" or "cross"', category)
        return Task(
            id=index,
            sources=(image,),
            question=text(row, "question"),
            answer=letter(row, "answer", choices),
            choices=choices,
            kind="choice",
            tags={"category": category, **({"cycle": str(row["cycle_category"])} if "cycle_category" in row else {})},
        )


class HRBench8K(HRBench4K):
    """HR-Bench 8K: the questions of `HRBench4K` with the whole pictures, 8,000 pixels wide."""

    name: ClassVar[str] = "hrbench-8k"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_8k.tsv", "HRBench8K.tsv")}
