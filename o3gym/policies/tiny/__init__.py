"""A small VLM that ships with o3gym, so that a model can search on machines without a GPU and without a download."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from o3gym.policies.local.transformers import Transformers
from o3gym.policies.tiny.view_size import shown

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the bundled model; its training.json holds the recipe, versions and loss curves of the training."""


class Tiny(Transformers):
    """A model of 1.35 million parameters trained with o3gym itself: `tiny`, or `tiny:FOLDER` for your own model.

    It speaks the dialect `grid`: it notes what it sees in a view, looks at the next cell of a grid, and answers once it
    has found what the question asks for. The larger a region, the lower the resolution at which the model sees it; see
    `o3gym.policies.tiny.view_size`. On suites with videos, `o3gym.policies.tiny.film` plays in its place.

    Args:
        argument: a folder written by `o3gym train sft tiny --out FOLDER`; the bundled model if empty.
        slots: number of dialogues whose keys and values are cached, and of requests decoded concurrently.
    """

    dialect: ClassVar[str] = "grid"
    on_videos: ClassVar[str] = "tiny_film"
    env: ClassVar[Mapping[str, Any]] = {"min_pixels": 1024, "max_pixels": 64_000_000, "on_void": "continue"}

    def __init__(self, argument: str = "", slots: int = 32) -> None:
        super().__init__(argument or str(WEIGHTS), device="cpu", slots=slots)
        self.sight = shown
