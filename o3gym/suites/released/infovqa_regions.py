"""`infovqa-regions`: region search on infographics (InSight-o3; m-Just/InfoVQA_RegionLocalization)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import clipped_box, packed, picture_size, text
from o3gym.suites.released.table import TableRow
from o3gym.types import Target, Task


class InfoVQARegions(Released):
    """Region search: descriptions of regions of infographics (InSight-o3; m-Just/InfoVQA_RegionLocalization).

    10,186 rows with one box each, in pixels, clipped to the picture. A row whose box is empty or mostly outside is
    refused, because a region search without a target asks for something that is not in the picture.
    """

    name: ClassVar[str] = "infovqa-regions"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("train",)
    licence: ClassVar[str] = "terms of the Robust Reading Competition"
    repository: ClassVar[str] = "m-Just/InfoVQA_RegionLocalization"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"train": ("data/train-*.parquet", "*.parquet")}
    counts: ClassVar[Mapping[str, int]] = {"train": 10_186}
    columns: ClassVar[tuple[str, ...]] = ("question_id", "image", "region_description", "bbox")

    def convert(self, row: TableRow) -> Task:
        """A description and its box. `question_id` is not unique: several rows may be about one picture."""
        image, description = packed(row), text(row, "region_description")
        box = clipped_box(row["bbox"], image, "bbox")
        if box is None:
            width, height = picture_size(image, "image")
            raise BadRow("bbox", f"x0 < x1 and y0 < y1 inside the picture of {width}×{height} pixels", row["bbox"])
        return Task(
            id="", sources=(image,), question=description, targets=(Target(box, label=description),), kind="box"
        )
