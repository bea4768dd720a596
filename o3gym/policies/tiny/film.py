"""A second small VLM that ships with o3gym: it watches videos, one look of sixteen small frames after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from o3gym.policies.local.transformers import Transformers
from o3gym.policies.tiny.frame_size import frame_size

WEIGHTS_FILM = Path(__file__).parent / "weights_film"
"""Folder of the bundled watcher; its training.json holds the recipe, versions and loss curves of the training."""


class TinyFilm(Transformers):
    """A model with the architecture of `tiny` for videos: `tiny_film`, or `tiny_film:FOLDER` for your own.

    It speaks the dialect `reel`: it names what each frame of a look shows, watches the frames between which the answer
    lies more closely, and answers with the first and the last frame that show what was asked for.

    Args:
        argument: a folder written by `o3gym train sft tiny_film --out FOLDER`; the bundled model if empty.
        slots: number of dialogues whose keys and values are cached, and of requests decoded concurrently.
        max_context: maximum number of tokens in a dialogue, replies included; 0 for the model's own limit.
    """

    dialect: ClassVar[str] = "reel"
    env: ClassVar[Mapping[str, Any]] = {"min_pixels": 512, "max_pixels": 64_000_000, "on_void": "continue"}

    def __init__(self, argument: str = "", slots: int = 32, max_context: int = 0) -> None:
        super().__init__(argument or str(WEIGHTS_FILM), device="cpu", slots=slots, max_context=max_context)
        self.sight = frame_size
