"""`mmstar`: MMStar (Chen et al. 2024, "Are We on the Right Way …"; Lin-Chen/MMStar)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.options import letter, lettered_lines
from o3gym.suites.released.table import TableRow
from o3gym.types import LETTERS, Task

OPTIONS = "Options:"
"""Marks the options on one line at the end of a question: "Options: A: red, B: blue"."""
HINT = re.compile(r"\A[^\n]*\nQuestion:")
"""Matches a first line that says how to answer, and the mark of the question after it."""
CHOICES = re.compile(r"\s*\bChoices:\Z")
"""Matches the mark before options on lines of their own."""


class MMStar(Released):
    """MMStar: 1,500 questions that cannot be answered without the picture, 250 for each of six abilities.

    The file has the options at the end of the question; they are split off. In 1,154 rows they stand on one line
    ("Options: A: …, B: …"). In 346 rows, nearly all from MathVista, each has its own line ("(A) …"), mostly after
    "Choices:"; and before the question stands a hint on how to answer, which is dropped because the dialect says that.
    (Three of these hints ask for a number although the answer is a letter.)

    In 176 rows one or two options are "nan", which pandas writes for values that it takes to be missing. They are kept:
    models saw them when the published numbers were measured, and in two rows, where it must have been "None", "nan" is
    the right option.

    lmms-eval reports the mean over the 18 subtasks, the authors and VLMEvalKit the mean over all questions; reports
    contain both. `scoring="authors"` looks for the letter at the start of the answer only, so "The answer: B" (which
    starts with "t") is wrong. `scoring="lmms-eval"` ranks all capital letters by the form in which they occur.
    """

    name: ClassVar[str] = "mmstar"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated"
    repository: ClassVar[str] = "Lin-Chen/MMStar"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("mmstar.parquet", "val-*.parquet", "data/val-*.parquet")}
    counts: ClassVar[Mapping[str, int]] = {"test": 1500}
    columns: ClassVar[tuple[str, ...]] = ("index", "question", "image", "answer", "category", "l2_category")
    identity: ClassVar[tuple[str, ...]] = ("index",)
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring(
            "MMStar-Benchmark/MMStar@79e6d1c, eval/vlmeval/evaluate/mmstar.py", judge="leading_letter"
        ),
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/_task_utils/mcq_extract.py", judge="ranked_letter"
        ),
    }
    measure: ClassVar[str] = "mmstar"

    def convert(self, row: TableRow) -> Task:
        """A question, with its options split off."""
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


def split_options(question_text: str) -> tuple[str, tuple[str, ...]]:
    """Split a question into its words and its options, which stand on one line or on a line each."""
    question, _, rest = question_text.rpartition(OPTIONS)
    if rest.lstrip().startswith("A:"):
        options = _inline_options(rest.strip())
    else:
        beginning, options = lettered_lines(question_text, "question")
        question = CHOICES.sub("", HINT.sub("", beginning))
    if len(options) < 2 or not all(options) or not question.strip():
        raise BadRow("question", 'a question and options, as "Options: A: …, B: …" or as lines "(A) …"', question_text)
    return question.strip(), options


def _inline_options(rest: str) -> tuple[str, ...]:
    """The options of "A: red, B: blue", which may contain commas."""
    options: list[str] = []
    for name, after in pairwise(LETTERS):
        if not rest.startswith(f"{name}:"):
            break
        option, comma, following = rest[2:].partition(f", {after}:")
        options.append(option.strip(" ,\n"))
        rest = f"{after}:{following}" if comma else ""
    return tuple(options)
