from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from o3gym.registry import UnknownName
from o3gym.train.recipe import Lora, MixturePart, RecipeError, Stage, as_json, load_recipe, names, read_recipe

SMALL = {"model": "m", "data": "run:x", "steps": 4}


@pytest.mark.parametrize("name", names())
def test_every_recipe_reads_and_says_where_it_comes_from(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.source
    assert read_recipe(_toml(as_json(recipe))) == recipe


def _toml(data: dict) -> dict:
    """What TOML would hold: no nulls, options beside the source."""
    stages = [{**stage, "data": [{**d.pop("options"), **d} for d in stage["data"]]} for stage in data["stages"]]
    return {key: value for key, value in {**data, "stages": stages}.items() if value is not None}


@pytest.mark.parametrize("name", ["mini_o3", "simple_o3", "pixel_reasoner", "thyme"])
def test_every_number_of_a_published_recipe_has_its_source_beside_it(name: str) -> None:
    text = (resources.files("o3gym.train") / "recipes" / "sft" / f"{name}.toml").read_text("utf-8")
    bare = [line for line in text.splitlines() if re.match(r"\w+ = .*\d", line) and "#" not in line]
    assert [line for line in bare if not line.startswith(("name", "source", "seed", "dialect"))] == []


def test_the_numbers_of_mini_o3() -> None:
    recipe = load_recipe("mini_o3")
    stage = recipe.stages[0]
    assert (stage.learning_rate, stage.epochs, recipe.max_pixels) == (1e-5, 3, 2_000_000)
    assert recipe.freeze == ("vision", "projector")
    assert load_recipe("pixel_reasoner").last_turns == 2
    assert load_recipe("simple_o3").flatten


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(RecipeError, match=r"seed: expected a whole number (from 0 up|up to 9223372036854775807)"):
        read_recipe({**SMALL, "seed": seed})


def test_stages_take_what_stands_outside_of_them() -> None:
    mixture = ["policy", {"source": "run:y", "weight": 2, "arms": "a"}]
    recipe = read_recipe({**SMALL, "stages": [{"batch": 2}, {"steps": 9, "data": mixture}]})
    assert recipe.stages[0] == Stage((MixturePart("run:x"),), steps=4, batch=2)
    assert recipe.stages[1].steps == 9
    assert recipe.stages[1].data == (MixturePart("policy"), MixturePart("run:y", 2.0, options={"arms": "a"}))


def test_settings_reach_the_recipe_one_stage_or_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model = "m"\n[[stages]]\ndata = "run:x"\nepochs = 2\n[[stages]]\ndata = "run:y"\nsteps = 3\n')
    recipe = load_recipe(str(path), ["steps=7", "stages.1.batch=5", "lora.r=4", "seed=3", 'data="policy"'])
    assert [(stage.steps, stage.epochs, stage.batch) for stage in recipe.stages] == [(7, 0, 32), (7, 0, 5)]
    assert recipe.lora == Lora(r=4)
    assert recipe.seed == 3
    assert {stage.data[0].source for stage in recipe.stages} == {"policy"}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("lerning_rate=1", 'did you mean "learning_rate"'),
        ("stages.99.steps=1", 'no stage "99"'),
        ("stages.0.stpes=1", 'did you mean "steps"'),
        ("lora.rr=1", 'did you mean "r"'),
        ("a.b.c=1", "unknown key"),
        ("seed", "expected KEY=VALUE"),
        ('freeze=["visoin"]', 'did you mean "vision"'),
        ("batch=0", "at least 1"),
        ("steps=0", "either steps or epochs"),
        ("schedule=cosin", "one of ('constant', 'linear', 'cosine')"),
        ("batch=many", "an integer"),
        ("data=7", "expected a source"),
    ],
)
def test_a_setting_that_does_not_fit_says_so(setting: str, words: str) -> None:
    with pytest.raises((UnknownName, RecipeError), match=re.escape(words)):
        load_recipe("tiny", [setting])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({**SMALL, "modle": "x"}, 'did you mean "model"'),
        ({**SMALL, "lora": {"rank": 1}}, 'unknown key "rank"'),
        ({"model": "m", "steps": 1}, "data: expected a source"),
        ({**SMALL, "data": [{"weight": 1}]}, 'a table with "source"'),
        ({**SMALL, "data": [{"source": "run:x", "weight": 0}]}, "weight: expected a number above 0"),
        ({"model": "m", "epochs": 1, "data": [{"source": "run:x", "weight": 2.0}]}, "weights need steps"),
        ({**SMALL, "epochs": 1}, "either steps or epochs"),
        ({**SMALL, "stages": {}}, "a list of tables"),
    ],
)
def test_a_recipe_that_does_not_fit_says_so(data: dict, words: str) -> None:
    with pytest.raises((UnknownName, RecipeError), match=re.escape(words)):
        read_recipe(data, "mine.toml")


def test_files_that_are_no_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match='did you mean "mini_o3"'):
        load_recipe("mini3")
    with pytest.raises(RecipeError, match=r"gone\.toml: cannot be read"):
        load_recipe(str(tmp_path / "gone.toml"))
    (tmp_path / "bad.toml").write_text("model = ")
    with pytest.raises(RecipeError, match=r"bad\.toml: not TOML"):
        load_recipe(str(tmp_path / "bad.toml"))


def test_the_batch_is_split_over_devices_and_passes() -> None:
    recipe = read_recipe({**SMALL, "batch": 32, "micro_batch": 2})
    assert recipe.accumulation(recipe.stages[0], 8) == 2
    with pytest.raises(RecipeError, match="a multiple of micro_batch 2 × 3 devices, got 32"):
        recipe.accumulation(recipe.stages[0], 3)


def test_warmup_is_a_share_or_a_number() -> None:
    assert Stage((), warmup=0.1).warmup_steps(25) == 3
    assert Stage((), warmup=7).warmup_steps(25) == 7
    assert Stage((), warmup=0).warmup_steps(25) == 0
