from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from o3gym.cli.main import main
from o3gym.train.data.cold_start import ColdStart
from o3gym.train.recipe import names
from tests.train.tiny_folder import write_folder


@pytest.mark.parametrize("name", names())
def test_a_dry_run_prints_the_recipe_and_what_it_amounts_to(name: str, capsys: Any) -> None:
    assert main(["train", "sft", name, "--dry-run", "--set", "learning_rate=0.5"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {stage["learning_rate"] for stage in said["recipe"]["stages"]} == {0.5}
    for stage in said["arithmetic"]:
        assert stage["micro_batch"] * stage["accumulation"] * stage["devices"] == stage["batch"]
        assert stage["steps"] * stage["batch"] == stage["rows"] == sum(part["rows"] for part in stage["data"])


def test_the_batch_arithmetic_of_mini_o3_on_eight_devices(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert main(["train", "sft", "mini_o3", "--dry-run"]) == 0
    (stage,) = json.loads(capsys.readouterr().out)["arithmetic"]
    assert (stage["micro_batch"], stage["accumulation"], stage["steps"]) == (1, 4, 563)
    assert stage["warmup_steps"] == 57


def test_a_training_from_the_command_line(tmp_path: Path, capsys: Any) -> None:
    recipe = tmp_path / "small.toml"
    start = write_folder(tmp_path / "start")
    recipe.write_text(f'model = "{start}"\n[[stages]]\ndata = "colours:Colours"\nsteps = 5\nbatch = 2\n')
    command = ["train", "sft", str(recipe), "--out", str(tmp_path / "out"), "--set", "steps=2", "--set", "log_steps=1"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert f"model: {tmp_path / 'out'}" in said.out
    for step in (1, 2):  # no terminal: a line each, for a log file
        assert f"stage 0  {step}/2  loss " in said.err
    assert json.loads((tmp_path / "out/training.json").read_text())["finished"]


def test_a_reinforcement_from_the_command_line(tmp_path: Path, capsys: Any) -> None:
    recipe = tmp_path / "small.toml"
    start = write_folder(tmp_path / "start")
    recipe.write_text(
        f'model = "{start}"\ndialect = "grid"\nreward = "outcome"\nsteps = 2\nprompts = 1\nsamples = 2\n'
        "max_tokens = 4\n"
        '[env]\nsuite = "synthetic"\nmax_turns = 2\nmin_pixels = 1024\nmax_pixels = 4096\non_void = "continue"\n'
    )
    assert main(["train", "grpo", str(recipe), "--out", str(tmp_path / "out"), "--set", "log_steps=1"]) == 0
    said = capsys.readouterr()
    assert f"model: {tmp_path / 'out'}" in said.out
    assert [line.split()[:2] for line in said.err.splitlines() if "/2 " in line][:2] == [
        ["1/2", "reward"],
        ["2/2", "reward"],
    ]
    assert json.loads((tmp_path / "out/training.json").read_text())["finished"]


def test_a_mistake_is_one_line_and_a_code(capsys: Any) -> None:
    assert main(["train", "sft", "mini_o3", "--set", "epoch=1", "--dry-run"]) == 2
    assert 'did you mean "epochs"' in capsys.readouterr().err


def test_a_run_is_exported(run_folder: Path, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "d.parquet"
    assert main(["train", "export", str(run_folder), "--format", "mini_o3", "--out", str(file)]) == 0
    assert capsys.readouterr().out == f"3 demonstrations: {file}, 3 that are not correct left out\n"
    assert ColdStart(str(file)).size == 3
    assert (
        main(["train", "export", str(run_folder), "--format", "sharegpt", "--out", str(tmp_path / "new/d.json")]) == 0
    )
    assert (tmp_path / "new/d.json.images/0-0.png").is_file()
