"""The small coder: its dialect, its sizes, and what it solves by writing code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.policies.base import make_policy
from o3gym.policies.local.processors import save_processor
from o3gym.policies.tiny.code_size import code_size
from o3gym.policies.tiny.coder import WEIGHTS_CODER, TinyCoder
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.recipe import as_json, load_recipe
from o3gym.train.sft.run import SFT_CHANGEABLE
from o3gym.train.tiny.model import LIMITS, fresh_coder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model, processor = fresh_coder()
    path = tmp_path_factory.mktemp("tiny_coder")
    model.save_pretrained(path)
    save_processor(processor, path)
    return path


def test_it_is_given_its_dialect_and_sizes(folder: Path, tmp_path: Path) -> None:
    bench = Bench(
        suite="synthetic?family=turned+dim&difficulty=easy",
        policies=(f"tiny_coder:{folder}",),
        episodes=2,
        turns=(2,),
        env={"sandbox": "trust"},
        sampling=Sampling(max_tokens=6),
    )
    run(bench, tmp_path / "run")
    for trajectory in open_run(tmp_path / "run"):
        assert trajectory.dialect == "thyme"
        assert trajectory.views[0].native == (108, 108)
        assert trajectory.views[0].shown == (144, 144)
        assert trajectory.stop != "error"


@pytest.mark.parametrize(
    ("size", "shown"),
    [((108, 108), (144, 144)), ((1600, 1200), (160, 128)), ((20_000, 10), (512, 16)), ((10, 20_000), (16, 512))],
)
def test_pictures_of_any_shape_have_about_as_many_tokens(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert code_size(*size) == shown
    assert shown[0] * shown[1] <= LIMITS["longest_edge"]


def test_what_is_on_board_is_what_its_record_says() -> None:
    record = json.loads((WEIGHTS_CODER / "training.json").read_text("utf-8"))
    assert record["finished"]
    recipe = json.loads(json.dumps(as_json(load_recipe("tiny_coder"))))
    assert {k: v for k, v in record["recipe"].items() if k not in SFT_CHANGEABLE} == {
        k: v for k, v in recipe.items() if k not in SFT_CHANGEABLE
    }
    steps = [stage.steps for stage in load_recipe("tiny_coder").stages]
    assert [record["stages"][str(number)]["steps"] for number in range(len(steps))] == steps
    assert sum(path.stat().st_size for path in WEIGHTS_CODER.iterdir()) < 8_000_000
    policy = make_policy("tiny_coder")
    assert isinstance(policy, TinyCoder)
    assert sum(p.numel() for p in policy.model.parameters()) <= 2_000_000


def test_it_reads_codes_that_its_programs_make_legible(tmp_path: Path) -> None:
    """It solves most of the tasks. docs/tiny.md has the scores."""
    suite = "synthetic?family=turned+dim&difficulty=easy&answers=free"
    bench = Bench(suite=suite, policies=("tiny_coder",), episodes=12, turns=(3,), env={"sandbox": "trust"})
    run(bench, tmp_path / "run")
    episodes = list(open_run(tmp_path / "run"))
    assert sum(t.verdict == "correct" for t in episodes) >= 7
    assert all(t.turns[0].parsed.call.tool == "code" for t in episodes)
    assert sum(len(t.views) > 1 for t in episodes) >= 11
