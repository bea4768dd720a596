"""`zoombench`: ZoomBench (Wei et al. 2026, "Zooming without Zooming"; inclusionAI/ZoomBench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.geometry import clamp, is_box, is_empty
from o3gym.suites.base import BadRow
from o3gym.suites.released.base import BY_MODEL, Released
from o3gym.suites.released.fields import boxes, packed, pixel_box, text, unmarked, word
from o3gym.suites.released.options import OPTION, letter, lettered_lines
from o3gym.suites.released.table import TableRow
from o3gym.types import Box, Source, Target, Task


class ZoomBench(Released):
    """ZoomBench: 845 questions about small things in large pictures, each with the box of its evidence.

    621 questions have options ("mcq"), 224 ask for a word or a number ("blank"); `category` is this type. The evidence
    box is the task's target, so reports show how much of it was viewed. The file also has the picture cropped to the
    box (`crop_image`), which is not used: the control `+oracle_crop` shows the same region.

    Published numbers are judged by a model where the answers differ. No rows were seen. The columns are those that
    programs for this file use, and none of them reads `bbox`. It is taken as x0, y0, x1, y1 in pixels of the picture,
    or in fractions of it if no number exceeds 1.
    """

    name: ClassVar[str] = "zoombench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    wants_judge: ClassVar[str] = BY_MODEL
    repository: ClassVar[str] = "inclusionAI/ZoomBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test*.parquet", "test*.parquet")}
    counts: ClassVar[Mapping[str, int]] = {"test": 845}
    columns: ClassVar[tuple[str, ...]] = ("id", "image", "query", "response", "bbox", "question_type")
    grouped_by: ClassVar[str] = "question_type"
    pictures: ClassVar[tuple[str, ...]] = ("image", "crop_image")
    identity: ClassVar[tuple[str, ...]] = ("id",)
    measure: ClassVar[str] = "zoombench"

    @property
    def kinds(self) -> frozenset[str]:
        """Options and free answers."""
        return frozenset({"choice", "free"})

    def convert(self, row: TableRow) -> Task:
        """A question and the box of its evidence."""
        kind = text(row, "question_type").lower()
        if kind not in ("mcq", "blank"):
            raise BadRow("question_type", '"mcq" or "blank"', row["question_type"])
        image, question = packed(row), unmarked(text(row, "query"))
        fields = _options(row, question) if kind == "mcq" else {"question": question, "answer": word(row, "response")}
        return Task(
            id=word(row, "id"),
            sources=(image,),
            targets=tuple(Target(_box(box, image)) for box in _boxes(row)),
            tags={"category": kind},
            **fields,
        )


def _options(row: TableRow, query: str) -> dict[str, Any]:
    question, choices = lettered_lines(query, "query")
    response = word(row, "response")
    stated = OPTION.match(response)
    right = letter({"response": stated[1] if stated and stated[2] else response}, "response", choices)
    return {"question": question, "choices": choices, "answer": right, "kind": "choice"}


def _boxes(row: TableRow) -> list[Any]:
    found = boxes(row["bbox"], "bbox")
    return [found] if is_box(found) else found


def _box(box: object, image: Source) -> Box:
    if is_box(box) and not is_empty(box) and max(box) <= 1:  # type: ignore[call-overload, arg-type]
        return clamp(box)  # type: ignore[arg-type]
    return pixel_box(box, image, "bbox")
