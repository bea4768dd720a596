"""`visualprobe-easy`, `-medium`, `-hard`, `-train`: VisualProbe (Lai et al. 2025, "Mini-o3"; Mini-o3/VisualProbe_*)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import BY_MODEL, Released
from o3gym.suites.released.fields import IMAGE_MARK, text, unmarked, word
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class VisualProbeEasy(Released):
    """VisualProbe, easy: 141 questions with short free-text answers, about small things in large pictures.

    Picture paths begin with the repository's name ("VisualProbe_Easy/data/1.jpg"); the data folder may be the
    repository or its parent. Published numbers are means over 32 samples at temperature 1 (`-k 32 --temperature 1`).
    """

    name: ClassVar[str] = "visualprobe-easy"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "CC BY-NC 4.0"
    wants_judge: ClassVar[str] = BY_MODEL
    repository: ClassVar[str] = "Mini-o3/VisualProbe_Easy"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("val.json", "VisualProbe_Easy/val.json", "data/*")}
    counts: ClassVar[Mapping[str, int]] = {"test": 141}
    columns: ClassVar[tuple[str, ...]] = ("problem", "solution", "images", "doc_id")
    grouped_by: ClassVar[str] = "data_source"
    identity: ClassVar[tuple[str, ...]] = ("doc_id",)

    def convert(self, row: TableRow) -> Task:
        """A question about one picture."""
        names = row["images"]
        if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
            raise BadRow("images", "a list of one path", names)
        path = Path(names[0])
        inside = Path(*path.parts[1:]) if path.parts[0] == self.repository.partition("/")[2] else path
        problem = text(row, "problem")
        question = unmarked(problem)
        if problem.count(IMAGE_MARK) != 1 or not question:
            raise BadRow("problem", f"a question with one {IMAGE_MARK}", problem)
        return Task(
            id=word(row, "doc_id"),
            sources=(self.picture(str(inside), field="images"),),
            question=question,
            answer=word(row, "solution"),
            tags={"category": self.category_of(row)} if self.category_of(row) else {},
        )


class VisualProbeMedium(VisualProbeEasy):
    """VisualProbe, medium: 268 questions in the format of `VisualProbeEasy`."""

    name: ClassVar[str] = "visualprobe-medium"
    repository: ClassVar[str] = "Mini-o3/VisualProbe_Medium"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("val.json", "VisualProbe_Medium/val.json", "data/*")}
    counts: ClassVar[Mapping[str, int]] = {"test": 268}


class VisualProbeHard(VisualProbeEasy):
    """VisualProbe, hard: 106 questions in the format of `VisualProbeEasy`."""

    name: ClassVar[str] = "visualprobe-hard"
    repository: ClassVar[str] = "Mini-o3/VisualProbe_Hard"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("val.json", "VisualProbe_Hard/val.json", "data/*")}
    counts: ClassVar[Mapping[str, int]] = {"test": 106}


class VisualProbeTrain(VisualProbeEasy):
    """The training set of VisualProbe: 4,000 questions."""

    name: ClassVar[str] = "visualprobe-train"
    splits: ClassVar[tuple[str, ...]] = ("train",)
    repository: ClassVar[str] = "Mini-o3/VisualProbe_train"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"train": ("train.json", "VisualProbe_train/train.json", "data/*")}
    counts: ClassVar[Mapping[str, int]] = {"train": 4000}
