"""`mmstar`: MMStar (Chen et al. 2024, "Are We on the Right Way …"; Lin-Chen/MMStar)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import letter, packed, text, word
from o3gym.suites.released.rows import TableRow
from o3gym.types import Task

OPTIONS = "Options:"


class MMStar(Released):
    """MMStar: 1,500 questions that cannot be answered without the picture, 250 for each of six abilities.

    Options stand in the question, "Options: A: …, B: …", and are taken out of it. lmms-eval reports the mean over the
    18 subtasks, VLMEvalKit the mean over all questions; a report has both. Official scoring looks at where an answer
    begins: "The answer: B" begins with "t" and is wrong.
    """

    name: ClassVar[str] = "mmstar"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated"
    repository: ClassVar[str] = "Lin-Chen/MMStar"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("mmstar.parquet", "val-*.parquet", "data/val-*.parquet")}
    counts: ClassVar[Mapping[str, int]] = {"test": 1500}
    columns: ClassVar[tuple[str, ...]] = ("index", "question", "image", "answer", "category", "l2_category")
    identity: ClassVar[tuple[str, ...]] = ("index",)
    official: ClassVar[str] = "leading_letter"
    measure: ClassVar[str] = "mmstar"

    def convert(self, row: TableRow) -> Task:
        """A question, its options apart."""
        question, choices = split_options(text(row, "question"))
        return Task(
            id=word(row, "index"),
            sources=(packed(row),),
            question=question,
            answer=letter(row, "answer", choices),
            choices=choices,
            kind="choice",
            tags={"category": text(row, "category"), "subtask": text(row, "l2_category")},
        )


def split_options(said: str) -> tuple[str, tuple[str, ...]]:
    """The question and the options of "Which? Options: A: red, B: blue"; commas within an option do not end it."""
    question, mark, rest = said.rpartition(OPTIONS)
    options: list[str] = []
    rest = rest.strip()
    for name, after in zip("ABCDE", "BCDEF", strict=True):
        if not mark or not rest.startswith(f"{name}:"):
            break
        option, comma, following = rest[2:].partition(f", {after}:")
        options.append(option.strip(" ,\n"))
        rest = f"{after}:{following}" if comma else ""
    if len(options) < 2 or not all(options) or not question.strip():
        raise BadRow("question", f'a question and "{OPTIONS} A: …, B: …"', said)
    return question.strip(), tuple(options)
