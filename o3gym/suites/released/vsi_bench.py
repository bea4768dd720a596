"""`vsi-bench`: VSI-Bench (Yang et al. 2024, "Thinking in Space"; nyu-visionx/VSI-Bench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import ReleasedScoring
from o3gym.suites.released.fields import text, word
from o3gym.suites.released.options import letter, lettered
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import VideoSuite
from o3gym.types import Task

NUMBER_TYPES = ("object_abs_distance", "object_counting", "object_size_estimation", "room_size_estimation")
"""Types of questions whose answer is a number."""
OPTION_TYPES = (
    *(f"object_rel_direction_{level}" for level in ("easy", "medium", "hard")),
    *("object_rel_distance", "route_planning", "obj_appearance_order"),
)
"""Types of questions with options."""
A_NUMBER = "Answer with a number."


class VSIBench(VideoSuite):
    """VSI-Bench: 5,130 questions about space in videos of 288 rooms, with options or with a number as the answer.

    A number is scored by its mean relative accuracy, see `o3gym.judges.videos.mra`. Published numbers are the mean over
    eight types; `category` is one of ten, which tell three levels of `object_rel_direction` apart.
    `scoring="authors"` reads the answer up to its first space. A video is named by `dataset` and `scene_name`
    (`scannet/scene0011_00.mp4`). Columns are those of lmms-eval's code and of a copy's card; no rows were seen.
    """

    name: ClassVar[str] = "vsi-bench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0 (videos of ScanNet, ScanNet++ and ARKitScenes)"
    repository: ClassVar[str] = "nyu-visionx/VSI-Bench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("test-*.parquet", "test.jsonl")}
    counts: ClassVar[Mapping[str, int]] = {"test": 5130}
    columns: ClassVar[tuple[str, ...]] = (
        *("id", "dataset", "scene_name", "question_type", "question", "options", "ground_truth"),
    )
    grouped_by: ClassVar[str] = "question_type"
    identity: ClassVar[tuple[str, ...]] = ("id",)
    judge: ClassVar[str] = "mra"
    measure: ClassVar[str] = "vsi_bench"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "authors": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval@0ae0b9f, lmms_eval/tasks/vsibench/utils.py", judge="vsi_bench_released"
        )
    }

    @property
    def kinds(self) -> frozenset[str]:
        """Options and free answers."""
        return frozenset({"choice", "free"})

    def convert(self, row: TableRow) -> Task:
        """A question with options or with a number as its answer."""
        kind, question = text(row, "question_type"), text(row, "question")
        if kind not in NUMBER_TYPES + OPTION_TYPES:
            raise BadRow("question_type", f"one of {', '.join(NUMBER_TYPES + OPTION_TYPES)}", kind)
        scene = f"{text(row, 'dataset')}/{text(row, 'scene_name')}"
        choices = lettered(row["options"], "options") if kind in OPTION_TYPES else ()
        return Task(
            id=word(row, "id"),
            sources=(self.video(scene, field="scene_name"),),
            question=question if choices else f"{question}\n{A_NUMBER}",
            answer=letter(row, "ground_truth", choices) if choices else _number(row),
            choices=choices,
            kind="choice" if choices else "free",
            tags={"category": kind},
            origin={"cluster": scene},
        )


def _number(row: TableRow) -> str:
    value = word(row, "ground_truth")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise BadRow("ground_truth", "a number from 0 up", row["ground_truth"])
    return value
