"""One setting for the share of general data: 0 to 100% of the rows, and refused where it would mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from o3gym.train.data.mixture import Mixture
from o3gym.train.recipe import RecipeError, SftRecipe, as_json, load_recipe, read_recipe

PARTS = ["colours:Colours", {"source": "colours:Colours", "weight": 3}, "colours:Colours?longer=3"]


def recipe(**more: Any) -> SftRecipe:
    return read_recipe({"model": "m", "data": PARTS, "steps": 100, "batch": 10, **more})


def parts(chosen: SftRecipe) -> list[int]:
    mixture = Mixture(chosen.stages[0], 0)
    return [mixture.where(index).part for index in range(mixture.rows)]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_last_part_has_the_share_and_the_others_divide_the_rest_by_weight(share: float) -> None:
    drawn = parts(recipe(general_share=share))
    counts = [drawn.count(part) / len(drawn) for part in range(3)]
    expected = [(1 - share) / 4, 3 * (1 - share) / 4, share]
    assert counts == pytest.approx(expected, abs=0.05)
    assert [count == 0 for count in counts] == [value == 0 for value in expected]


def test_without_the_setting_weights_decide_and_the_stored_recipe_has_no_such_key() -> None:
    drawn = parts(recipe())
    assert drawn.count(1) / len(drawn) == pytest.approx(0.6, abs=0.05)
    assert "general_share" not in as_json(recipe())["stages"][0]
    assert as_json(recipe(general_share=0.0))["stages"][0]["general_share"] == 0.0


def test_a_larger_share_replaces_rows_and_keeps_the_general_ones() -> None:
    some, more = (parts(recipe(general_share=share)) for share in (0.25, 0.5))
    assert all(other == 2 for one, other in zip(some, more, strict=True) if one == 2)


def test_the_command_line_sets_it_for_every_stage(tmp_path: Any) -> None:
    path = tmp_path / "r.toml"
    path.write_text('model = "m"\nsteps = 4\ndata = ["colours:Colours", "colours:Colours"]\n', "utf-8")
    assert load_recipe(str(path), ["general_share=0.75"]).stages[0].general_share == 0.75


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"general_share": -0.1}, "general_share: expected a number from 0 to 1, got -0.1"),
        ({"general_share": 1.5}, "expected a number from 0 to 1"),
        ({"general_share": float("nan")}, "expected a number from 0 to 1"),
        ({"general_share": "much"}, "general_share"),
        (
            {"general_share": 0.5, "data": "colours:Colours"},
            "general_share needs steps, and general data as the last of two",
        ),
    ],
)
def test_other_values_are_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe(**more)


def test_epochs_use_every_row_so_there_is_no_share() -> None:
    with pytest.raises(RecipeError, match="general_share needs steps"):
        read_recipe({"model": "m", "data": ["a:A", "b:B"], "epochs": 1, "general_share": 0.5})
