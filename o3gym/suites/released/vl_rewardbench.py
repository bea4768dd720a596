"""`vl-rewardbench`: VL-RewardBench (Li et al. 2024; MMInstruction/VL-RewardBench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import packed, text, texts
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

GROUPS: Mapping[str, str] = {
    "mathverse": "reasoning",
    "mmmu": "reasoning",
    "hallucination": "hallucination",
    "rlhf": "hallucination",
    "rlaif": "hallucination",
    "wildvision": "general",
    "vlfeedback": "general",
}
"""The beginnings of ids, and their categories. Every other id is general."""
BETTER = ("Answer 1 is better.", "Answer 2 is better.")


class VLRewardBench(Released):
    """VL-RewardBench: 1,250 pairs of answers to questions about pictures, of which one is better.

    The order of the answers follows lmms-eval: they are exchanged if the sum of their lengths is odd, so that the
    better one is not always at the same place. `category` is "general", "hallucination" or "reasoning". Published
    numbers are the accuracy over all pairs and the mean over categories. Published code reads a longer judgement, and
    asks a model where it states none. Columns are those of the card of a copy and of lmms-eval's code.
    """

    name: ClassVar[str] = "vl-rewardbench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "MIT"
    repository: ClassVar[str] = "MMInstruction/VL-RewardBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 1250}
    columns: ClassVar[tuple[str, ...]] = ("id", "query", "response", "image", "human_ranking")
    identity: ClassVar[tuple[str, ...]] = ("id",)
    measure: ClassVar[str] = "category_mean"

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    def category_of(self, row: TableRow) -> str:
        """The category, by the beginning of the id."""
        return GROUPS.get(text(row, "id").partition("-")[0].partition("_")[0].lower(), "general")

    def convert(self, row: TableRow) -> Task:
        """A question about a picture with two answers."""
        answers, ranking = texts(row, "response"), row["human_ranking"]
        if len(answers) != 2:
            raise BadRow("response", "two answers", answers)
        if ranking not in ([0, 1], [1, 0]):
            raise BadRow("human_ranking", "[0, 1] or [1, 0], where 0 is the better answer", ranking)
        # The lengths are those of the texts as released, with outer spaces.
        exchanged = sum(map(len, row["response"])) % 2
        first, second = reversed(answers) if exchanged else answers
        return Task(
            id=text(row, "id"),
            sources=(packed(row),),
            question="\n\n".join(
                [
                    "Which answer to this question about the picture is better?",
                    *(f"Question: {text(row, 'query')}", f"Answer 1: {first}", f"Answer 2: {second}"),
                ]
            ),
            answer="AB"[ranking.index(0) ^ exchanged],
            choices=BETTER,
            kind="choice",
            tags={"category": self.category_of(row)},
        )
