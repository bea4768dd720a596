"""`mathvista-testmini`: MathVista (Lu et al. 2024), the split with public answers; AI4Math/MathVista."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import BY_MODEL, Released, ReleasedScoring
from o3gym.suites.released.fields import packed, text, word
from o3gym.suites.released.table import TableRow
from o3gym.types import LETTERS, Task

NUMBERS = ("integer", "float", "list")
"""Forms of free answers (`answer_type`)."""


class MathVistaTestmini(Released):
    """MathVista, testmini: 1,000 mathematical questions about figures, 540 of them with options.

    As in the released prompts, the question states the unit and the form of a free answer: a whole number, a number
    with so many decimals, or a list. `category` is one of the five tasks ("geometry problem solving", …).

    Published numbers come from a model that extracts the answer from the reply. `scoring="authors"` is the released
    comparison that follows the extraction, applied to the answer as it is.

    Columns are those of the hub's card and of lmms-eval's code; no rows were seen in this form.
    """

    name: ClassVar[str] = "mathvista-testmini"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-SA 4.0"
    wants_judge: ClassVar[str] = BY_MODEL
    repository: ClassVar[str] = "AI4Math/MathVista"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/testmini-*.parquet",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 1000}
    columns: ClassVar[tuple[str, ...]] = (
        "pid",
        "question",
        "decoded_image",
        "choices",
        "unit",
        "precision",
        "answer",
        "question_type",
        "answer_type",
        "metadata",
    )
    pictures: ClassVar[tuple[str, ...]] = ("decoded_image",)
    identity: ClassVar[tuple[str, ...]] = ("pid",)
    judge: ClassVar[str] = "mathvista"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring("lupantech/MathVista@2a249bb, evaluation/calculate_score.py", "mathvista_released")
    }

    @property
    def kinds(self) -> frozenset[str]:
        """Options and free answers."""
        return frozenset({"choice", "free"})

    def category_of(self, row: TableRow) -> str:
        """The task of a question; "" if it is not stated."""
        metadata = row["metadata"]
        return str(metadata.get("task") or "") if isinstance(metadata, dict) else ""

    def convert(self, row: TableRow) -> Task:
        """A question with options or with a free answer."""
        kind = row["question_type"]
        if kind not in ("multi_choice", "free_form"):
            raise BadRow("question_type", '"multi_choice" or "free_form"', kind)
        unit = row.get("unit")
        question = text(row, "question") + (f" (Unit: {unit})" if isinstance(unit, str) and unit else "")
        fields = _options(row) if kind == "multi_choice" else _free(row)
        return Task(
            id=word(row, "pid"),
            sources=(packed(row, "decoded_image"),),
            question="\n".join([question, *fields.pop("form")]),
            tags={"category": self.category_of(row)},
            **fields,
        )


def _options(row: TableRow) -> dict[str, Any]:
    choices, answer = row["choices"], word(row, "answer")
    if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(choice, str) for choice in choices):
        raise BadRow("choices", "at least two texts", choices)
    if answer not in [choice.strip() for choice in choices]:
        raise BadRow("answer", f"one of the options {choices}", row["answer"])
    right = LETTERS[[choice.strip() for choice in choices].index(answer)]
    return {"form": [], "answer": right, "choices": tuple(choices), "kind": "choice"}


def _free(row: TableRow) -> dict[str, Any]:
    form, precision = row["answer_type"], row.get("precision")
    if form not in NUMBERS and form != "text":
        raise BadRow("answer_type", '"integer", "float", "list" or "text"', form)
    places = int(precision) if isinstance(precision, (int, float)) else 0
    if form == "float" and places < 1:
        raise BadRow("precision", "the number of decimal places of the answer", precision)
    origin = {"answer_type": form, **({"precision": places} if form == "float" else {})}
    return {"form": _instruction(form, places), "answer": word(row, "answer"), "origin": origin}


def _instruction(form: str, places: int) -> list[str]:
    """An instruction on the form of the answer, in our words."""
    if form == "integer":
        return ["Answer with a whole number."]
    if form == "float":
        return [f"Answer with a number with {places} decimal place{'s' * (places != 1)}."]
    return ["Answer with a list in brackets, such as [1, 2]."] if form == "list" else []
