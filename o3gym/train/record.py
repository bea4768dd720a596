"""The record of a training (`training.json`), which lies beside its weights, and its checkpoints."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from o3gym.append_log import write_whole
from o3gym.bench.definition import packages
from o3gym.train.recipe import RecipeError, TrainingRecipe, as_json

RECORD = "training.json"
STATE = "trainer_state.json"
CURSOR = "tasks.json"
"""File in a GRPO checkpoint that holds the number of tasks used up so far."""
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


def newest_checkpoint(folder: Path) -> Path | None:
    """Returns the newest complete checkpoint in a folder, or None. Removes incomplete checkpoints."""
    # transformers writes the trainer's state last, so a checkpoint without it was being written when the training died.
    found: list[Path] = sorted(folder.glob("checkpoint-*"), key=step_of)
    for path in [path for path in found if not (path / STATE).is_file()]:
        shutil.rmtree(path)
        found.remove(path)
    return found[-1] if found else None


def step_of(checkpoint: Path) -> int:
    """Returns the step at which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def open_record(recipe: TrainingRecipe, out: Path, changeable: tuple[str, ...]) -> dict[str, Any]:
    """Returns the record of the training in `out`, and creates it if there is none.

    Raises `RecipeError` if the recipe there differs in a key that is not `changeable`.
    """
    new = {"recipe": json.loads(json.dumps(as_json(recipe))), "command": sys.argv, "packages": packages(*PACKAGES)}
    path = out / RECORD
    if path.is_file():
        old: dict[str, Any] = json.loads(path.read_text("utf-8"))
        different = [
            f"\n  {key}: there {json.dumps(old['recipe'].get(key)):.200}, here {json.dumps(value):.200}"
            for key, value in new["recipe"].items()
            if key not in changeable and old["recipe"].get(key) != value
        ]
        if different:
            raise RecipeError(f"{out} holds a training with another recipe; choose another folder:{''.join(different)}")
        return old
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecipeError(f"cannot create the folder {out}: {error.strerror}") from error
    write_record(path, new)
    return new


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record atomically: if the process is killed, the file holds either the old record or the new one."""
    write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
