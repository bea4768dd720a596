"""Checkpoints that are whole, damaged or unfinished: which one a training is resumed from, and which are removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from o3gym.train.recipe import RecipeError, read_recipe
from o3gym.train.record import RECORD, checkpoint_fault, newest_checkpoint, open_record, seal_checkpoint

WEIGHTS = b"x" * 200_000
MIDDLE = 100_000
FILES = {"model.safetensors": WEIGHTS, "trainer_state.json": b'{"step": 1}', "parts/0.pt": b"y" * 10}


def checkpoint(folder: Path, step: int, keep: int = 9, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    if sealed:
        seal_checkpoint(path, keep)
    return path


def manifest(change: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: change(path / "o3gym_files.json")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (
        lambda p: (p / "model.safetensors").write_bytes(b"x" * 60),
        "model.safetensors has 60 bytes instead of",
    ),
    "empty": (lambda p: (p / "parts/0.pt").write_bytes(b""), "parts/0.pt has 0 bytes instead of 10"),
    "missing": (lambda p: (p / "parts/0.pt").unlink(), "parts/0.pt is missing"),
    "bad JSON of the same size": (lambda p: (p / "trainer_state.json").write_text('{"step": ] '), "JSONDecodeError"),
    "zeros": (lambda p: (p / "parts/0.pt").write_bytes(bytes(10)), "parts/0.pt has other bytes than were written"),
    "zeros at the end": (
        lambda p: (p / "model.safetensors").write_bytes(WEIGHTS[:-10] + bytes(10)),
        "model.safetensors has other bytes than were written",
    ),
    "one byte in the middle": (
        lambda p: (p / "model.safetensors").write_bytes(WEIGHTS[:MIDDLE] + b"y" + WEIGHTS[MIDDLE + 1 :]),
        "model.safetensors has other bytes than were written",
    ),
    "zeros in the middle": (
        lambda p: (p / "model.safetensors").write_bytes(WEIGHTS[:MIDDLE] + bytes(4096) + WEIGHTS[MIDDLE + 4096 :]),
        "model.safetensors has other bytes than were written",
    ),
    "never finished": (manifest(Path.unlink), "it was not finished"),
    "torn manifest": (manifest(lambda p: p.write_text('{"fil')), "cannot be read"),
    "no manifest": (manifest(lambda p: p.write_text("[]")), "cannot be read"),
    "manifest of nonsense": (manifest(lambda p: p.write_text('{"files": 3}')), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    harm, said = DAMAGE[damage]
    before, newest = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    assert newest_checkpoint(tmp_path) == newest
    assert caplog.text == ""
    harm(newest)
    assert newest_checkpoint(tmp_path) == before
    assert f"checkpoint {newest} is left out" in caplog.text
    assert said in caplog.text
    assert not newest.exists()
    assert (tmp_path / "damaged-checkpoint-10").is_dir()
    assert newest_checkpoint(tmp_path) == before  # and of what was set aside, nothing is said again
    assert caplog.text.count("is left out") == 1
    harm(before)
    assert newest_checkpoint(tmp_path) is None


def test_only_the_main_process_sets_a_damaged_one_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, newest = checkpoint(tmp_path, 1), checkpoint(tmp_path, 2, sealed=False)
    monkeypatch.setenv("RANK", "1")
    assert newest_checkpoint(tmp_path) == before
    assert newest.exists()


def test_older_checkpoints_are_removed_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint(tmp_path, step, keep=2)
    third = checkpoint(tmp_path, 3, sealed=False)
    assert len(list(tmp_path.iterdir())) == 3
    seal_checkpoint(third, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]
    seal_checkpoint(third, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]
    assert checkpoint_fault(third) == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"recipe": 3})])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    made = read_recipe({"model": "m", "data": "policy", "steps": 1})
    with pytest.raises(RecipeError, match=r"training.json: not the record of a training"):
        open_record(made, tmp_path, ())
