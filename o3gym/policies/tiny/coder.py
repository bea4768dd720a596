"""A third small VLM that ships with o3gym: it writes short code that makes a picture legible, and reads the result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from o3gym.policies.local.transformers import Transformers
from o3gym.policies.tiny.code_size import code_size

WEIGHTS_CODER = Path(__file__).parent / "weights_coder"
"""Folder of the bundled coder; its training.json holds the recipe, versions and loss curves of the training."""


class TinyCoder(Transformers):
    """A model with the architecture of `tiny` that writes code: `tiny_coder`, or `tiny_coder:FOLDER` for your own.

    It speaks the dialect `thyme`: it says what is wrong with the picture ("turned 60", "dim"), writes a few lines of
    Python that make it legible, is shown the result within the same message, and answers. It solves easy tasks of the
    families "turned" and "dim".

    Args:
        argument: a folder written by `o3gym train sft tiny_coder --out FOLDER`; the bundled model if empty.
        slots: number of dialogues whose keys and values are cached, and of requests decoded concurrently.
    """

    dialect: ClassVar[str] = "thyme"
    env: ClassVar[Mapping[str, Any]] = {"min_pixels": 1024, "max_pixels": 64_000_000, "on_void": "continue"}

    def __init__(self, argument: str = "", slots: int = 32) -> None:
        super().__init__(argument or str(WEIGHTS_CODER), device="cpu", slots=slots)
        self.sight = code_size
