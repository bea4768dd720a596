"""`vstar-train`: training questions of V* (Wu and Xie 2023; craigwu/seal_vqa_data)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from o3gym.geometry import from_xywh, is_box
from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import boxes, clipped_box, text, unmarked
from o3gym.suites.released.separate_images import SeparateImages
from o3gym.suites.released.table import TableRow
from o3gym.types import Source, Target, Task


class VStarTrain(SeparateImages):
    """Training questions of V* (Wu and Xie 2023, craigwu/seal_vqa_data) with the boxes of the things they ask about.

    Only three of the six released files are used: those in which every row has such boxes. The pictures are those of
    COCO and GQA: pass the folder that contains them as `images`. Boxes are x, y, width and height in pixels; they are
    clipped to the picture, and skipped if they are empty or mostly outside. Only the first question of each
    conversation is used.
    """

    name: ClassVar[str] = "vstar-train"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated (pictures of COCO and GQA)"
    repository: ClassVar[str] = "craigwu/seal_vqa_data"
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        "train": ("[Gsv]*_data.json",)  # GQA_data, spatial_relation_data, vaw_attribute_data
    }
    columns: ClassVar[tuple[str, ...]] = ("image", "conversations", "target_instances")

    def convert(self, row: TableRow) -> Task:
        """The first question of a conversation."""
        name = text(row, "image")
        image = self.picture(name, Path(name).name)
        question, answer = _first_exchange(row)
        return Task(id="", sources=(image,), question=question, answer=answer, targets=_instances(row, image))


def _first_exchange(row: TableRow) -> tuple[str, str]:
    turns = row["conversations"]
    if not isinstance(turns, list) or len(turns) < 2 or not all(isinstance(turn, dict) for turn in turns):
        raise BadRow("conversations", "a list of at least a question and an answer", turns)
    values = [turn.get("value") for turn in turns[:2]]
    if not all(isinstance(value, str) and unmarked(value) for value in values):
        raise BadRow("conversations", 'a text as the "value" of each turn', values)
    question, answer = (unmarked(str(value)) for value in values)
    return question, answer


def _instances(row: TableRow, image: Source) -> tuple[Target, ...]:
    targets = []
    for thing in boxes(row["target_instances"], "target_instances"):
        if not isinstance(thing, dict) or not is_box(thing.get("bbox")) or not isinstance(thing.get("name"), str):
            raise BadRow("target_instances", '{"name": …, "bbox": [x, y, width, height]}', thing)
        box = clipped_box(from_xywh(thing["bbox"]), image, "target_instances")
        targets += [Target(box, label=thing["name"])] if box is not None else []
    return tuple(targets)
