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
from o3gym.train.record import newest_checkpoint
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


def test_thirty_steps_on_a_fixed_set_lower_the_loss_and_say_so(start: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    made = recipe(start, steps=30, save_dtype="bfloat16", schedule="constant")
    train_sft(made, tmp_path, lambda stage, step, steps, logs: seen.append((stage, step, steps)))
    losses = curve(tmp_path)
    assert losses[-1] < 0.4 * losses[0]
    assert seen[-1] == (0, 30, 30)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["finished"]
    assert record["recipe"]["seed"] == 3
    assert {"torch", "transformers", "trl", "o3gym"} <= set(record["packages"])
    assert record["stages"]["0"]["data"][0]["rows"] == 120
    assert record["stages"]["0"]["steps"] == 30
    model = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert model.dtype == torch.bfloat16
    assert load_processor(str(tmp_path)).tokenizer("look")["input_ids"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_that_was_killed_ends_with_the_same_weights(start: Path, tmp_path: Path, workers: int) -> None:
    """Six steps and four more of a second stage, whole; and killed in each stage, once between two checkpoints."""
    stages = [{}, {"steps": 4, "learning_rate": 1e-3, "data": "colours:Colours?longer=5", "schedule": "linear"}]
    whole = recipe(start, stages=stages)
    train_sft(whole, tmp_path / "whole")
    parts = recipe(start, stages=stages, save_steps=3, workers=workers)
    train_until(parts, tmp_path / "parts", stage=0, step=5)
    assert newest_checkpoint(tmp_path / "parts/checkpoints/stage-0").name == "checkpoint-3"
    train_until(parts, tmp_path / "parts", stage=1, step=1)
    train_until(parts, tmp_path / "parts", stage=1, step=4)
    train_sft(parts, tmp_path / "parts")
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert [curve(tmp_path / "whole", n) for n in (0, 1)] == [curve(tmp_path / "parts", n) for n in (0, 1)]


def test_a_kill_between_a_stage_and_its_note_loses_no_curve(start: Path, tmp_path: Path) -> None:
    made = recipe(start, stages=[{}, {}], steps=2)
    train_sft(made, tmp_path)
    record, noted = json.loads((tmp_path / "training.json").read_text()), curve(tmp_path)
    del record["stages"]["0"], record["finished"]
    (tmp_path / "training.json").write_text(json.dumps(record))
    train_sft(made, tmp_path)
    assert curve(tmp_path) == noted


def test_a_torn_checkpoint_is_passed_over(start: Path, tmp_path: Path) -> None:
    train_until(recipe(start, save_steps=2), tmp_path, stage=0, step=3)
    torn = tmp_path / "checkpoints/stage-0/checkpoint-4"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    train_sft(recipe(start, save_steps=2), tmp_path)
    assert len(curve(tmp_path)) == 6


def test_a_finished_training_is_left_alone_and_another_recipe_refused(start: Path, tmp_path: Path) -> None:
    train_sft(recipe(start, steps=1), tmp_path)
    before = (tmp_path / "model.safetensors").stat().st_mtime_ns
    train_sft(recipe(start, steps=1, log_steps=5), tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match=r"another recipe.*\n  seed: there 3, here 4"):
        train_sft(recipe(start, steps=1, seed=4), tmp_path)


def test_frozen_parts_stay_as_they_were(start: Path, tmp_path: Path) -> None:
    train_sft(recipe(start, steps=3, freeze=["vision", "projector"]), tmp_path)
    before, after = weights(start), weights(tmp_path)
    changed = {part_of(name) for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"language"}


def test_full_training_changes_every_part(start: Path, tmp_path: Path) -> None:
    train_sft(recipe(start, steps=3), tmp_path)
    before, after = weights(start), weights(tmp_path)
    changed = {part_of(name) for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"language", "vision", "projector"}


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft's own
def test_adapters_learn_are_merged_and_can_be_resumed(start: Path, tmp_path: Path) -> None:
    stages = [{}, {"steps": 2}]
    made = recipe(start, stages=stages, lora={"r": 4, "dropout": 0.1}, save_steps=2)
    train_sft(made, tmp_path / "whole")
    assert curve(tmp_path / "whole", 1)[-1] < curve(tmp_path / "whole")[0]
    train_until(made, tmp_path / "parts", stage=0, step=3)
    train_until(made, tmp_path / "parts", stage=1, step=1)
    train_sft(made, tmp_path / "parts")
    assert same(tmp_path / "whole", tmp_path / "parts")
    before, after = weights(start), weights(tmp_path / "whole")
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    assert all("_proj" in name and "language_model" in name for name in changed)


def test_accumulated_batches_make_the_step_of_the_whole_batch(start: Path, tmp_path: Path) -> None:
    """Rows have different numbers of learnt tokens, and each token counts the same in either."""
    train_sft(recipe(start, steps=2, data="colours:Colours?longer=7"), tmp_path / "whole")
    train_sft(recipe(start, steps=2, data="colours:Colours?longer=7", micro_batch=1), tmp_path / "split")
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "split")
    assert curve(tmp_path / "whole") == pytest.approx(curve(tmp_path / "split"), rel=1e-5)
    assert all(torch.allclose(one[name], two[name], atol=2e-3) for name in one)


def test_a_batch_in_parts_makes_the_step_of_the_whole_batch(start: Path, tmp_path: Path) -> None:
    data = "colours:Colours?longer=7"
    train_sft(recipe(start, steps=2, data=data), tmp_path / "whole")
    train_sft(recipe(start, steps=2, data=data, parts=3), tmp_path / "parts")
    assert curve(tmp_path / "parts") == pytest.approx(curve(tmp_path / "whole"), rel=1e-5)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


def test_epochs_flat_rows_last_turns_and_bfloat16_run(start: Path, tmp_path: Path) -> None:
    options = {"flatten": True, "last_turns": 1, "precision": "bfloat16", "gradient_checkpointing": True}
    made = recipe(start, steps=0, epochs=2, **options)
    train_sft(made, tmp_path)
    assert len(curve(tmp_path)) == 4


def test_demonstrations_that_are_too_long_are_counted(start: Path, tmp_path: Path) -> None:
    train_sft(recipe(start, steps=2, data="colours:Colours?longer=400", context=300), tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["stages"]["0"]["passed_over"] > 0


def test_a_loss_that_is_no_number_ends_the_training(start: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the loss is nan at step"):
        train_sft(recipe(start, steps=20, learning_rate=1e30, warmup=0, clip=0, schedule="constant"), tmp_path)
