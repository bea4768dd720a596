"""The model on board: a small VLM that really searches, trained by o3gym on its own synthetic tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from o3gym.policies.tiny.sight import shown
from o3gym.policies.transformers import Transformers
from o3gym.types import Size

WEIGHTS = Path(__file__).parent / "weights"
"""The model folder; training.json in it says how it was made."""


class Tiny(Transformers):
    """A few million parameters, no download, no GPU: `tiny`, or `tiny:FOLDER` for another training of the same recipe.

    It speaks `grid` and answers questions of the families text, attribute and hidden (easy) of the synthetic suite. It
    writes down what it sees in a view, looks at the next cell, and answers when it has found what was asked for.

    Args:
        argument: a model folder; "" for the weights that come with o3gym.
        slots: dialogues whose keys and values are kept, and requests that are answered at once.
    """

    dialect: ClassVar[str] = "grid"
    env: ClassVar[Mapping[str, Any]] = {"min_pixels": 1024, "max_pixels": 64_000_000}

    def __init__(self, argument: str = "", slots: int = 32) -> None:
        super().__init__(argument or str(WEIGHTS), device="cpu", slots=slots)

    def vision_size(self, width: int, height: int) -> Size:
        """A thumbnail of a whole picture, more pixels the smaller the region: see `o3gym.policies.tiny.sight`."""
        return shown(width, height)
