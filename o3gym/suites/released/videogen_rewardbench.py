"""`videogen-rewardbench`: VideoGen-RewardBench (Liu et al. 2025; KwaiVGI/VideoGen-RewardBench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.registry import closest
from o3gym.suites.released.fields import text
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.video_pairs import VideoPairs, preference_of
from o3gym.types import Task

VIDEOGEN_DIMENSIONS: Mapping[str, str] = {
    "Overall": "Which video is better overall?",
    "VQ": "Which video has the better visual quality?",
    "MQ": "Which video has the better motion quality?",
    "TA": "Which video follows the prompt better?",
}
"""What people were asked, and the question in our words."""
COMPARED: Mapping[str, str] = {"TA": "temporal alignment", "VQ": "video quality", "MQ": "motion quality"}
"""The dimensions that VR-Thinker judges besides the overall quality, by their names in `Task.origin`."""
LABELS: Mapping[str, str] = {"A": "first", "B": "second", "same": "same"}


class VideoGenRewardBench(VideoPairs):
    """VideoGen-RewardBench: about 26,500 pairs of generated videos, of which people prefer one or none.

    `dimension` is "Overall", "VQ" (visual quality), "MQ" (motion quality) or "TA" (text alignment). The videos are in
    an archive of the repository (`videos.zip`), whose folder `videos` names. With "Overall", the preferences in the
    other dimensions are in `Task.origin["dimensions"]`, for the reward `dimensions_agree`. Models that score single
    videos are published with a threshold for ties that is fitted to the data; an answer that names a tie needs none.
    Columns are those of the hub's card and of the authors' code; no rows were seen.

    Args:
        dimension: what the preference is about.
    """

    name: ClassVar[str] = "videogen-rewardbench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    repository: ClassVar[str] = "KwaiVGI/VideoGen-RewardBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("videogen-rewardbench.csv",)}
    columns: ClassVar[tuple[str, ...]] = ("path_A", "path_B", "A_model", "B_model", "prompt", *VIDEOGEN_DIMENSIONS)

    def __init__(self, argument: str = "", split: str = "test", *, dimension: str = "Overall", **options: Any) -> None:
        if dimension not in VIDEOGEN_DIMENSIONS:
            known = ", ".join(VIDEOGEN_DIMENSIONS)
            raise ValueError(
                f'dimension: unknown "{dimension}"{closest(str(dimension), VIDEOGEN_DIMENSIONS)} (known: {known})'
            )
        self.dimension = dimension
        super().__init__(argument, split, **options)

    def category_of(self, row: TableRow) -> str:
        """The models of the pair, such as "kling1.5 minimax"."""
        return f"{text(row, 'A_model')} {text(row, 'B_model')}"

    def convert(self, row: TableRow) -> Task:
        """A pair of videos. Rows have no id."""
        prompt, preference = text(row, "prompt"), preference_of(row, self.dimension, LABELS)
        first, second = (self.video(text(row, field), field=field) for field in ("path_A", "path_B"))
        tags = {"models": self.category_of(row), "dimension": self.dimension}
        known = {name: row[key] for key, name in COMPARED.items() if row[key] in LABELS}
        origin = {"cluster": prompt, **({"dimensions": known} if self.dimension == "Overall" else {})}
        return self.pair(
            prompt, VIDEOGEN_DIMENSIONS[self.dimension], (first, second), preference, id="", tags=tags, origin=origin
        )
