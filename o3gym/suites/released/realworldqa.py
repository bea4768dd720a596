"""`realworldqa`: RealWorldQA (xAI 2024; xai-org/RealworldQA)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.base import OWN_SCORING, Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text
from o3gym.suites.released.options import OPTION_LINE, letter, lettered_lines
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

DIRECTLY = re.compile(r"\s*Please answer directly\b.*\Z", re.DOTALL)
"""Matches the instruction at the end of a question. It is dropped, because the dialect says how to answer."""


class RealWorldQA(Released):
    """RealWorldQA: 765 questions about photographs, many of them taken from vehicles.

    A question has options on lines of their own, or asks for a word or a number ("yes", "3"). `scoring="lmms-eval"`
    reads an option's letter by the form in which it occurs, and otherwise requires the bare answer.

    Columns and row count are those of the hub's card. No rows were seen: where the options and the instruction stand is
    taken from lmms-eval's code.
    """

    name: ClassVar[str] = "realworldqa"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-ND 4.0"
    repository: ClassVar[str] = "xai-org/RealworldQA"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 765}
    columns: ClassVar[tuple[str, ...]] = ("image", "question", "answer")
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/realworldqa/utils.py", judge="ranked_or_bare"
        )
    }

    @property
    def kinds(self) -> frozenset[str]:
        """Options and free answers."""
        return frozenset({"choice", "free"})

    def convert(self, row: TableRow) -> Task:
        """A question, with its options split off if the answer is the letter of one."""
        question, answer = DIRECTLY.sub("", text(row, "question")), text(row, "answer")
        bare = answer.strip("().: ")
        if len(bare) == 1 and bare.isalpha() and OPTION_LINE.search(question):
            question, choices = lettered_lines(question, "question")
            right = letter(row, "answer", choices)
            return Task("", (packed(row),), question, right, choices, kind="choice", tags={"category": "choice"})
        judge = {"judge": "yes_no"} if answer.lower() in ("yes", "no") and self.scoring == OWN_SCORING else {}
        return Task("", (packed(row),), question, answer, tags={"category": "free"}, origin=judge)

    def category_of(self, row: TableRow) -> str:
        """The kind of a question, "choice" or "free"."""
        return self.convert(row).kind
