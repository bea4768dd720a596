"""`mme-realworld`, `mme-realworld-lite`: MME-RealWorld (Zhang et al. 2024), in the copies made for lmms-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import letter, lettered, packed, text, word
from o3gym.suites.released.rows import TableRow
from o3gym.types import Task


class MMERealWorld(Released):
    """MME-RealWorld in English: 23,609 questions about large pictures from five domains.

    Options are used with the letters that they have, E among them ("not in the picture", in words that differ by
    subtask). The score is accuracy over all questions; `category` is the domain ("Monitoring", "OCR with Complex
    Context", …). Official scoring takes the first of the characters A to E anywhere in the answer, so that "A man …" is
    A, and takes "" for A.
    """

    name: ClassVar[str] = "mme-realworld"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated; research"
    repository: ClassVar[str] = "yifanzhang114/MME-RealWorld-Lmms-eval"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/train-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 23_609}
    columns: ClassVar[tuple[str, ...]] = (
        "index",
        "bytes",
        "question",
        "multi-choice options",
        "answer",
        "category",
        "l2-category",
    )
    pictures: ClassVar[tuple[str, ...]] = ("bytes",)
    identity: ClassVar[tuple[str, ...]] = ("index",)
    repeats: ClassVar[bool] = True
    official: ClassVar[str] = "first_letter"
    measure: ClassVar[str] = "mme_realworld"

    def category_of(self, row: TableRow) -> str:
        """The domain."""
        return str(row["category"]).rpartition("/")[2]

    def convert(self, row: TableRow) -> Task:
        """A question; names of subtasks are written in many ways, so they are in lower case here."""
        ability, slash, domain = text(row, "category").rpartition("/")
        if not slash or ability.lower() not in ("perception", "reasoning"):
            raise BadRow("category", '"Perception/…" or "Reasoning/…"', row["category"])
        choices = lettered(row["multi-choice options"], "multi-choice options")
        return Task(
            id=word(row, "index"),
            sources=(packed(row, "bytes"),),
            question=text(row, "question"),
            answer=letter(row, "answer", choices),
            choices=choices,
            kind="choice",
            tags={"category": domain, "ability": ability.lower(), "subtask": text(row, "l2-category").lower()},
        )


class MMERealWorldLite(MMERealWorld):
    """MME-RealWorld-Lite: 1,919 rows, of which 137 are copies of others: 1,782 questions.

    With official scoring all rows are used. Otherwise as `MMERealWorld`.
    """

    name: ClassVar[str] = "mme-realworld-lite"
    repository: ClassVar[str] = "yifanzhang114/MME-RealWorld-lite-lmms-eval"
    counts: ClassVar[Mapping[str, int]] = {"test": 1919}
