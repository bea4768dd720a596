"""Sources of tasks to train on: `visual-cot`, `vstar-train`, `deepeyes-47k`, `infovqa-regions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from o3gym.geometry import from_xywh, is_box
from o3gym.media.embedded import item
from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import IMAGE_MARK, boxes, evidence, packed, picture, pixel_box, text, unmarked, word
from o3gym.suites.released.rows import TableRow
from o3gym.types import Source, Target, Task


class _Apart(Released):
    """Training data whose pictures are not in the hub's repository, or in archives there.

    Args:
        images: folder with the pictures; by default that of the data.
    """

    splits: ClassVar[tuple[str, ...]] = ("train",)

    def __init__(self, argument: str = "", split: str = "test", *, images: str = "", **options: Any) -> None:
        self.images = images
        super().__init__(argument, split, **options)

    def picture(self, *names: str) -> Source:
        """The first of these files that is there, in the folder of pictures."""
        root = Path(self.images) if self.images else self.root if self.root.is_dir() else self.folder
        for name in names[1:]:
            if (root / name).is_file():
                return Source.file(str(root / name))
        return picture(root, names[0], "image")


class VisualCoT(_Apart):
    """Visual CoT (Shao et al. 2024): questions with the box of the evidence, from twelve data sets.

    The rows are those of `metadata/*_cot_train.jsonl`. The pictures come in 128 GB of archives: unpack them, and name
    the folder that has one folder for each data set as `images`. Boxes are in pixels; several are several targets.
    `category` is the data set.
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
        return Task(
            id="",
            sources=(image,),
            question=text(row, "question"),
            answer=word(row, "answer"),
            targets=evidence(row, "bboxs", image),
            tags={"category": dataset},
        )


class VStarTrain(_Apart):
    """Training questions of V* (Wu and Xie 2023, craigwu/seal_vqa_data) that have the boxes of what they are about.

    Of its six files the three whose rows all have such boxes. Pictures are those of COCO and GQA: name the folder that
    has them as `images`. Boxes are x, y, width and height in pixels. The first question of a conversation is taken.
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


class DeepEyes47k(Released):
    """The training set of DeepEyes (Zheng et al. 2025): 47,000 questions in three files, with their pictures.

    `category` is the kind of data (`data_source`). Pictures are lists in cells, one for each mark in the prompt. Some
    are smaller than 28 pixels; Qwen2.5-VL cannot read those, and DeepEyes leaves them out.
    """

    name: ClassVar[str] = "deepeyes-47k"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("train",)
    licence: ClassVar[str] = "Apache-2.0 (pictures of each data set under its own)"
    repository: ClassVar[str] = "ChenShawn/DeepEyes-Datasets-47k"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"train": ("data*.parquet", "data/*.parquet")}
    columns: ClassVar[tuple[str, ...]] = ("data_source", "prompt", "images", "reward_model")
    grouped_by: ClassVar[str] = "data_source"
    pictures: ClassVar[tuple[str, ...]] = ("images",)

    def convert(self, row: TableRow) -> Task:
        """The question of a prompt, without its system prompt and marks."""
        asked = _last_of_user(row)
        cell = packed(row, "images")
        truth = row["reward_model"].get("ground_truth") if isinstance(row["reward_model"], dict) else None
        extra = row.get("extra_info") if isinstance(row.get("extra_info"), dict) else {}
        question = (extra.get("question") if extra else None) or asked
        return Task(
            id="",
            sources=tuple(item(cell, number) for number in range(max(1, asked.count(IMAGE_MARK)))),
            question=unmarked(str(question)),
            answer=word({"ground_truth": truth}, "ground_truth"),
            tags={"category": text(row, "data_source")},
        )


class InfoVQARegions(Released):
    """Regions of infographics by their descriptions (InSight-o3; m-Just/InfoVQA_RegionLocalization): region search.

    10,186 rows with one box each, in pixels.
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
        """A description, and its box; several rows are about one picture and share its `question_id`."""
        image = packed(row)
        target = Target(pixel_box(row["bbox"], image, "bbox"), label=text(row, "region_description"))
        return Task(id="", sources=(image,), question=text(row, "region_description"), targets=(target,), kind="box")


def _first_exchange(row: TableRow) -> tuple[str, str]:
    said = row["conversations"]
    if not isinstance(said, list) or len(said) < 2 or not all(isinstance(turn, dict) for turn in said):
        raise BadRow("conversations", "a list of at least a question and an answer", said)
    values = [turn.get("value") for turn in said[:2]]
    if not all(isinstance(value, str) and unmarked(value) for value in values):
        raise BadRow("conversations", 'a text as the "value" of each turn', values)
    question, answer = (unmarked(str(value)) for value in values)
    return question, answer


def _instances(row: TableRow, image: Source) -> tuple[Target, ...]:
    found = []
    for thing in boxes(row["target_instances"], "target_instances"):
        if not isinstance(thing, dict) or not is_box(thing.get("bbox")) or not isinstance(thing.get("name"), str):
            raise BadRow("target_instances", '{"name": …, "bbox": [x, y, width, height]}', thing)
        found.append(Target(pixel_box(from_xywh(thing["bbox"]), image, "target_instances"), label=thing["name"]))
    return tuple(found)


def _last_of_user(row: TableRow) -> str:
    prompt: Any = row["prompt"]
    turns = prompt if isinstance(prompt, list) else []
    said = [turn["content"] for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    if not said or not isinstance(said[-1], str) or not unmarked(said[-1]):
        raise BadRow("prompt", "messages, one of the user among them", prompt)
    return str(said[-1])
