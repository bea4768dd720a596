"""Whole trainings of a tiny model: it learns, it can be stopped, and what it saves can be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from o3gym.policies.local.processors import load_processor
from o3gym.train.models import part_of
from o3gym.train.recipe import RecipeError, SftRecipe, read_recipe
from o3gym.train.sft.run import train_sft
from tests.train.tiny_folder import Stop, kill_at, same, weights, write_folder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("start"))


def recipe(start: Path, **more: Any) -> SftRecipe:
    stage = {"data": "colours:Colours?size=8", "batch": 4, "steps": 6, "learning_rate": 3e-3, "warmup": 2}
    settings = {"model": str(start), "seed": 3, "save_dtype": "float32", "log_steps": 1, **stage, **more}
    return read_recipe(settings)


def curve(folder: Path, stage: int = 0) -> list[float]:
    record = json.loads((folder / "training.json").read_text())
    return [loss for _, loss, _ in record["stages"][str(stage)]["curve"]]


def train_until(recipe: SftRecipe, out: Path, stage: int, step: int) -> None:
    with pytest.raises(Stop):
        train_sft(recipe, out, kill_at(stage, step))


def test_steps_on_a_fixed_set_lower_the_loss_and_say_so(start: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    made = recipe(start, steps=12, save_dtype="bfloat16", schedule="constant", learning_rate=1e-2)
    train_sft(made, tmp_path, lambda stage, step, steps, logs: seen.append((stage, step, steps)))
    losses = curve(tmp_path)
    assert losses[-1] < 0.4 * losses[0]
    assert seen[-1] == (0, 12, 12)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["finished"]
    assert record["recipe"]["seed"] == 3
    assert {"torch", "transformers", "trl", "o3gym"} <= set(record["packages"])
    assert record["stages"]["0"]["data"][0]["rows"] == 48
    assert record["stages"]["0"]["steps"] == 12
    model = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert model.dtype == torch.bfloat16
    assert load_processor(str(tmp_path)).tokenizer("look")["input_ids"]


def test_a_training_that_was_killed_passes_over_a_damaged_checkpoint_and_ends_with_the_same_weights(
    start: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two stages, whole; and killed in each of them, where the newest checkpoint has lost a part of a file."""
    stages = [
        {"steps": 3},
        {"steps": 2, "learning_rate": 1e-3, "data": "colours:Colours?longer=5", "schedule": "linear"},
    ]
    train_sft(recipe(start, stages=stages), tmp_path / "whole")
    parts = recipe(start, stages=stages, save_steps=1, workers=1)
    train_until(parts, tmp_path / "parts", stage=0, step=3)
    damaged = tmp_path / "parts/checkpoints/stage-0/checkpoint-2"
    truncate(damaged / "model.safetensors")
    train_until(parts, tmp_path / "parts", stage=1, step=2)
    assert f"checkpoint {damaged} is left out: model.safetensors has 1000 bytes instead of" in caplog.text
    # The weights that the second stage begins with are no longer needed: it has a checkpoint of its own.
    (tmp_path / "parts/checkpoints/stage-0/checkpoint-3/optimizer.pt").unlink()
    seen: list[tuple[int, int]] = []
    train_sft(parts, tmp_path / "parts", lambda stage, step, steps, logs: seen.append((stage, step)))
    assert set(seen) == {(1, 2)}
    assert "checkpoint-3 is left out: optimizer.pt is missing" in caplog.text
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert [curve(tmp_path / "whole", n) for n in (0, 1)] == [curve(tmp_path / "parts", n) for n in (0, 1)]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def test_a_kill_between_a_stage_and_its_note_loses_no_curve(start: Path, tmp_path: Path) -> None:
    made = recipe(start, stages=[{}, {}], steps=1)
    train_sft(made, tmp_path)
    record, noted = json.loads((tmp_path / "training.json").read_text()), curve(tmp_path)
    del record["stages"]["0"], record["finished"]
    (tmp_path / "training.json").write_text(json.dumps(record))
    train_sft(made, tmp_path)
    assert curve(tmp_path) == noted


def test_a_finished_training_is_left_alone_and_another_recipe_refused(start: Path, tmp_path: Path) -> None:
    train_sft(recipe(start, steps=1), tmp_path)
    before = (tmp_path / "model.safetensors").stat().st_mtime_ns
    train_sft(recipe(start, steps=1, log_steps=5), tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match=r"another recipe.*\n  seed: there 3, here 4"):
        train_sft(recipe(start, steps=1, seed=4), tmp_path)


def test_frozen_parts_stay_as_they_were(start: Path, tmp_path: Path) -> None:
    train_sft(recipe(start, steps=1, warmup=0, freeze=["vision", "projector"]), tmp_path)
    before, after = weights(start), weights(tmp_path)
    changed = {part_of(name) for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"language"}


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft's own
def test_adapters_learn_are_merged_and_can_be_resumed(start: Path, tmp_path: Path) -> None:
    stages = [{"steps": 3, "learning_rate": 1e-2}, {"steps": 1}]
    made = recipe(start, stages=stages, lora={"r": 4, "dropout": 0.1}, save_steps=2, warmup=0)
    train_sft(made, tmp_path / "whole")
    assert curve(tmp_path / "whole", 1)[-1] < curve(tmp_path / "whole")[0]
    train_until(made, tmp_path / "parts", stage=0, step=3)
    train_sft(made, tmp_path / "parts")
    assert same(tmp_path / "whole", tmp_path / "parts")
    before, after = weights(start), weights(tmp_path / "whole")
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    assert all("_proj" in name and "language_model" in name for name in changed)


def test_a_batch_in_passes_or_in_parts_makes_the_step_of_the_whole_batch(start: Path, tmp_path: Path) -> None:
    """Rows have different numbers of learnt tokens, and each token counts the same in each of the three."""
    ways: dict[str, Any] = {"whole": {}, "passes": {"micro_batch": 1}, "parts": {"parts": 3}}
    for name, more in ways.items():
        train_sft(recipe(start, steps=2, data="colours:Colours?longer=7", **more), tmp_path / name)
    before, one = weights(start), weights(tmp_path / "whole")
    assert {part_of(name) for name in one if not torch.equal(before[name], one[name])} == {
        *("language", "vision", "projector")
    }
    for name, near in (("passes", 2e-3), ("parts", 1e-4)):
        other = weights(tmp_path / name)
        assert curve(tmp_path / name) == pytest.approx(curve(tmp_path / "whole"), rel=1e-5)
        assert all(torch.allclose(one[key], other[key], atol=near) for key in one)


def test_epochs_flat_rows_last_turns_and_bfloat16_run(start: Path, tmp_path: Path) -> None:
    options = {"flatten": True, "last_turns": 1, "precision": "bfloat16", "gradient_checkpointing": True}
    made = recipe(start, steps=0, epochs=2, data="colours:Colours?size=4", **options)
    train_sft(made, tmp_path)
    assert len(curve(tmp_path)) == 2


def test_demonstrations_that_are_too_long_or_bad_are_counted(
    start: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_sft(recipe(start, steps=1, batch=8, data="colours:Colours?size=8&longer=400&bad=4", context=300), tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["stages"]["0"]["passed_over"] > 0
    assert record["stages"]["0"]["bad"] > 0
    assert "a demonstration is skipped: demonstration 4 is bad" in caplog.text


def test_a_loss_that_is_no_number_ends_the_training(start: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the loss is nan at step"):
        train_sft(recipe(start, steps=20, learning_rate=1e30, warmup=0, clip=0, schedule="constant"), tmp_path)
