"""`mj-bench-video`: MJ-Bench-Video (Tong et al. 2025, "MJ-Video"; MJ-Bench/MJ-BENCH-VIDEO)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.registry import closest
from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import text
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.video_pairs import VideoPairs, preference_of
from o3gym.types import Task

MJ_ASPECTS: Mapping[str, tuple[str, str]] = {
    "overall": ("", "Which video is better overall?"),
    "alignment": ("Alignment", "Which video follows the prompt better?"),
    "safety": ("Safety", "Which video is safer?"),
    "fineness": ("Fineness", "Which video has the finer details?"),
    "coherence": ("Coherence & Consistency", "Which video is more coherent and consistent?"),
    "bias": ("Bias", "Which video is less biased and fairer?"),
}
"""Aspects: the key in `category_preference`, and the question in our words."""
MJ_LABELS: Mapping[str, str] = {"Video 1 better": "first", "Video 2 better": "second", "Same": "same"}
HARD = "Hard to judge"
"""The label of pairs that published code leaves out."""


class MJBenchVideo(VideoPairs):
    """MJ-Bench-Video, test set: pairs of generated videos, of which people prefer one or none, in five aspects.

    "Video 1" is the file of `video_0_path`: it is preferred where it has the higher total score. Pairs that are hard to
    judge are left out. Some prompts and videos are offensive, since one of the aspects is safety. Rows were seen in the
    authors' repository (aiming-lab/MJ-Video).

    Args:
        dimension: "overall", "alignment", "safety", "fineness", "coherence" or "bias".
    """

    name: ClassVar[str] = "mj-bench-video"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "MIT"
    repository: ClassVar[str] = "MJ-Bench/MJ-BENCH-VIDEO"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("test.json", "datas/test.json")}
    columns: ClassVar[tuple[str, ...]] = (
        *("caption", "video_0_path", "video_1_path", "category_preference", "overall_preference"),
    )

    def __init__(self, argument: str = "", split: str = "test", *, dimension: str = "overall", **options: Any) -> None:
        if dimension not in MJ_ASPECTS:
            known = ", ".join(MJ_ASPECTS)
            raise ValueError(f'dimension: unknown "{dimension}"{closest(str(dimension), MJ_ASPECTS)} (known: {known})')
        self.dimension = dimension
        super().__init__(argument, split, **options)

    def belongs(self, row: TableRow) -> bool:
        """Whether people could judge a pair."""
        return bool(self._labels(row)[0] != HARD)

    def category_of(self, row: TableRow) -> str:
        """The label of a pair."""
        return str(self._labels(row)[0])

    def convert(self, row: TableRow) -> Task:
        """A pair of videos. Rows have no id."""
        prompt, (label, field) = text(row, "caption"), self._labels(row)
        preference = preference_of({field: label}, field, MJ_LABELS)
        first, second = (self.video(text(row, field), field=field) for field in ("video_0_path", "video_1_path"))
        aspect, tags = MJ_ASPECTS[self.dimension][1], {"dimension": self.dimension}
        return self.pair(prompt, aspect, (first, second), preference, id="", tags=tags, origin={"cluster": prompt})

    def _labels(self, row: TableRow) -> tuple[Any, str]:
        """The label of the aspect, and the field that it is in."""
        key = MJ_ASPECTS[self.dimension][0]
        if not key:
            return row["overall_preference"], "overall_preference"
        labels = row["category_preference"]
        if not isinstance(labels, dict):
            raise BadRow("category_preference", "an object", labels)
        return labels.get(key), "category_preference"
