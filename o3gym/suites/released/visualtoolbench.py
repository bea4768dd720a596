"""`visualtoolbench`: VisualToolBench (Guo et al. 2025, "Beyond Seeing"; ScaleAI/VisualToolBench)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.media.embedded import item
from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import packed, text, texts, word
from o3gym.suites.released.history import with_history
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class VisualToolBench(Released):
    """VisualToolBench: 1,204 open questions about photographs that must be cropped, turned or enhanced to be read.

    An answer is judged by a rubric of weighted items, which needs a model: `--judge rubric:MODEL`. The published
    metrics are the share of tasks with all critical items met (APR, the accuracy of reports) and the mean share of the
    items met, by weight (ARS). Without a model, only an answer that equals the reference answer has a verdict.

    603 rows have one question. The 601 conversations (`category=multi-turn`) are asked as their last question, with the
    earlier ones and their right answers before it, and judged by the rubric of that question. For published numbers,
    the model answers every question, and the rubrics of all of them count; only `category=single-turn` can be compared
    with those. The released tools also search the web and run Python.

    Columns are those of the hub's current card and of the released scripts; no rows were seen. Two earlier versions of
    the file have other columns (`prompt`, `golden_answer`, `rubrics`) and are refused.
    """

    name: ClassVar[str] = "visualtoolbench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    wants_judge: ClassVar[str] = "answers are judged by a rubric: add --judge rubric:MODEL"
    repository: ClassVar[str] = "ScaleAI/VisualToolBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test*.parquet", "test.parquet")}
    substitutes: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("vistoolbench_1204.parquet", "data/*.parquet")}
    counts: ClassVar[Mapping[str, int]] = {"test": 1204}
    columns: ClassVar[tuple[str, ...]] = (
        "id",
        "turncase",
        "prompt_category",
        "turn_prompts",
        "turn_golden_answers",
        "rubrics_by_turn",
        "images",
        "num_images",
    )
    grouped_by: ClassVar[str] = "turncase"
    pictures: ClassVar[tuple[str, ...]] = ("images", "images_by_turn", "image")
    identity: ClassVar[tuple[str, ...]] = ("id",)
    judge: ClassVar[str] = "golden"
    measure: ClassVar[str] = "visualtoolbench"

    def convert(self, row: TableRow) -> Task:
        """A question, or the last question of a conversation, about all pictures of the row."""
        pictures, count = packed(row, "images"), row["num_images"]
        if type(count) is not int or count < 1:
            raise BadRow("num_images", "the number of pictures, from 1 up", count)
        prompts, answers = texts(row, "turn_prompts"), texts(row, "turn_golden_answers")
        rubrics = row["rubrics_by_turn"]
        if not isinstance(rubrics, list) or not len(prompts) == len(answers) == len(rubrics):
            raise BadRow("rubrics_by_turn", f"{len(prompts)} rubrics, one for each question", rubrics)
        return Task(
            id=word(row, "id"),
            sources=tuple(item(pictures, number) for number in range(count)),
            question=with_history(prompts, answers),
            answer=answers[-1],
            tags={"category": text(row, "turncase"), "domain": text(row, "prompt_category")},
            origin={"rubric": _rubric(rubrics[-1])},
        )


def _rubric(value: object) -> list[dict[str, Any]]:
    """The items of a rubric from its JSON text, an object of objects with a description and a weight."""
    try:
        items = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise BadRow("rubrics_by_turn", "JSON", value) from error
    rubric = list(items.values()) if isinstance(items, dict) else []
    if not rubric or not all(_is_item(entry) for entry in rubric):
        raise BadRow("rubrics_by_turn", "an object of items with a description and a weight from 1 up", value)
    return [{"description": entry["description"], "weight": float(entry["weight"])} for entry in rubric]


def _is_item(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("description"), str):
        return False
    weight = entry.get("weight")
    return isinstance(weight, (int, float)) and not isinstance(weight, bool) and weight >= 1
