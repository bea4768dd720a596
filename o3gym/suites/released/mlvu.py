"""`mlvu`: the multiple-choice questions of MLVU, development set (Zhou et al. 2024; MLVU/MVLU)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.base import ReleasedScoring
from o3gym.suites.released.fields import text
from o3gym.suites.released.file_names import FILE_COLUMN, FileNames
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import VideoSuite, letter_of, listed_options
from o3gym.types import Task


class MLVU(FileNames, VideoSuite):
    """MLVU, development set: questions with four options, of seven tasks, about videos of 3 minutes to 2 hours.

    There is a file for each task (`1_plotQA.json`, …), and `category` is the name of the file. The two tasks with
    answers in sentences are left out, because they are scored by a model. Published numbers are the mean over tasks
    (M-Avg). A video is looked for in the folder of its task (`video/1_plotQA`). `scoring="lmms-eval"` reads the first
    capital A to D. The form of the files is that of VLMEvalKit's code; no rows were seen.
    """

    name: ClassVar[str] = "mlvu"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0"
    repository: ClassVar[str] = "MLVU/MVLU"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("MLVU/json/[1-7]_*.json", "json/[1-7]_*.json")}
    columns: ClassVar[tuple[str, ...]] = ("video", "question", "candidates", "answer")
    grouped_by: ClassVar[str] = FILE_COLUMN
    measure: ClassVar[str] = "category_mean"
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {
        "lmms-eval": ReleasedScoring(
            "EvolvingLMMs-Lab/lmms-eval@025f016, lmms_eval/tasks/mlvu/utils.py", judge="first_capital"
        )
    }

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    def convert(self, row: TableRow) -> Task:
        """A question with options, of which the answer is one. Rows have no id."""
        name, task = text(row, "video"), text(row, FILE_COLUMN)
        choices = listed_options(row["candidates"], "candidates")
        return Task(
            id="",
            sources=(self.video(f"{task}/{name}"),),
            question=text(row, "question"),
            answer=letter_of(row, "answer", choices),
            choices=choices,
            kind="choice",
            tags={"category": task},
            origin={"cluster": f"{task}/{name}"},
        )
