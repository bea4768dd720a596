"""`hallusionbench`: HallusionBench (Guan et al. 2024), the questions with a figure; lmms-lab's copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

ANSWER_CODES = {"1": "yes", "0": "no"}
"""The answers by `gt_answer`."""


class HallusionBench(Released):
    """HallusionBench: 951 yes/no questions about figures, some of which were edited to contradict what is known.

    Each question is asked about several figures, and each figure has several questions. Scored by accuracy (aAcc), by
    the share of figures with all questions right (fAcc), and by the share of questions that are right for all of their
    figures (qAcc). `category` is VD (the figure is needed) or VS (the figure supplements what is known). The 178
    questions without any figure are left out, as in published numbers for this set of 951.

    Published numbers come from GPT-4, which compares the answer with a full sentence; that sentence is an accepted
    answer besides "yes" or "no". `scoring="lmms-eval"` is the rule without a model that lmms-eval names as an
    alternative: "yes" anywhere in the answer. No rows were seen: columns are those that lmms-eval uses.
    """

    name: ClassVar[str] = "hallusionbench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "BSD-3-Clause"
    wants_judge: ClassVar[str] = "published numbers come from GPT-4; here an answer without a clear yes or no is wrong"
    repository: ClassVar[str] = "lmms-lab/HallusionBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/image-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 951}
    columns: ClassVar[tuple[str, ...]] = (
        "category",
        "subcategory",
        "set_id",
        "figure_id",
        "question_id",
        "question",
        "gt_answer",
        "gt_answer_details",
        "image",
    )
    identity: ClassVar[tuple[str, ...]] = ("category", "subcategory", "set_id", "figure_id", "question_id")
    judge: ClassVar[str] = "yes_no"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/hallusion_bench/evaluate_hb.py, without a model",
            judge="yes_anywhere",
        )
    }
    measure: ClassVar[str] = "hallusionbench"

    def convert(self, row: TableRow) -> Task:
        """A question about a figure."""
        right = word(row, "gt_answer")
        if right not in ANSWER_CODES:
            raise BadRow("gt_answer", '"1" (yes) or "0" (no)', row["gt_answer"])
        category, subcategory = text(row, "category"), text(row, "subcategory")
        group = f"{category}/{subcategory}/{word(row, 'set_id')}"
        figure, question = word(row, "figure_id"), word(row, "question_id")
        return Task(
            id=f"{group}/{figure}/{question}",
            sources=(packed(row),),
            question=text(row, "question"),
            answer=ANSWER_CODES[right],
            tags={
                "category": category,
                "subcategory": subcategory,
                "figure": f"{group}/{figure}",
                "question": f"{group}/{question}",
            },
            origin={"answers": [text(row, "gt_answer_details")]},
        )
