"""Exemplars on small pictures, and a bench whose teacher is shown them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from o3gym.bench.definition import Bench

SCENES = "synthetic?family=attribute+text&difficulty=easy&pixels=60000"
ENV: dict[str, Any] = {"min_pixels": 1024, "max_pixels": 16384}

PHOTO: dict[str, Any] = {
    "name": "the label",
    "picture": "shelf.png",
    "question": "What does the label say?",
    "answer": "flour",
    "act": [
        {"thought": "The label is small. I will look at the lower part.", "crop": {"box": [0.1, 0.5, 0.9, 1.0]}},
        {"thought": "Not there; higher up, and closer.", "crop": {"view": 1, "box": [0.0, 0.0, 0.5, 0.5]}},
        {"thought": "It says flour.", "answer": {"text": "flour"}},
    ],
}
CHOICE: dict[str, Any] = {
    "suite": SCENES,
    "index": 3,
    "act": [
        {"thought": "I will look at the left half first.", "crop": {"box": [0, 0, 0.5, 1]}},
        {"thought": "I have seen it.", "answer": {"text": "?"}},
    ],
}
"""The answer is filled in by `written`."""


def written(folder: Path, *rows: Any, photos: Path | None = None) -> str:
    """Writes a file of exemplars, with the photos beside it, and returns its path."""
    from o3gym.suites.base import make_suite

    if photos is not None:
        for picture in photos.glob("*.png"):
            shutil.copy(picture, folder)
    answer = make_suite(SCENES, "train")[3].answer
    text = json.dumps({"exemplar": list(rows)}).replace('"?"', json.dumps(answer))
    path = folder / "exemplars.json"
    path.write_text(text, "utf-8")
    return str(path)


def bench(exemplars: str, policy: str = "detour", dialect: str = "mini_o3", **more: Any) -> Bench:
    """A small run on other tasks than the exemplars'."""
    given = {"episodes": 3, "env": ENV, **more}
    return Bench(suite=SCENES, split="train", policies=(policy,), dialect=dialect, exemplars=exemplars, **given)
