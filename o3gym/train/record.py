"""The record of a training (`training.json`), which lies beside its weights, and its checkpoints."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import zlib
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


MANIFEST = "o3gym_files.json"
"""File that is written last into a checkpoint and lists its files with their sizes and checksums."""
CHECKSUM_PIECE = 2**20
"""Number of bytes that a checksum reads at once."""
DAMAGED = "damaged-"
"""Prefix of the name that a damaged checkpoint is given, so that it is neither resumed nor counted."""

_logger = logging.getLogger(__name__)


def newest_checkpoint(folder: Path) -> Path | None:
    """Returns the newest whole checkpoint in a folder, or None.

    Checkpoints after it are damaged, or were being written when the training died. A warning names each of them and
    what is wrong, and the main process sets it aside under another name, because the training will write a checkpoint
    of that step again.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True):
        if not (fault := checkpoint_fault(path)):
            return path
        aside = path.with_name(DAMAGED + path.name)
        _logger.warning("checkpoint %s is left out: %s; the one before is used. It is kept as %s", path, fault, aside)
        if os.environ.get("RANK", "0") == "0":
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
    return None


def checkpoint_fault(checkpoint: Path) -> str:
    """Returns what is wrong with a checkpoint, or "".

    Faults are a file that is missing or has another size or other bytes than were written, and invalid JSON. Every
    byte is read: damage anywhere in the weights or the optimiser's state would otherwise be trained on unnoticed.
    """
    try:
        manifest: Mapping[str, Mapping[str, int]] = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
        sizes, checksums = manifest["files"], manifest["crc32"]
        for name, size in sizes.items():
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} has {path.stat().st_size} bytes instead of {size}"
            if path.suffix == ".json":
                json.loads(path.read_text("utf-8"))
            if _checksum(path) != checksums[name]:
                return f"{name} has other bytes than were written"
    except FileNotFoundError:
        return f"it has no {MANIFEST}, so it was not finished"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its files cannot be read ({type(error).__name__}: {error})"
    return ""


def seal_checkpoint(checkpoint: Path, keep: int) -> None:
    """Marks a checkpoint as whole and removes older ones until `keep` are left.

    Called when all files are written. Whoever is killed before leaves a checkpoint that `newest_checkpoint` passes
    over, and the older ones are still there.
    """
    sizes = {
        str(path.relative_to(checkpoint)): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    checksums = {name: _checksum(checkpoint / name) for name in sizes}
    write_whole(checkpoint / MANIFEST, (json.dumps({"files": sizes, "crc32": checksums}, indent=1) + "\n").encode())
    for old in sorted(checkpoint.parent.glob("checkpoint-*"), key=step_of)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _checksum(path: Path) -> int:
    """Returns the CRC-32 of a file.

    A power cut can leave a file with its full size and zeros in it, and a disk can return wrong bytes in the middle.
    CRC-32 finds both at about 0.6 s a GB, once the file is in memory; it is no defence against a forger.
    """
    checksum, piece = 0, memoryview(bytearray(CHECKSUM_PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            checksum = zlib.crc32(piece[:count], checksum)
    return checksum


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
        old = _stored(path)
        there, here = old["recipe"], new["recipe"]
        different = [
            f"\n  {key}: there {json.dumps(there.get(key)):.200}, here {json.dumps(here.get(key)):.200}"
            for key in {**here, **there}  # a key that is not set may be in one of them only
            if key not in changeable and there.get(key) != here.get(key)
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


def _stored(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if not isinstance(record["recipe"], dict):
            raise TypeError("no recipe")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(
            f"{path}: not the record of a training ({type(error).__name__}: {error}); choose another folder, or remove "
            "the file to train from the folder's checkpoints with the recipe given now"
        ) from error
    return record


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record atomically: if the process is killed, the file holds either the old record or the new one."""
    write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
