"""`refcoco`, `refcoco+`, `refcocog`: referring expressions (Yu et al. 2016; Mao et al. 2016; lmms-lab's copies)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.geometry import from_xywh, is_box
from o3gym.suites.base import BadRow
from o3gym.suites.released.exploded import Exploded
from o3gym.suites.released.fields import packed, pixel_box, text, word
from o3gym.suites.released.table import TableRow
from o3gym.types import Target, Task


class RefCOCO(Exploded):
    """RefCOCO: find what an expression describes in a picture of COCO. The answer is a box, right from IoU 0.5.

    The file has one row for each thing, with its box and all expressions for it; each expression is a task, as in
    published numbers. Boxes are x, y, width and height in pixels. The bootstrap resamples things.

    Papers report the splits of UNC: `val` (10,834 expressions), `testA` (5,657, people) and `testB` (5,095, other
    things). By its 8,811 rows, `val` of the hub has the 5,000 things of Google's validation split besides the 3,811 of
    UNC's; there is no column that tells them apart. Google's `test` split is not offered. No rows were seen: columns
    are those of the hub's card, and expressions are counted by the papers.
    """

    name: ClassVar[str] = "refcoco"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("val", "testA", "testB")
    licence: ClassVar[str] = "not stated (pictures of COCO)"
    repository: ClassVar[str] = "lmms-lab/RefCOCO"
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        split: (f"data/{split}-*.parquet",) for split in ("val", "testA", "testB")
    }
    counts: ClassVar[Mapping[str, int]] = {"testA": 5657, "testB": 5095}
    columns: ClassVar[tuple[str, ...]] = ("question_id", "image", "answer", "bbox")
    exploded: ClassVar[str] = "answer"
    measure: ClassVar[str] = "refcoco"

    def convert(self, row: TableRow) -> Task:
        """An expression and its box."""
        image, expression, box = packed(row), text(row, "answer"), row["bbox"]
        if not is_box(box):
            raise BadRow("bbox", "[x, y, width, height] of four numbers", box)
        return Task(
            id="",
            sources=(image,),
            question=expression,
            targets=(Target(pixel_box(from_xywh(box), image, "bbox"), label=expression),),
            kind="box",
            origin={"cluster": word(row, "question_id")},
        )


class RefCOCOPlus(RefCOCO):
    """RefCOCO+: expressions without words for places ("left", "in front"). Everything else is as in `RefCOCO`.

    All splits are UNC's; `val` has 10,758 expressions.
    """

    name: ClassVar[str] = "refcoco+"
    repository: ClassVar[str] = "lmms-lab/RefCOCOplus"
    counts: ClassVar[Mapping[str, int]] = {"val": 10_758, "testA": 5726, "testB": 4889}


class RefCOCOg(RefCOCO):
    """RefCOCOg: longer expressions. Everything else is as in `RefCOCO`.

    Papers report the splits of UMD: `val` (4,896 expressions) and `test` (9,602). By its 7,573 rows, `val` of the hub
    has the 5,000 things of Google's validation split besides the 2,573 of UMD's.
    """

    name: ClassVar[str] = "refcocog"
    splits: ClassVar[tuple[str, ...]] = ("val", "test")
    repository: ClassVar[str] = "lmms-lab/RefCOCOg"
    files: ClassVar[Mapping[str, Sequence[str]]] = {split: (f"data/{split}-*.parquet",) for split in ("val", "test")}
    counts: ClassVar[Mapping[str, int]] = {"test": 9602}
