"""The small model of our own: a folder of its recipe plays whole episodes, in its own dialect and at its own sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from o3gym.bench import Bench, run
from o3gym.policies.base import make_policy
from o3gym.policies.processors import save_processor
from o3gym.policies.tiny.sight import shown
from o3gym.store import open_run
from o3gym.train.tiny.model import fresh
from o3gym.types import Sampling


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model, processor = fresh()
    path = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(path)
    save_processor(processor, path)
    return path


def test_it_is_given_its_dialect_and_sizes(folder: Path, tmp_path: Path) -> None:
    bench = Bench(
        suite="synthetic?family=hidden&difficulty=easy",
        policies=(f"tiny:{folder}", "oracle"),
        episodes=2,
        turns=(3,),
        sampling=Sampling(max_tokens=12),
    )
    run(bench, tmp_path / "run")
    protocol = open_run(tmp_path / "run").protocol
    assert set(protocol["prompt_sha256"]) == {"grid", "qwen3_vl"}
    assert {"torch", "transformers"} <= set(protocol["packages"])
    episodes = {t.arm: t for t in open_run(tmp_path / "run")}
    mine = episodes[f"tiny:{folder}"]
    assert mine.dialect == "grid"
    assert mine.views[0].shown == shown(1200, 1200) == (80, 80)
    assert mine.stop != "error"
    assert mine.turns[0].reply.token_ids


def test_a_folder_must_be_named() -> None:
    with pytest.raises(ValueError, match="o3gym train sft tiny --out FOLDER"):
        make_policy("tiny")
