"""`mmvu`: MMVU (Zhao et al. 2025; yale-nlp/MMVU)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import BY_MODEL
from o3gym.suites.released.fields import text, word
from o3gym.suites.released.options import columns_of_options, letter
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import VideoSuite
from o3gym.types import Task


class MMVU(VideoSuite):
    """MMVU: 1,000 expert-level questions about videos of 27 subjects, with five options or with a free answer.

    The split `test` is the hub's validation set, because the answers of the test set are not public. `category` is the
    subject. The videos are in the hub repository (`videos/SUBJECT/NUMBER.mp4`), but have to be downloaded apart from
    this suite, which takes their folder as `videos`. Published numbers come from a model that compares each answer.
    Rows were seen in the authors' repository.
    """

    name: ClassVar[str] = "mmvu"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "unknown"
    wants_judge: ClassVar[str] = BY_MODEL
    repository: ClassVar[str] = "yale-nlp/MMVU"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("validation.json", "data/validation.json")}
    counts: ClassVar[Mapping[str, int]] = {"test": 1000}
    columns: ClassVar[tuple[str, ...]] = ("id", "video", "question_type", "metadata", "question", "choices", "answer")
    identity: ClassVar[tuple[str, ...]] = ("id",)

    @property
    def kinds(self) -> frozenset[str]:
        """Options and free answers."""
        return frozenset({"choice", "free"})

    def category_of(self, row: TableRow) -> str:
        """The subject of a question."""
        return text(_object(row, "metadata"), "subject")

    def convert(self, row: TableRow) -> Task:
        """A question with five options or with a free answer."""
        kind = row["question_type"]
        if kind not in ("multiple-choice", "open-ended"):
            raise BadRow("question_type", '"multiple-choice" or "open-ended"', kind)
        subject, number = (["", *urlsplit(text(row, "video")).path.split("/")])[-2:]
        choices = columns_of_options(_object(row, "choices"), "ABCDE") if kind == "multiple-choice" else ()
        return Task(
            id=word(row, "id"),
            sources=(self.video(f"{subject}/{number}"),),
            question=text(row, "question"),
            answer=letter(row, "answer", choices) if choices else word(row, "answer"),
            choices=choices,
            kind="choice" if choices else "free",
            tags={"category": self.category_of(row)},
            origin={"cluster": f"{subject}/{number}"},
        )


def _object(row: TableRow, field: str) -> Mapping[str, Any]:
    value = row[field]
    if not isinstance(value, dict):
        raise BadRow(field, "an object", value)
    return value
