"""`chartqapro`: ChartQAPro (Masry et al. 2025; ahmed-masry/ChartQAPro)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, texts
from o3gym.suites.released.history import with_history
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

INSTRUCTIONS = {
    "Factoid": "Answer with a word, a number or a short phrase; if there are several answers, with a list in brackets.",
    "Conversational": "Answer with a word, a number or a short phrase.",
    "Hypothetical": "Answer with a word, a number or a short phrase.",
    "Multi Choice": "Answer with the option only.",
    "Fact Checking": "Answer true or false.",
}
"""Question types, each with an instruction on the form of the answer, in our words."""
UNANSWERABLE = 'If the chart does not tell, answer "unanswerable".'


class ChartQAPro(Released):
    """ChartQAPro: 1,948 questions about 1,341 charts, of five types (`category`: "Factoid", "Multi Choice", …).

    A conversation is asked as its last question, with the earlier ones and their right answers before it, as in
    published numbers. A question may come with a paragraph of text. Scored by a relaxed accuracy of its own, with
    graded scores: see `o3gym.judges.chartqapro`. `scoring="authors"` and `scoring="lmms-eval"` compare the whole
    answer, and need the quotes of a Python list to read a list; the authors' script compares choices like any text.

    Columns are those that the script and lmms-eval use; no rows were seen. The wording of the instructions is ours.
    """

    name: ClassVar[str] = "chartqapro"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "MIT (charts of third parties)"
    repository: ClassVar[str] = "ahmed-masry/ChartQAPro"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 1948}
    columns: ClassVar[tuple[str, ...]] = ("Question", "Answer", "Question Type", "Year", "image")
    grouped_by: ClassVar[str] = "Question Type"
    judge: ClassVar[str] = "chartqapro"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring("vis-nlp/ChartQAPro@8911d1b, evaluate_predictions.py", judge="chartqapro_released"),
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/chartqapro/utils.py", judge="chartqapro_harness"
        ),
    }
    measure: ClassVar[str] = "mean_score"

    def convert(self, row: TableRow) -> Task:
        """A question, or the last question of a conversation. Rows have no id."""
        kind = text(row, "Question Type")
        if kind not in INSTRUCTIONS:
            raise BadRow("Question Type", f"one of {', '.join(INSTRUCTIONS)}", kind)
        questions, answers = texts(row, "Question"), texts(row, "Answer")
        if kind == "Conversational" and len(questions) != len(answers):
            raise BadRow("Answer", f"{len(questions)} answers, one for each question", answers)
        question = with_history(questions, answers) if kind == "Conversational" else questions[-1]
        paragraph = row.get("Paragraph")
        context = [f"Context: {paragraph.strip()}"] if isinstance(paragraph, str) and paragraph.strip() else []
        years = texts(row, "Year")
        return Task(
            id="",
            sources=(packed(row),),
            question="\n".join([*context, question, INSTRUCTIONS[kind], UNANSWERABLE]),
            answer=answers[-1],
            tags={"category": kind},
            origin={
                "years": years[-1:] if kind == "Conversational" else years,
                "exact": kind in ("Multi Choice", "Fact Checking"),
            },
        )
