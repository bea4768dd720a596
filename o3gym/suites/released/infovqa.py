"""`infovqa`: InfographicVQA (Mathew et al. 2021; lmms-lab's copy)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class InfoVQA(Released):
    """InfographicVQA (Mathew et al. 2021): 2,801 questions, each with several accepted answers.

    The questions are the hub's `validation` split; the answers of its `test` split are not public. Scored by ANLS,
    which is 0 for a distance of half the length or more, as in the paper that defines it. The released scorings, which
    are the same, count a similarity of exactly 0.5, and compare the answer as it stands.
    """

    name: ClassVar[str] = "infovqa"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "terms of the Robust Reading Competition"
    repository: ClassVar[str] = "lmms-lab/DocVQA"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("InfographicVQA/validation-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 2801}
    columns: ClassVar[tuple[str, ...]] = ("questionId", "question", "answers", "image")
    identity: ClassVar[tuple[str, ...]] = ("questionId",)
    judge: ClassVar[str] = "anls"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring(
            "the challenge's own script, a copy of which is QwenLM/Qwen-VL@e6bbb9d, eval_mm/infographicsvqa_eval.py",
            judge="anls_verbatim",
        ),
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/api/metrics.py", judge="anls_verbatim"
        ),
    }

    def convert(self, row: TableRow) -> Task:
        """A question with all of its accepted answers."""
        answers = row["answers"]
        if not isinstance(answers, list) or not answers or not all(isinstance(a, str) and a.strip() for a in answers):
            raise BadRow("answers", "a list of texts", answers)
        return Task(
            id=word(row, "questionId"),
            sources=(packed(row),),
            question=text(row, "question"),
            answer=answers[0],
            origin={"answers": list(answers)},
        )
