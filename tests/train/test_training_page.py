"""What docs/training.md shows is a recipe and a source."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from o3gym.policies.dialogue import Picture
from o3gym.train.recipe import names, read_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


def test_the_recipe_on_the_page_reads() -> None:
    recipe = read_recipe(tomllib.loads(block("toml")))
    assert [stage.batch for stage in recipe.stages] == [32, 32]
    assert recipe.stages[0].data[1].options == {"letters": 4}


def test_the_source_on_the_page_gives_a_dialogue() -> None:
    scope: dict[str, object] = {}
    exec(compile(block("python"), "docs/training.md", "exec"), scope)
    picture = scope["Reading"](letters=2).example(3, 0)[0].parts[0]  # type: ignore[operator]
    assert isinstance(picture, Picture)
    assert picture.load().shape == (448, 448, 3)


def test_every_recipe_is_on_the_page() -> None:
    assert [name for name in names() if f"| `{name}` |" not in PAGE] == []
