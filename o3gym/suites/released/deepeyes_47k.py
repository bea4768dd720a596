"""`deepeyes-47k`: the training set of DeepEyes (Zheng et al. 2025; ChenShawn/DeepEyes-Datasets-47k)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.media.embedded import item
from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import IMAGE_MARK, packed, text, unmarked, word
from o3gym.suites.released.table import TableRow
from o3gym.types import Task


class DeepEyes47k(Released):
    """The training set of DeepEyes (Zheng et al. 2025): 47,000 questions in three files, pictures included.

    `category` is the kind of data (`data_source`). A cell holds a list of pictures, one for each image mark in the
    prompt. Some pictures are smaller than 28 pixels, which Qwen2.5-VL cannot read; DeepEyes leaves those out.
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
        """The question of a prompt, without the system prompt and the image marks."""
        prompt = _last_user_message(row)
        cell = packed(row, "images")
        truth = row["reward_model"].get("ground_truth") if isinstance(row["reward_model"], dict) else None
        extra = row.get("extra_info") if isinstance(row.get("extra_info"), dict) else {}
        question = (extra.get("question") if extra else None) or prompt
        return Task(
            id="",
            sources=tuple(item(cell, number) for number in range(max(1, prompt.count(IMAGE_MARK)))),
            question=unmarked(str(question)),
            answer=word({"ground_truth": truth}, "ground_truth"),
            tags={"category": text(row, "data_source")},
        )


def _last_user_message(row: TableRow) -> str:
    prompt: Any = row["prompt"]
    turns = prompt if isinstance(prompt, list) else []
    messages = [turn["content"] for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    if not messages or not isinstance(messages[-1], str) or not unmarked(messages[-1]):
        raise BadRow("prompt", "messages with at least one from the user", prompt)
    return str(messages[-1])
