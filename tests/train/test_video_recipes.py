"""Recipes for videos: what they say, and the smallest training of each."""

from __future__ import annotations

import json
import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.registry import REWARDS, SUITES
from o3gym.train.grpo.recipe import load_grpo, read_grpo
from o3gym.train.grpo.run import train_grpo
from o3gym.train.recipe import load_recipe, names, read_recipe, read_toml
from o3gym.train.sft.run import train_sft
from tests.train.grpo.spelled import prompts
from tests.train.tiny_folder import write_folder

VIDEO_RECIPES = ("vital", "vr_thinker", "pixel_reasoner_video")
SHORT = {"difficulty": "easy", "seconds": 8}
"""Films of eight seconds."""
CPU = {"precision": "float32", "save_dtype": "float32", "gradient_checkpointing": False, "log_steps": 1}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer spells the recipes' prompts in few tokens, so that rows are short."""
    env = {"suite": "synthetic_video", "suite_args": SHORT, "overview_frames": 1}
    texts = [text for name in VIDEO_RECIPES for text in prompts(make_dialect(load_grpo(name).dialect), env)]
    return write_folder(tmp_path_factory.mktemp("start"), texts)


@pytest.mark.parametrize("name", names("grpo"))
def test_every_recipe_of_reinforcement_reads_and_names_what_there_is(name: str) -> None:
    recipe = load_grpo(name)
    assert recipe.name == name
    assert recipe.source
    assert recipe.reward in REWARDS
    assert recipe.env["suite"] in SUITES
    assert not recipe.dialect or make_dialect(recipe.dialect)


@pytest.mark.parametrize("kind", ["sft", "grpo"])
@pytest.mark.parametrize("name", VIDEO_RECIPES)
def test_every_number_of_a_video_recipe_has_its_source_beside_it(kind: str, name: str) -> None:
    text = (resources.files("o3gym.train") / "recipes" / kind / f"{name}.toml").read_text("utf-8")
    bare = [line for line in text.splitlines() if re.match(r"\w+ = .*\d", line) and "#" not in line]
    assert [line for line in bare if not line.startswith(("name", "source", "seed", "dialect"))] == []


def test_the_numbers_of_the_systems() -> None:
    vital, cold = load_grpo("vital"), load_recipe("vital")
    assert (vital.prompts, vital.samples, vital.kl, vital.learning_rate) == (64, 8, 0.01, 1e-6)
    assert (vital.env["max_turns"], vital.env["max_calls"], vital.difficulty_weights) == (2, 1, True)
    assert (cold.stages[0].batch, cold.stages[0].learning_rate, cold.stages[0].epochs) == (256, 1e-5, 1)
    assert cold.freeze == vital.freeze == ("vision",)
    pixel = load_grpo("pixel_reasoner_video")
    pictures = load_grpo("pixel_reasoner")
    assert (pixel.reward, pixel.clip_high, pixel.std, pixel.kl) == ("pixel_reasoner", 0.35, False, 0.0)
    assert (pixel.prompts, pixel.samples, pixel.context) == (pictures.prompts, pictures.samples, pictures.context)
    assert load_recipe("pixel_reasoner_video").last_turns == 2
    assert load_grpo("vr_thinker").window == load_recipe("vr_thinker").window == 1


def small(data: dict[str, Any], start: Path) -> dict[str, Any]:
    return {**data, **CPU, "model": str(start)}


@pytest.mark.parametrize("name", VIDEO_RECIPES)
def test_the_smallest_supervised_training(name: str, start: Path, tmp_path: Path) -> None:
    _, data = read_toml(name)
    (stage,) = data["stages"]
    (part,) = stage["data"]
    part |= {"examples": 1, "suite_args": {**part["suite_args"], **SHORT, "n": 1}}
    part["env"] |= {"overview_frames": 2, "min_pixels": 1024, "max_pixels": 4096}
    stage |= {"epochs": 1, "batch": 1}
    train_sft(read_recipe({**small(data, start), "micro_batch": 1, "workers": 0}), tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["finished"]
    ((step, loss, _),) = record["stages"]["0"]["curve"]
    assert step == 1
    assert math.isfinite(loss)
    assert record["stages"]["0"]["data"][0]["rows"] == 1


@pytest.mark.parametrize("name", VIDEO_RECIPES)
def test_the_smallest_reinforcement(name: str, start: Path, tmp_path: Path) -> None:
    _, data = read_toml(name, "grpo")
    data["env"] |= {"suite_args": {**data["env"].get("suite_args", {}), **SHORT}, "on_void": "continue"}
    data["env"] |= {"overview_frames": 2, "min_pixels": 1024, "max_pixels": 4096, "max_turns": 2}
    tiny = {
        "prompts": 1,
        "samples": 2,
        "steps": 1,
        "save_steps": 1,
        "max_tokens": 4,
        "refills": 0,
        "watch": 0,
        "context": 0,
    }
    train_grpo(read_grpo({**small(data, start), **tiny, "kl": 0.01}), tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["finished"]
    assert [math.isfinite(loss) for loss in record["curves"]["loss"]] == [True]
