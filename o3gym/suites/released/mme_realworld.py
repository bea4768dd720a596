"""`mme-realworld`, `mme-realworld-lite`: MME-RealWorld (Zhang et al. 2024), in its copies for lmms-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.options import letter, lettered
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class MMERealWorld(Released):
    """MME-RealWorld in English: 23,609 questions about large pictures from five domains.

    Options keep their letters. E means "not in the picture", in words that differ by subtask. The score is accuracy
    over all questions; `category` is the domain ("Monitoring", "OCR with Complex Context", …).

    `scoring="authors"` and `scoring="lmms-eval"` take the first character from A to E anywhere in the answer, so
    "A man …" is read as A; "" is read as A too. They differ in the phrases that are removed first, and in answers
    without such a character.

    Where two options have the same letter, only the first is used. Two rows of the lite set call two options D. The
    second, "None of the above", says the same as the right option E, "All the above answers are wrong"; without it, the
    answer E is reached and is the only right one.
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
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring(
            "yfzhang114/MME-RealWorld@11af66f, evaluation/eval_your_results.py", judge="first_letter"
        ),
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/mme_realworld/utils.py", judge="first_bare_letter"
        ),
    }
    measure: ClassVar[str] = "mme_realworld"

    def category_of(self, row: TableRow) -> str:
        """The domain of a row."""
        return str(row["category"]).rpartition("/")[2]

    def convert(self, row: TableRow) -> Task:
        """A question. Subtask names are lowercased, because the file is inconsistent about their case."""
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
    """MME-RealWorld-Lite: 1,782 questions in 1,919 rows, 137 of which are duplicates.

    The released scorings use all rows. Everything else is as in `MMERealWorld`.
    """

    name: ClassVar[str] = "mme-realworld-lite"
    repository: ClassVar[str] = "yifanzhang114/MME-RealWorld-lite-lmms-eval"
    counts: ClassVar[Mapping[str, int]] = {"test": 1919}
