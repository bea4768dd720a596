"""The small watcher: `tiny` on suites with videos, in its own dialect and at its own sizes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.policies.base import make_policy, playing
from o3gym.policies.local.processors import save_processor
from o3gym.policies.tiny.film import WEIGHTS_FILM, TinyFilm
from o3gym.policies.tiny.frame_size import frame_size
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.recipe import as_json, load_recipe
from o3gym.train.sft.run import SFT_CHANGEABLE
from o3gym.train.tiny.model import LIMITS, fresh_watcher


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model, processor = fresh_watcher()
    path = tmp_path_factory.mktemp("tiny_film")
    model.save_pretrained(path)
    save_processor(processor, path)
    return path


def test_tiny_plays_videos_as_the_watcher() -> None:
    assert playing("tiny", videos=True) == "tiny_film"
    assert playing("tiny:runs/a?slots=4", videos=True) == "tiny_film:runs/a?slots=4"
    assert playing("tiny", videos=False) == "tiny"
    assert playing("oracle", videos=True) == "oracle"


def test_it_is_given_its_dialect_and_sizes(folder: Path, tmp_path: Path) -> None:
    bench = Bench(
        suite="synthetic_video?difficulty=easy",
        policies=(f"tiny:{folder}", "oracle"),
        episodes=6,
        turns=(2,),
        sampling=Sampling(max_tokens=6),
    )
    run(bench, tmp_path / "run")
    assert set(open_run(tmp_path / "run").protocol["prompt_sha256"]) == {"reel", "qwen3_vl"}
    mine = [t for t in open_run(tmp_path / "run") if t.arm == f"tiny:{folder}"]
    assert {t.task.tags["family"] for t in mine} == {"event", "glimpse", "order", "count", "track", "pair"}
    for trajectory in mine:
        assert (trajectory.policy, trajectory.dialect) == (f"tiny_film:{folder}", "reel")
        assert trajectory.views[0].shown == frame_size(320, 180) == (64, 32)
        assert trajectory.stop != "error"


@pytest.mark.parametrize(
    ("size", "shown"),
    [((1080, 1920), (32, 64)), ((320, 180), (64, 32)), ((400, 400), (48, 48)), ((20_000, 10), (128, 16))],
)
def test_frames_of_any_shape_have_few_tokens(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert frame_size(*size) == shown


@pytest.mark.parametrize(("size", "shown"), [((200, 113), (336, 192)), ((50, 50), (240, 240)), ((4000, 10), (512, 16))])
def test_parts_of_frames_are_magnified(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert frame_size(*size) == shown
    assert shown[0] * shown[1] <= LIMITS["longest_edge"]


def test_what_is_on_board_is_what_its_record_says() -> None:
    record = json.loads((WEIGHTS_FILM / "training.json").read_text("utf-8"))
    assert record["finished"]
    recipe = json.loads(json.dumps(as_json(load_recipe("tiny_film"))))
    assert {k: v for k, v in record["recipe"].items() if k not in SFT_CHANGEABLE} == {
        k: v for k, v in recipe.items() if k not in SFT_CHANGEABLE
    }
    steps = [stage.steps for stage in load_recipe("tiny_film").stages]
    assert [record["stages"][str(number)]["steps"] for number in range(len(steps))] == steps
    assert sum(path.stat().st_size for path in WEIGHTS_FILM.iterdir()) < 8_000_000
    policy = make_policy("tiny_film")
    assert isinstance(policy, TinyFilm)
    assert sum(p.numel() for p in policy.model.parameters()) <= 2_000_000


def test_it_finds_the_moment_and_the_card_by_looking(tmp_path: Path) -> None:
    """It solves about half of the films, and none without what its views show. docs/tiny.md has the scores."""
    suite = "synthetic_video?family=event+glimpse&difficulty=easy"
    bench = Bench(suite=suite, policies=("tiny", "tiny+blank_crop"), episodes=12, turns=(8,))
    run(bench, tmp_path / "run")
    solved = Counter((t.arm, t.task.tags["family"]) for t in open_run(tmp_path / "run") if t.verdict == "correct")
    assert solved["tiny", "event"] >= 2
    assert solved["tiny", "glimpse"] >= 2
    assert not any(arm == "tiny+blank_crop" for arm, _ in solved)
