from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import pytest

from o3gym.cli.main import main
from o3gym.registry import UnknownName
from o3gym.train.planning.recipe import load_planning, read_planning
from o3gym.train.recipe import Lora, RecipeError, as_json, names

SMALL = {"model": "m", "method": "walks", "steps": 4}


@pytest.mark.parametrize("name", names("planning"))
def test_every_recipe_of_planning_reads_and_says_where_it_comes_from(name: str) -> None:
    recipe = load_planning(name)
    assert recipe.name == name
    assert recipe.source
    assert read_planning({key: value for key, value in as_json(recipe).items() if value is not None}) == recipe


@pytest.mark.parametrize("name", ["vprl_init", "vpft", "vprl"])
def test_every_number_of_a_released_recipe_has_its_source_beside_it(name: str) -> None:
    text = (resources.files("o3gym.train") / "recipes" / "planning" / f"{name}.toml").read_text("utf-8")
    bare = [line for line in text.splitlines() if re.match(r"\w+ = .*\d", line) and "#" not in line]
    assert [line for line in bare if not line.startswith(("name", "source"))] == []


def test_the_numbers_of_vprl() -> None:
    first, paths, rewards = map(load_planning, ("vprl_init", "vpft", "vprl"))
    assert {recipe.method for recipe in (first, paths, rewards)} == {"walks", "paths", "rewards"}
    assert {recipe.lora for recipe in (first, paths, rewards)} == {Lora(r=32, alpha=64)}
    assert (first.learning_rate, first.batch, first.epochs) == (1.5e-4, 8, 10) == (paths.learning_rate, paths.batch, 10)
    assert (rewards.learning_rate, rewards.schedule, rewards.warmup, rewards.clip) == (5e-5, "cosine", 0.1, 0.1)
    assert (rewards.samples, rewards.temperature, rewards.kl, rewards.epochs) == (10, 1.1, 0.001, 10)


def test_settings_reach_a_recipe_of_planning() -> None:
    recipe = load_planning("vprl", ["steps=3", "lora.r=4", 'world="maze"', "levels=[3, 4]"])
    assert (recipe.steps, recipe.epochs, recipe.lora, recipe.levels) == (3, 0, Lora(r=4, alpha=64), (3, 4))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("mehtod=walks", 'did you mean "method"'),
        ("method=walk", "one of ('walks', 'paths', 'words', 'rewards')"),
        ("world=maz", 'did you mean "maze"'),
        ("world=frozenlake+maz", 'did you mean "maze"'),
        ("levels=[7]", "expected one of 3, 4, 5, 6"),
        ("lora.rr=1", 'did you mean "r"'),
        ("a.b=1", "unknown key"),
        ("samples=1", "samples: expected at least 2"),
        ("temperature=0", "a number above 0"),
        ("batch=0", "at least 1"),
        ("epochs=0", "either steps or epochs"),
        ("kl=-1", "at least 0"),
        ("min_pixels=5", "min_pixels: planners have no use for it"),
        ('freeze=["vision"]', "freeze: planners have no use for it"),
    ],
)
def test_a_setting_of_planning_that_does_not_fit_says_so(setting: str, words: str) -> None:
    with pytest.raises((UnknownName, RecipeError), match=re.escape(words)):
        load_planning("vprl", [setting])


@pytest.mark.parametrize("more", [{"steps": 0}, {"epochs": 2}])
def test_a_recipe_of_planning_has_either_steps_or_epochs(more: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match="either steps or epochs"):
        read_planning({**SMALL, **more})


def test_a_dry_run_says_what_a_recipe_of_planning_amounts_to(capsys: Any) -> None:
    command = [
        "train",
        "planning",
        "vprl",
        "--dry-run",
        "--set",
        "layouts=6",
        "--set",
        "levels=[3]",
        "--set",
        "batch=3",
    ]
    assert main(command) == 0
    arithmetic = json.loads(capsys.readouterr().out)["arithmetic"]
    assert arithmetic["layouts"] == 6
    assert arithmetic["epochs"] == 10
    assert arithmetic["steps"] == 10 * -(-arithmetic["states"] // 3)
    assert arithmetic["candidates"] == arithmetic["steps"] * 3 * 10
