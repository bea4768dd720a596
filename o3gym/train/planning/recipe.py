"""Recipes of the training of visual planners as data: layouts, what is learnt from them, and optimiser steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from o3gym.registry import UnknownName, closest
from o3gym.train.recipe import (
    RecipeError,
    Schedule,
    TrainingRecipe,
    at_least,
    changes,
    decode_recipe,
    read_toml,
    warmup_steps,
)
from o3gym.worlds.drawing import WORLDS, check_world

PlannerMethod: TypeAlias = Literal["walks", "paths", "words", "rewards"]
TrainedStates: TypeAlias = Literal["walks", "paths", "all"]
UNUSED = ("freeze", "min_pixels", "max_pixels", "report_to")
"""Keys that recipes of every kind share but planners have no use for: a planner has neither a vision tower nor a
processor, and its log goes to `training.json` alone."""


@dataclass(frozen=True, kw_only=True)
class PlanningRecipe(TrainingRecipe):
    """A training of a visual planner.

    Attributes:
        method: what is learnt. "walks": the next state of random walks (the first stage of VPRL). "paths": the next
            state of optimal paths (VPFT). "words": from the states of the same paths, the rest of the plan in words.
            "rewards": GRPO on candidate next states (VPRL).
        tokenizer: "package.module:function" of a picture tokenizer for a model of your own; "" for the model's.
        world: "frozenlake", "maze" or "minibehaviour"; several, joined by "+", for one planner of all of them.
        levels: levels of the layouts, equally often; none for all released levels.
        layouts: number of layouts, drawn from the training split by the seed.
        data: a JSONL file of released rows of one world, whose layouts are used instead.
        walks, walk_length: random walks per layout, and the maximum number of moves of a walk.
        paths: optimal paths per layout, drawn by the seed. Pairs that occur in several of them are used once.
        states: where the states come from for which "rewards" samples candidates: random walks, optimal paths, or all
            states of the layouts. The goal is never among them.
        steps: optimiser steps; either this or `epochs` is given.
        epochs: passes over the pairs or states.
        batch: pairs, or states for which candidates are sampled, per optimiser step. All of them have the same level.
        learning_rate, schedule, warmup: as in the other kinds of training.
        samples: candidates per state; they form a group.
        temperature: sampling temperature of the candidates.
        strict: whether a candidate must show the resulting state and nothing else, see
            `o3gym.worlds.interpreter.read_move`.
        kl: coefficient of the divergence from the starting weights (k3 estimator); 0 needs no reference model.
        epsilon: added to the standard deviation that the rewards of a group are divided by.
        evaluate_steps: interval in optimiser steps at which plans for layouts of the validation split are scored and
            logged; 0 for never.
        evaluate_layouts: number of these layouts.
    """

    method: PlannerMethod
    tokenizer: str = ""
    world: str = "frozenlake"
    levels: tuple[int, ...] = ()
    layouts: int = 1000
    data: str = ""
    walks: int = 1
    walk_length: int = 8
    paths: int = 1
    states: TrainedStates = "paths"
    steps: int = 0
    epochs: int = 0
    batch: int = 32
    learning_rate: float = 1e-4
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    samples: int = 10
    temperature: float = 1.0
    strict: bool = True
    kl: float = 0.0
    epsilon: float = 1e-4
    evaluate_steps: int = 0
    evaluate_layouts: int = 100

    @property
    def worlds(self) -> tuple[str, ...]:
        """The names of the worlds."""
        return tuple(self.world.split("+"))

    def warmup_steps(self, steps: int) -> int:
        """Returns the number of warm-up steps out of `steps`."""
        return warmup_steps(self.warmup, steps)

    def total_steps(self, per_epoch: int) -> int:
        """Returns the number of optimiser steps with this number of batches per epoch."""
        return self.steps or self.epochs * per_epoch


PLANNING_KEYS = tuple(f.name for f in dataclasses.fields(PlanningRecipe))


def load_planning(spec: str, settings: Iterable[str] = ()) -> PlanningRecipe:
    """Loads a recipe by name or path and applies settings "key=value"; a key is a field or "lora.FIELD".

    Raises:
        UnknownName: there is no such recipe or key; the message suggests the closest one.
        RecipeError: a value is invalid.
    """
    where, data = read_toml(spec, "planning")
    for key, value in changes(settings):
        _assign(data, key, value)
    return read_planning(data, where)


def read_planning(data: Mapping[str, Any], where: str = "recipe") -> PlanningRecipe:
    """Builds a recipe from plain values, as TOML gives them. Raises as `load_planning` does."""
    recipe = decode_recipe(PlanningRecipe, data, where)
    defaults = {f.name: f.default for f in dataclasses.fields(PlanningRecipe)}
    for key in UNUSED:
        if getattr(recipe, key) != defaults[key]:
            raise RecipeError(f"{where}: {key}: planners have no use for it")
    _check_data(recipe, where)
    for key in ("batch", "walks", "walk_length", "paths", "layouts", "evaluate_layouts"):
        at_least(getattr(recipe, key), 1, f"{where}: {key}")
    for key in ("learning_rate", "warmup", "kl", "epsilon", "evaluate_steps"):
        at_least(getattr(recipe, key), 0, f"{where}: {key}")
    if (recipe.steps > 0) == (recipe.epochs > 0) or min(recipe.steps, recipe.epochs) < 0:
        raise RecipeError(f"{where}: expected either steps or epochs above 0, got {recipe.steps} and {recipe.epochs}")
    at_least(recipe.samples, 2, f"{where}: samples")
    if not 0 < recipe.temperature < math.inf:
        raise RecipeError(f"{where}: temperature: expected a number above 0, got {recipe.temperature}")
    return recipe


def _check_data(recipe: PlanningRecipe, where: str) -> None:
    for world in recipe.worlds:
        if world not in WORLDS:
            raise UnknownName(f'{where}: world: unknown "{world}"{closest(world, WORLDS)}')
        try:
            for level in recipe.levels:
                check_world(world, level)
        except ValueError as error:
            raise RecipeError(f"{where}: levels: {error}") from error
    if recipe.data and len(recipe.worlds) > 1:
        raise RecipeError(f'{where}: data: expected one world for a file of rows, got "{recipe.world}"')


def _assign(data: dict[str, Any], key: str, value: Any) -> None:
    first, *rest = key.split(".")
    if rest and (first != "lora" or len(rest) > 1):
        raise UnknownName(f'--set: unknown key "{key}" (nested ones are lora.KEY)')
    if first not in PLANNING_KEYS:
        raise UnknownName(
            f'--set: unknown key "{first}"{closest(first, PLANNING_KEYS)} (known: {", ".join(PLANNING_KEYS)})'
        )
    if rest:
        data["lora"] = {**(data.get("lora") or {}), rest[0]: value}
        return
    data[first] = value
    for other in {"steps": ("epochs",), "epochs": ("steps",)}.get(first, ()):
        data.pop(other, None)
