"""`hrbench-4k`, `hrbench-8k`: HR-Bench (Wang et al. 2024, "Divide, Conquer and Combine"; DreamMr/HR-Bench)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.options import columns_of_options, letter
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class HRBench4K(Released):
    """HR-Bench 4K: 200 questions about pictures of 4,000 pixels a side, each in four orders of its options.

    Rows are used as stored: the right option cycles through all four positions, and the others are in arbitrary order.
    The score is the plain mean over the four orders, as in VLMEvalKit, so accuracy over all rows is the published
    metric. Its categories are `single` (FSP) and `cross` (FCP). The four orders of a question are not independent
    tasks, and some questions occur more than once, so the bootstrap resamples clusters: all rows that have the same
    question and the same options.

    The hub has the table as Parquet and as TSV of four times the size, both with pictures as base64. Parquet is
    downloaded; a data folder may contain either. Rows are read one by one, and a picture only when it is viewed.
    """

    name: ClassVar[str] = "hrbench-4k"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "other (terms not stated)"
    repository: ClassVar[str] = "DreamMr/HR-Bench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_4k.parquet",)}
    substitutes: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_4k.tsv", "HRBench4K.tsv")}
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
        content = [text(row, "question"), *sorted(choices)]
        return Task(
            id=index,
            sources=(packed(row),),
            question=text(row, "question"),
            answer=letter(row, "answer", choices),
            choices=choices,
            kind="choice",
            origin={"cluster": hashlib.sha256("\n".join(content).encode()).hexdigest()[:12]},
            tags={"category": category, **({"cycle": str(row["cycle_category"])} if "cycle_category" in row else {})},
        )


class HRBench8K(HRBench4K):
    """HR-Bench 8K: the questions of `HRBench4K` about the uncropped pictures, 8,000 pixels wide."""

    name: ClassVar[str] = "hrbench-8k"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_8k.parquet",)}
    substitutes: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("hr_bench_8k.tsv", "HRBench8K.tsv")}
