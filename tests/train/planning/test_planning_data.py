from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from o3gym.train.planning.data import (
    ExampleBatches,
    StateTokens,
    example_batches,
    training_examples,
    training_layouts,
    validation_layouts,
)
from o3gym.train.recipe import RecipeError
from tests.train.planning.lake import lake_recipe, lake_tokenizer


def test_layouts_come_from_the_training_split_and_follow_from_the_seed() -> None:
    recipe = lake_recipe(levels=[3, 5], layouts=6)
    worlds = training_layouts(recipe)
    assert [world.level for world in worlds] == [3, 5, 3, 5, 3, 5]
    assert {world.split for world in worlds} == {"train"}
    assert [world.map_key() for world in training_layouts(recipe)] == [world.map_key() for world in worlds]
    assert training_layouts(lake_recipe(levels=[3, 5], layouts=6, seed=4))[1].map_key() != worlds[1].map_key()
    assert {world.split for world in validation_layouts(recipe)} == {"val"}


def test_one_planner_can_learn_several_worlds_whose_batches_are_grids_of_one_size() -> None:
    recipe = lake_recipe(world="frozenlake+minibehaviour", levels=[], layouts=8)
    worlds = training_layouts(recipe)
    assert [(world.name, world.level) for world in worlds[:6]] == [
        *(("frozenlake", 3), ("minibehaviour", 5), ("frozenlake", 4), ("minibehaviour", 6)),
        *(("frozenlake", 5), ("minibehaviour", 5)),
    ]
    examples = training_examples(recipe, worlds)
    batches = example_batches(recipe, examples)
    for step in range(batches.per_epoch):
        assert len({examples[i].world.rows for i in batches.of_step(step)}) == 1
    with pytest.raises(RecipeError, match="expected one world for a file of rows"):
        lake_recipe(world="frozenlake+maze", levels=[], data="rows.jsonl")


def test_walks_are_valid_moves_in_a_row() -> None:
    recipe = lake_recipe(method="walks", walks=2, walk_length=5, levels=[5])
    worlds = training_layouts(recipe)
    examples = training_examples(recipe, worlds)
    assert 0 < len(examples) <= 2 * 5 * len(worlds)
    for example in examples:
        assert example.following in example.world.graph[example.state]
        assert example.following >= 0
    assert {example.world for example in examples} == set(worlds)
    assert any(
        example.world.remaining[example.following] > example.world.remaining[example.state] for example in examples
    )


@pytest.mark.parametrize("world", ["frozenlake", "maze", "minibehaviour"])
def test_paths_are_optimal_and_words_have_the_same_states(world: str) -> None:
    paths, words = (lake_recipe(method=method, world=world, levels=[], paths=2) for method in ("paths", "words"))
    worlds = training_layouts(paths)
    drawn, written = training_examples(paths, worlds), training_examples(words, worlds)
    for example in drawn:
        assert example.world.remaining[example.following] == example.world.remaining[example.state] - 1
    assert {(example.world, example.state) for example in drawn} == {(w.world, w.state) for w in written}
    for example in written:
        state = example.state
        for move in example.plan:
            state, valid = example.world.step(state, move)
            assert valid
        assert example.world.goal(state)
        assert len(example.plan) == example.world.remaining[example.state]


def test_states_for_candidates_are_never_goals() -> None:
    everything = lake_recipe(method="rewards", states="all")
    worlds = training_layouts(everything)
    states = training_examples(everything, worlds)
    assert len(states) == sum(len(world.remaining) - 1 for world in worlds)
    for source in ("walks", "paths"):
        recipe = lake_recipe(method="rewards", states=source)
        some = training_examples(recipe, worlds)
        assert some
        assert set(some) < set(states)


def test_an_epoch_has_every_example_once_and_a_batch_one_level() -> None:
    levels = [3] * 5 + [4] * 9
    batches = ExampleBatches(levels, 4, seed=1)
    assert batches.per_epoch == 2 + 3
    first = [batches.of_step(step) for step in range(5)]
    assert sorted(chain(*first)) == list(range(14))
    assert all(len({levels[i] for i in batch}) == 1 for batch in first)
    second = [batches.of_step(step) for step in range(5, 10)]
    assert sorted(chain(*second)) == list(range(14))
    assert second != first
    assert batches.of_step(2) == first[2]  # a step's batch does not depend on the steps before it
    assert [ExampleBatches(levels, 4, seed=1).of_step(step) for step in range(5)] == first


def test_epochs_become_steps() -> None:
    recipe = lake_recipe(epochs=3, levels=[3, 4], batch=2)
    batches = example_batches(recipe, training_examples(recipe, training_layouts(recipe)))
    assert recipe.total_steps(batches.per_epoch) == 3 * batches.per_epoch


def test_the_tokens_of_a_state_are_those_of_its_picture() -> None:
    recipe = lake_recipe(levels=[4])
    tokens = StateTokens(lake_tokenizer())
    for world in training_layouts(recipe):
        ids = tokens(world, world.start)
        assert len(ids) == 17
        assert list(ids) == lake_tokenizer().encode(world.render(world.start)[None])[0]
        assert tokens(world, world.start) is ids


def test_a_bad_file_of_rows_is_an_error_of_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data: .*none\.jsonl"):
        training_layouts(lake_recipe(data=str(tmp_path / "none.jsonl")))
    file = tmp_path / "rows.jsonl"
    file.write_text("\n")
    with pytest.raises(RecipeError, match="no rows"):
        training_layouts(lake_recipe(data=str(file)))
    file.write_text('{"meta": 1}\n')
    with pytest.raises(RecipeError, match=r"row 1: meta"):
        training_layouts(lake_recipe(data=str(file)))
