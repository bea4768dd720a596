"""`hrbench-4k`, `hrbench-8k`: HR-Bench (Wang et al. 2024, "Divide, Conquer and Combine"; DreamMr/HR-Bench)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import columns_of_options, letter, packed, text, word
from o3gym.suites.released.rows import TableRow
from o3gym.types import Task


class HRBench4K(Released):
    """HR-Bench 4K: 200 questions about pictures of 4,000 pixels a side, each in four orders of its options.

    Rows are used as they are stored: only the place of the right option goes round, the others stand in any order. The
    score is the plain mean over the four orders, as in VLMEvalKit, so accuracy over all rows is the published measure;
    `single` (FSP) and `cross` (FCP) are its categories. Orders of one question are no independent tasks,
    and some questions come more than once, so intervals are of questions with their options, drawn whole.

    The file is gigabytes of base64; it is read row by row, and a picture when it is looked at.
    """

    name: ClassVar[str] = "hrbench-4k"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated"
    repository: ClassVar[str] = "DreamMr/HR-Bench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_4k.tsv", "HRBench4K.tsv")}
    counts: ClassVar[Mapping[str, int]] = {"test": 800}
    columns: ClassVar[tuple[str, ...]] = ("index", "question", "answer", "category", "A", "B", "C", "D", "image")
    identity: ClassVar[tuple[str, ...]] = ("index",)
    measure: ClassVar[str] = "hrbench"

    def convert(self, row: TableRow) -> Task:
        """One order of one question."""
        choices = columns_of_options(row, "ABCD")
        category, index = text(row, "category"), word(row, "index")
        if category not in ("single", "cross"):
            raise BadRow("category", '"single" or "cross"', category)
        same = [text(row, "question"), *sorted(choices)]
        return Task(
            id=index,
            sources=(packed(row),),
            question=text(row, "question"),
            answer=letter(row, "answer", choices),
            choices=choices,
            kind="choice",
            origin={"cluster": hashlib.sha256("\n".join(same).encode()).hexdigest()[:12]},
            tags={"category": category, **({"cycle": str(row["cycle_category"])} if "cycle_category" in row else {})},
        )


class HRBench8K(HRBench4K):
    """HR-Bench 8K: the questions of `HRBench4K` with the whole pictures, 8,000 pixels wide."""

    name: ClassVar[str] = "hrbench-8k"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_8k.tsv", "HRBench8K.tsv")}
