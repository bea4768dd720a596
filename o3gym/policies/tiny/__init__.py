"""A small VLM of o3gym's own, for machines without a GPU: what `o3gym train sft tiny` makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.policies.tiny.sight import shown
from o3gym.policies.transformers import Transformers
from o3gym.types import Size


class Tiny(Transformers):
    """A model of about a million parameters, made by `o3gym train sft tiny --out FOLDER`: `tiny:FOLDER`.

    It speaks `grid`: it writes down what it sees in a view, looks at the next cell of a grid, and answers when it has
    found what was asked for. What it is shown is smaller the larger the region, see `o3gym.policies.tiny.sight`.

    Args:
        argument: the model folder.
        slots: dialogues whose keys and values are kept, and requests that are answered at once.
    """

    dialect: ClassVar[str] = "grid"
    env: ClassVar[Mapping[str, Any]] = {"min_pixels": 1024, "max_pixels": 64_000_000}

    def __init__(self, argument: str, slots: int = 32) -> None:
        if not argument:
            raise ValueError('name its folder: "tiny:FOLDER"; to make one: o3gym train sft tiny --out FOLDER')
        super().__init__(argument, device="cpu", slots=slots)

    def vision_size(self, width: int, height: int) -> Size:
        """A thumbnail of a whole picture, more pixels the smaller the region: see `o3gym.policies.tiny.sight`."""
        return shown(width, height)
