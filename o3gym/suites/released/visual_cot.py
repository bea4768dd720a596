"""`visual-cot`: Visual CoT (Shao et al. 2024; deepcs233/Visual-CoT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.suites.released.fields import boxes, clipped_box, text, word
from o3gym.suites.released.separate_images import SeparateImages
from o3gym.suites.released.table import TableRow
from o3gym.types import Target, Task


class VisualCoT(SeparateImages):
    """Visual CoT (Shao et al. 2024): questions from twelve data sets, with the boxes of their evidence.

    Rows come from `metadata/*_cot_train.jsonl`. The pictures come in 128 GB of archives: unpack them, and pass the
    folder that contains one folder per data set as `images`. `category` is the data set.

    Boxes are in pixels, and each becomes one target, clipped to the picture. A box is skipped if it is empty or lies
    mostly outside of the picture, as 6% of those of DUDE do. A question without any other box is used without a target:
    question and answer do not depend on the box, and rewards for regions are 0 without targets.
    """

    name: ClassVar[str] = "visual-cot"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0 (pictures of each data set under its own)"
    repository: ClassVar[str] = "deepcs233/Visual-CoT"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"train": ("metadata/*_cot_train.jsonl", "*_cot_train.jsonl")}
    columns: ClassVar[tuple[str, ...]] = ("question", "answer", "image", "bboxs", "dataset")
    grouped_by: ClassVar[str] = "dataset"

    def convert(self, row: TableRow) -> Task:
        """A question with the boxes of its evidence."""
        dataset, name = text(row, "dataset"), text(row, "image")
        image = self.picture(f"{dataset}/{name}", f"cot/{dataset}/{name}", f"cot_image_data/{dataset}/{name}", name)
        clipped = [clipped_box(box, image, "bboxs") for box in boxes(row["bboxs"], "bboxs")]
        return Task(
            id="",
            sources=(image,),
            question=text(row, "question"),
            answer=word(row, "answer"),
            targets=tuple(Target(box) for box in clipped if box is not None),
            tags={"category": dataset},
        )
