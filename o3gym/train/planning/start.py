"""The planner that a training starts with."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

from o3gym.policies.planner.cells import CellTokenizer
from o3gym.policies.planner.layout import PlannerForm
from o3gym.policies.planner.model import Planner, build_planner, load_planner
from o3gym.policies.planner.tokenizer import load_picture_tokenizer
from o3gym.registry import require
from o3gym.specs import build_plugin, parse_spec
from o3gym.train.models import function, with_adapters
from o3gym.train.planning.recipe import PlanningRecipe
from o3gym.train.recipe import RecipeError, is_function

torch = require("torch", "train")


def small_planner(
    seed: int = 0, form: PlannerForm = "picture", layers: int = 3, width: int = 64, heads: int = 4
) -> Planner:
    """Builds a planner with random weights and our own tokenizer, small enough to train on two cores.

    Args:
        seed: seed of the weights. All planners have the same codebook, which takes a few seconds to fit.
        form: what the planner writes.
        layers: number of layers.
        width: size of the hidden states.
        heads: number of attention heads.
    """
    return build_planner(_codebook(), form, layers, width, heads, seed)


@cache
def _codebook() -> CellTokenizer:
    return CellTokenizer.fit()


def open_learning_planner(recipe: PlanningRecipe) -> Planner:
    """Returns the planner of a recipe in float32, on an accelerator if there is one, with adapters if it has some.

    Also sets torch's number of threads.

    Raises:
        RecipeError: the recipe's function does not return a planner, or the planner has no words for moves.
        ValueError: the folder holds no planner that can be loaded.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    planner = _started(recipe)
    form: PlannerForm = "words" if recipe.method == "words" else "picture"
    if form == "words" and not planner.layout.moves:
        raise RecipeError(f'model: "{recipe.model}" has no words for moves, which method = "words" writes')
    model = planner.model.float().to(_device())
    if recipe.lora is not None:
        torch.manual_seed(recipe.seed)
        model = with_adapters(model, recipe.lora)
    if recipe.gradient_checkpointing:
        # the second name is deprecated where there is the first one
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable()
        model.enable_input_require_grads()  # otherwise no gradient reaches adapters through frozen embeddings
    return Planner(model, planner.tokenizer, dataclasses.replace(planner.layout, form=form))


def _started(recipe: PlanningRecipe) -> Planner:
    if not is_function(recipe.model):
        tokenizer = load_picture_tokenizer(recipe.tokenizer, Path(recipe.model)) if recipe.tokenizer else None
        return load_planner(recipe.model, tokenizer)
    head, options = recipe.model.partition("?")[0], parse_spec(recipe.model)[2]
    built: Any = build_plugin("model", head, function(head, "model"), **{"seed": recipe.seed, **options})
    if not isinstance(built, Planner):
        raise RecipeError(f'model: "{recipe.model}" must return a Planner, got {type(built).__name__}')
    return built


def _device() -> Any:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
