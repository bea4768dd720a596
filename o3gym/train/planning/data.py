"""What a visual planner learns from: layouts, and states with what is to be written after them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from o3gym.policies.planner.tokenizer import PictureTokenizer
from o3gym.rollout.records import derive_seed
from o3gym.train.planning.recipe import PlanningRecipe
from o3gym.train.recipe import RecipeError
from o3gym.worlds.base import BLOCKED, World, below
from o3gym.worlds.drawing import WORLDS, draw_world
from o3gym.worlds.released_rows import WorldRowError, read_world_rows


class PlannerExample(NamedTuple):
    """A state with what follows it.

    Attributes:
        world: the layout.
        state: the state.
        following: the next state; −1 if it is sampled.
        plan: the moves of an optimal plan from the state, for planners that write words.
    """

    world: World
    state: int
    following: int = BLOCKED
    plan: tuple[int, ...] = ()


class StateTokens:
    """The picture tokens of states. Each state is drawn and encoded once."""

    def __init__(self, tokenizer: PictureTokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[tuple[World, int], tuple[int, ...]] = {}

    def __call__(self, world: World, state: int) -> tuple[int, ...]:
        """Returns the tokens of a state."""
        key = (world, state)
        if key not in self._known:
            self._known[key] = tuple(self.tokenizer.encode(world.render(state)[None])[0])
        return self._known[key]


def training_layouts(recipe: PlanningRecipe) -> list[World]:
    """Returns the layouts of a recipe.

    Raises:
        RecipeError: the file of released rows cannot be read, or has no rows.
    """
    if recipe.data:
        return _released_layouts(recipe)
    return _drawn_layouts(recipe, recipe.layouts, "train")


def validation_layouts(recipe: PlanningRecipe) -> list[World]:
    """Returns the layouts that are evaluated during a training."""
    return _drawn_layouts(recipe, recipe.evaluate_layouts, "val")


def _drawn_layouts(recipe: PlanningRecipe, count: int, split: str) -> list[World]:
    """Layouts of each world and level in turn."""
    worlds = recipe.worlds
    drawn = []
    for n in range(count):
        name, turn = worlds[n % len(worlds)], n // len(worlds)
        levels = recipe.levels or WORLDS[name].levels
        drawn.append(draw_world(name, derive_seed(recipe.seed, "layout", n), levels[turn % len(levels)], split))
    return drawn


def _released_layouts(recipe: PlanningRecipe) -> list[World]:
    try:
        with Path(recipe.data).open(encoding="utf-8") as lines:
            worlds = [row.world for row in read_world_rows(recipe.world, lines)]
    except (OSError, UnicodeDecodeError, WorldRowError) as error:
        raise RecipeError(f"data: {recipe.data}: {error}") from error
    if not worlds:
        raise RecipeError(f"data: {recipe.data}: no rows")
    return worlds


def training_examples(recipe: PlanningRecipe, worlds: Sequence[World]) -> list[PlannerExample]:
    """Returns the distinct examples of a recipe, in a fixed order."""
    if recipe.method == "rewards":
        found: Iterator[PlannerExample] = _states(recipe, worlds)
    elif recipe.method == "walks":
        found = _walk_pairs(recipe, worlds)
    else:
        found = _path_examples(recipe, worlds)
    return list(dict.fromkeys(found))


def _states(recipe: PlanningRecipe, worlds: Sequence[World]) -> Iterator[PlannerExample]:
    if recipe.states == "all":
        return (PlannerExample(w, state) for w in worlds for state in w.remaining if not w.goal(state))
    pairs = _walk_pairs(recipe, worlds) if recipe.states == "walks" else _path_examples(recipe, worlds)
    return (PlannerExample(pair.world, pair.state) for pair in pairs)


def _walk_pairs(recipe: PlanningRecipe, worlds: Sequence[World]) -> Iterator[PlannerExample]:
    rng = Random(derive_seed(recipe.seed, "walks"))
    for world in worlds:
        for _ in range(recipe.walks):
            state = world.start
            for _ in range(recipe.walk_length):
                # At the goal, no move is possible.
                choices = [to for to in world.graph[state] if to != BLOCKED]
                if not choices:
                    break
                following = choices[below(rng, len(choices))]
                yield PlannerExample(world, state, following)
                state = following


def _path_examples(recipe: PlanningRecipe, worlds: Sequence[World]) -> Iterator[PlannerExample]:
    rng = Random(derive_seed(recipe.seed, "paths"))
    for world in worlds:
        for _ in range(recipe.paths):
            plan, state = world.optimal_plan(rng=rng), world.start
            for done, move in enumerate(plan):
                following = world.graph[state][move]
                if recipe.method == "words":
                    yield PlannerExample(world, state, plan=tuple(plan[done:]))
                else:
                    yield PlannerExample(world, state, following)
                state = following


class ExampleBatches:
    """The batches of a training: every epoch in a new order, which follows from the seed.

    All states of a batch have grids of the same size, and so equally many tokens: one forward pass takes them all,
    without padding. The last batch of a size may be smaller. Every batch can be computed by itself, so a resumed
    training needs nothing but its step.

    Attributes:
        per_epoch: number of batches in an epoch.
    """

    def __init__(self, sizes: Sequence[int], batch: int, seed: int) -> None:
        self._batch, self._seed = batch, seed
        self._places = [np.flatnonzero(np.array(sizes) == size) for size in sorted(set(sizes))]
        self.per_epoch = sum(math.ceil(len(places) / batch) for places in self._places)
        self._epoch, self._batches = -1, list[list[int]]()

    def of_step(self, step: int) -> list[int]:
        """Returns the numbers of the examples of a step (from 0)."""
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffled(epoch)
        return self._batches[index]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng(derive_seed(self._seed, "epoch", epoch))
        batches = []
        for places in self._places:
            order = rng.permutation(places).tolist()
            batches += [order[first : first + self._batch] for first in range(0, len(order), self._batch)]
        return [batches[i] for i in rng.permutation(len(batches))]


def example_batches(recipe: PlanningRecipe, examples: Sequence[PlannerExample]) -> ExampleBatches:
    """Returns the batches of a recipe's examples."""
    return ExampleBatches([example.world.rows for example in examples], recipe.batch, recipe.seed)
