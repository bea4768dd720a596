"""Thyme's two stages of fine-tuning on rows in the released form, whose responses hold the sandbox's output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from o3gym.train.recipe import load_recipe
from o3gym.train.sft.run import sft_arithmetic, train_sft
from tests.train.thyme_rows import ONE_ROUND, TWO_ROUNDS, row, write
from tests.train.tiny_folder import same, write_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("Thyme-SFT")
    write(folder / "data" / "wo_thinking_thyme_single_round-00000-of-00001.parquet", row(), row("bad", 0), row())
    write(folder / "data" / "2round-00000-of-00001.parquet", row(TWO_ROUNDS, 3))
    write(folder / "data" / "computation-00000-of-00001.parquet", row(ONE_ROUND.replace("<image>", "7"), 1))
    return folder


def settings(data: Path, model: str) -> list[str]:
    """What a small model changes of the shipped recipe."""
    return [
        *(f"model={model}", "max_pixels=0", "precision=float32", "gradient_checkpointing=false", "workers=0"),
        f"stages.0.data=thyme:{data}?split=wo_thinking_thyme_single_round+2round",
        f"stages.1.data=thyme:{data}?split=computation",
        *("batch=2", "epochs=1", "log_steps=1", "save_dtype=float32", "threads=1"),
    ]


def test_both_stages_learn_from_released_rows_and_pass_over_a_bad_one(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start = write_folder(tmp_path / "start", [ONE_ROUND, TWO_ROUNDS])
    recipe = load_recipe("thyme", settings(data, str(start)))
    assert [(stage["steps"], stage["rows"]) for stage in sft_arithmetic(recipe)] == [(2, 4), (1, 2)]
    train_sft(recipe, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["finished"]
    assert [record["stages"][number]["bad"] > 0 for number in "01"] == [True, False]
    assert "single_round-00000-of-00001.parquet: row 1: image: 0 pictures" in caplog.text
    assert not same(start, tmp_path / "out")
