"""The small model of our own: a folder of its recipe plays whole episodes, in its own dialect and at its own sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.policies.base import make_policy
from o3gym.policies.local.processors import save_processor
from o3gym.policies.tiny import WEIGHTS, Tiny
from o3gym.policies.tiny.view_size import shown
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.recipe import as_json, load_recipe
from o3gym.train.sft.run import SFT_CHANGEABLE
from o3gym.train.tiny.model import fresh


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


def test_what_is_on_board_is_what_its_record_says() -> None:
    record = json.loads((WEIGHTS / "training.json").read_text("utf-8"))
    assert record["finished"]
    recipe = json.loads(json.dumps(as_json(load_recipe("tiny"))))
    assert {k: v for k, v in record["recipe"].items() if k not in SFT_CHANGEABLE} == {
        k: v for k, v in recipe.items() if k not in SFT_CHANGEABLE
    }
    assert [record["stages"][str(n)]["steps"] for n in range(len(record["stages"]))] == [
        stage.steps for stage in load_recipe("tiny").stages
    ]
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 14_000_000
    policy = make_policy("tiny")
    assert isinstance(policy, Tiny)
    assert sum(p.numel() for p in policy.model.parameters()) < 7_000_000


def test_it_finds_by_looking(tmp_path: Path) -> None:
    """It looks until it has seen the star, and then names its colour; with blank views it looks until the end.

    docs/tiny.md has the accuracies. An answer before the forced one, in the last turn, needs far fewer episodes to tell
    the two arms apart.
    """
    bench = Bench(
        suite="synthetic?family=hidden&difficulty=easy",
        policies=("tiny", "tiny+blank_crop"),
        episodes=6,
        turns=(16,),
        force_answer=True,
        sampling=Sampling(max_tokens=160),
    )
    run(bench, tmp_path / "run")
    found = dict.fromkeys(bench.policies, 0)
    for trajectory in open_run(tmp_path / "run"):
        found[trajectory.arm] += trajectory.verdict == "correct" and len(trajectory.turns) < 16
    assert found["tiny"] >= 3
    assert found["tiny+blank_crop"] == 0
