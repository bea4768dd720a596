"""A small VLM of o3gym's own, on board: it searches on machines without a GPU and without a download."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from o3gym.policies.local.transformers import Transformers
from o3gym.policies.tiny.view_size import shown

WEIGHTS = Path(__file__).parent / "weights"
"""The model on board, and training.json: recipe, versions and loss curves of its training."""


class Tiny(Transformers):
    """A model of about a million parameters that o3gym trained: `tiny`, or `tiny:FOLDER` for one of your own.

    It speaks `grid`: it writes down what it sees in a view, looks at the next cell of a grid, and answers when it has
    found what was asked for. What it is shown is smaller the larger the region, see `o3gym.policies.tiny.view_size`.

    Args:
        argument: a folder that `o3gym train sft tiny --out FOLDER` made; the model on board if empty.
        slots: dialogues whose keys and values are kept, and requests that are answered at once.
    """

    dialect: ClassVar[str] = "grid"
    env: ClassVar[Mapping[str, Any]] = {"min_pixels": 1024, "max_pixels": 64_000_000, "on_void": "continue"}

    def __init__(self, argument: str = "", slots: int = 32) -> None:
        super().__init__(argument or str(WEIGHTS), device="cpu", slots=slots)
        self.sight = shown
