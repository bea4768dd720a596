"""`charxiv-reasoning`: the reasoning questions of CharXiv (Wang et al. 2024; princeton-nlp/CharXiv)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import BY_MODEL, Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

FORMS = {
    1: "text in chart",
    2: "text in general",
    3: "number in chart",
    4: "number in general",
}
"""Answer forms by `reasoning_q_source`."""


class CharXivReasoning(Released):
    """CharXiv, reasoning: one question with a short answer about each of 1,000 charts from papers.

    As in the paper, the question states the form of the answer, including the number of decimals if the answer is a
    number that does not appear in the chart. `category` is one of the four forms ("text in chart", …).

    The released scorings use a model judge. A verdict that cannot be parsed gets −1, which `scoring="authors"` counts
    as 0 and `scoring="lmms-eval"` as −1; otherwise failed verdicts are left out of accuracy and reported as failed.
    """

    name: ClassVar[str] = "charxiv-reasoning"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-SA 4.0 for questions; charts are their authors'"
    wants_judge: ClassVar[str] = BY_MODEL
    repository: ClassVar[str] = "princeton-nlp/CharXiv"
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        "test": ("val.parquet", "data/validation-*.parquet", "validation-*.parquet")
    }
    counts: ClassVar[Mapping[str, int]] = {"test": 1000}
    columns: ClassVar[tuple[str, ...]] = ("image", "reasoning_q", "reasoning_a", "reasoning_q_source")
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring("princeton-nlp/CharXiv@54d3279, src/get_stats.py"),
        "lmms-eval": ReleasedScoring("EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/charxiv/utils.py"),
    }
    measure: ClassVar[str] = "charxiv"

    def category_of(self, row: TableRow) -> str:
        """The answer form of a row; "" if it is unknown."""
        return FORMS.get(row["reasoning_q_source"], "")

    def convert(self, row: TableRow) -> Task:
        """The reasoning question of a chart."""
        form = self.category_of(row)
        if not form:
            raise BadRow("reasoning_q_source", "1, 2, 3 or 4", row["reasoning_q_source"])
        answer = word(row, "reasoning_a")
        return Task(
            id="",
            sources=(packed(row),),
            question=f"{text(row, 'reasoning_q')}\n{_instruction(form, answer)}",
            answer=answer,
            tags={"category": form},
        )


def _instruction(form: str, answer: str) -> str:
    """An instruction on the form of the answer, paraphrased from CharXiv, src/constants.py."""
    if form == "text in chart":
        return "Answer with a text that stands in the chart."
    if form == "text in general":
        return "Answer in a word or a short phrase."
    if form == "number in chart":
        return "Answer with a number that stands in the chart, written as it is there."
    decimals = len(answer.partition(".")[2])
    return f"Answer with a number with {decimals} decimal places." if decimals else "Answer with a whole number."
