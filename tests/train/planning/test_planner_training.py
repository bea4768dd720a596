"""Whole trainings of small planners: they learn, and they can be stopped at any step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from o3gym.cli.main import main
from o3gym.policies.planner.model import load_planner
from o3gym.train.planning.run import scheduled_rate, train_planner
from o3gym.train.planning.start import open_learning_planner, small_planner
from o3gym.train.recipe import RecipeError
from tests.train.planning.lake import lake_recipe, lake_tokenizer, same_planner, saved_weights
from tests.train.tiny_folder import Stop, kill_at

ONE_LAKE = {"layouts": 1, "walks": 8, "batch": 8}
"""Few enough pairs to learn all of them in a second."""


def curves(out: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = json.loads((out / "training.json").read_text())["curves"]
    return found


@pytest.mark.parametrize("method", ["walks", "paths", "words"])
def test_supervised_learning_lowers_the_loss(method: str, tmp_path: Path) -> None:
    out = train_planner(lake_recipe(method=method, steps=16, log_steps=4, learning_rate=3e-2), tmp_path / "out")
    loss = curves(out)["loss"]
    assert loss[-1] < 0.8 * loss[0]
    planner = load_planner(out)
    assert planner.layout.form == ("words" if method == "words" else "picture")
    assert json.loads((out / "training.json").read_text())["finished"]


def test_all_methods_train_as_many_parameters() -> None:
    counts = {
        sum(p.numel() for p in open_learning_planner(lake_recipe(method=method)).model.parameters())
        for method in ("walks", "paths", "words", "rewards")
    }
    assert len(counts) == 1


RESUMED: list[dict[str, Any]] = [
    {"method": "walks"},
    {"method": "words", "schedule": "linear", "warmup": 2},
    {"method": "rewards", "kl": 0.1},
    {"method": "rewards", "lora": {"r": 2, "dropout": 0.3}, "kl": 0.1},
]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft's own
@pytest.mark.parametrize("settings", RESUMED)
def test_an_interrupted_training_ends_with_the_same_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    recipe = lake_recipe(**settings, steps=5, save_steps=2, log_steps=3)
    whole = train_planner(recipe, tmp_path / "whole")
    with pytest.raises(Stop):
        train_planner(recipe, tmp_path / "cut", kill_at(3))  # one step after the checkpoint of step 2
    assert not (tmp_path / "cut/model.safetensors").exists()
    steps: list[int] = []
    cut = train_planner(recipe, tmp_path / "cut", lambda step, *_: steps.append(step))
    assert steps == [3, 4, 5]
    assert same_planner(whole, cut)
    whole_curves, cut_curves = curves(whole), curves(cut)
    for name in set(whole_curves) - {"seconds"}:
        assert whole_curves[name] == cut_curves[name]
    assert train_planner(recipe, tmp_path / "cut", kill_at(5)) == cut  # finished: no further step


def test_rewards_rise(tmp_path: Path) -> None:
    start = train_planner(lake_recipe(method="walks", steps=60, learning_rate=2e-2, **ONE_LAKE), tmp_path / "start")
    more = {"method": "rewards", "states": "all", "samples": 8, "steps": 16, "learning_rate": 3e-3, **ONE_LAKE}
    reward = curves(train_planner(lake_recipe(model=str(start), **more, log_steps=4), tmp_path / "out"))["reward"]
    assert reward[-1] > reward[0] + 0.5


def test_another_recipe_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    recipe = lake_recipe(steps=2)
    train_planner(recipe, tmp_path)
    with pytest.raises(RecipeError, match="learning_rate"):
        train_planner(replace(recipe, learning_rate=0.5), tmp_path)


def test_layouts_of_the_validation_split_are_scored(tmp_path: Path) -> None:
    recipe = lake_recipe(steps=4, evaluate_steps=2, evaluate_layouts=3, log_steps=3)
    found = curves(train_planner(recipe, tmp_path))
    assert found["step"] == [2, 3, 4]
    assert [value is None for value in found["val/exact"]] == [False, True, False]
    assert found["val/invalid"][0] > 0


def test_weights_do_not_depend_on_when_they_are_scored(tmp_path: Path) -> None:
    recipe = lake_recipe(method="rewards", steps=3)
    one = train_planner(recipe, tmp_path / "one")
    two = train_planner(replace(recipe, evaluate_steps=1, evaluate_layouts=2, log_steps=1), tmp_path / "two")
    assert same_planner(one, two)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft's own
def test_adapters_are_merged_into_the_saved_planner(tmp_path: Path) -> None:
    recipe = lake_recipe(method="paths", lora={"r": 2}, steps=3)
    start = {name: p.clone() for name, p in open_learning_planner(replace(recipe, lora=None)).model.named_parameters()}
    learnt = saved_weights(train_planner(recipe, tmp_path))
    changed = {name for name in learnt if not torch.equal(learnt[name], start[name])}
    assert changed
    assert all("_proj" in name for name in changed)


@pytest.mark.parametrize("method", ["paths", "rewards"])
def test_memory_can_be_saved_without_changing_the_result(method: str, tmp_path: Path) -> None:
    recipe = lake_recipe(method=method, steps=2, kl=0.0)
    plain = saved_weights(train_planner(recipe, tmp_path / "plain"))
    lean = replace(recipe, gradient_checkpointing=True, micro_batch=4 if method == "rewards" else 1)
    saved = saved_weights(train_planner(lean, tmp_path / "saving"))
    for name, weight in plain.items():
        torch.testing.assert_close(saved[name], weight, rtol=1e-3, atol=1e-4)


def test_weights_are_saved_in_the_precision_of_the_recipe(tmp_path: Path) -> None:
    out = train_planner(lake_recipe(steps=1, precision="bfloat16", save_dtype="bfloat16"), tmp_path)
    assert {weight.dtype for weight in saved_weights(out).values()} == {torch.bfloat16}


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lower the learning rate"):
        train_planner(lake_recipe(steps=9, learning_rate=1e20), tmp_path)


def test_a_model_that_is_no_planner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="must return a Planner, got str"):
        train_planner(lake_recipe(model="tests.train.planning.lake:not_a_planner"), tmp_path)


def test_a_planner_without_words_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "start"
    train_planner(lake_recipe(steps=1), folder)
    layout = json.loads((folder / "planner.json").read_text())
    (folder / "planner.json").write_text(json.dumps({**layout, "moves": {}}))
    with pytest.raises(RecipeError, match="has no words for moves"):
        train_planner(lake_recipe(method="words", model=str(folder)), tmp_path / "out")


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="by one process"):
        train_planner(lake_recipe(), tmp_path)


def test_a_tokenizer_of_ones_own_is_used(tmp_path: Path) -> None:
    start = train_planner(lake_recipe(steps=1), tmp_path / "start")
    (start / "tokenizer.npz").unlink()
    recipe = lake_recipe(model=str(start), tokenizer="tests.train.planning.lake:tokenizer_of_folder", steps=1)
    assert open_learning_planner(recipe).tokenizer is lake_tokenizer()


def test_the_small_planner_has_our_codebook(monkeypatch: Any) -> None:
    monkeypatch.setattr("o3gym.train.planning.start._codebook", lake_tokenizer)
    planner = small_planner(seed=1, form="words")
    assert planner.layout.form == "words"
    assert 100_000 < sum(p.numel() for p in planner.model.parameters()) < 10_000_000


def test_a_training_of_a_planner_from_the_command_line(tmp_path: Path, capsys: Any) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        'model = "tests.train.planning.lake:lake_planner"\nmethod = "rewards"\nlevels = [3]\nlayouts = 2\n'
        "steps = 9\nbatch = 2\nsamples = 2\nlog_steps = 1\n"
    )
    command = ["train", "planning", str(recipe), "--out", str(tmp_path / "out"), "--set", "steps=2"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert f"model: {tmp_path / 'out'}" in said.out
    assert [line.split()[0] for line in said.err.splitlines() if "/2  loss" in line] == ["1/2", "2/2"]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, 0.853553, 0.5, 0.146447]),
    ],
)
def test_the_learning_rate_rises_and_falls(schedule: str, expected: list[float]) -> None:
    recipe = lake_recipe(learning_rate=1.0, warmup=2, schedule=schedule)
    assert [scheduled_rate(recipe, step, 6) for step in range(6)] == pytest.approx(expected, abs=1e-6)
