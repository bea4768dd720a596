"""Opens the model of a training, freezes parts of it or adds LoRA adapters, and saves it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor, save_processor
from o3gym.registry import import_attribute, require
from o3gym.specs import build_plugin, parse_spec
from o3gym.train.recipe import Lora, RecipeError, TrainingRecipe, is_function

TOWER = re.compile(r"(^|\.)(visual|vision_tower|vision_model)\.")
"""Matches parameters of the vision tower: `visual` of Qwen-VL, `vision_tower`, `vision_model` of LLaVA and others."""
PROJECTOR = re.compile(r"(^|\.)(visual\.(merger|deepstack_merger_list)|multi_modal_projector|connector)\.")
"""Matches parameters between tower and language model. Qwen-VL has them inside `visual`, so this is tested first."""


def open_learner(recipe: TrainingRecipe) -> tuple[Any, Any, Encoder]:
    """Returns the model of a recipe, its parts frozen and adapters added; its processor; and the processor's encoder.

    Also sets torch's number of threads. Raises as `open_model`, `freeze` and `with_adapters` do.
    """
    if recipe.threads:
        require("torch", "train").set_num_threads(recipe.threads)
    model, processor = open_model(recipe)
    encoder = Encoder(processor, recipe.min_pixels, recipe.max_pixels)
    freeze(model, recipe.freeze)
    if recipe.lora is not None:
        require("transformers", "train").set_seed(recipe.seed)
        model = with_adapters(model, recipe.lora)
    return model, processor, encoder


def open_model(recipe: TrainingRecipe) -> tuple[Any, Any]:
    """Returns the model of a recipe, in float32, and its processor.

    Raises:
        RecipeError: the recipe's function does not return a model and a processor.
        ValueError, OSError: the folder does not exist, or holds no model that can be loaded.
    """
    torch = require("torch", "train")
    transformers = require("transformers", "train")
    if is_function(recipe.model):
        return _built(recipe.model, recipe.seed)
    model = transformers.AutoModelForImageTextToText.from_pretrained(recipe.model, dtype=torch.float32)
    return model, load_processor(recipe.model)


def function(spec: str, key: str) -> Any:
    """Imports the function "package.module:name". Raises `RecipeError`, naming the recipe's `key`, if there is none."""
    try:
        return import_attribute(spec)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise RecipeError(f'{key}: "{spec}" names no function ({error})') from error


def _built(spec: str, seed: int) -> tuple[Any, Any]:
    head, _, _ = spec.partition("?")
    factory, options = function(head, "model"), parse_spec(spec)[2]
    require("transformers", "train").set_seed(seed)
    made = build_plugin("model", head, factory, **options)
    if not isinstance(made, tuple) or len(made) != 2:
        raise RecipeError(f'model: "{spec}" must return (model, processor), got {type(made).__name__}')
    return made[0], made[1]


def freeze(model: Any, parts: Sequence[str]) -> int:
    """Freezes parts of a model: "vision", "projector". Returns the number of frozen parameters.

    Raises `RecipeError` if no parameter of the model has a name that belongs to such a part.
    """
    frozen = 0
    for part in parts:
        chosen = [p for name, p in model.named_parameters() if part_of(name) == part]
        if not chosen:
            raise RecipeError(f"freeze: {type(model).__name__} has no parameters that look like its {part}")
        for parameter in chosen:
            parameter.requires_grad_(False)
        frozen += sum(p.numel() for p in chosen)
    return frozen


def part_of(name: str) -> str:
    """Returns the part that a parameter belongs to, by its name: "projector", "vision" or "language"."""
    return "projector" if PROJECTOR.search(name) else "vision" if TOWER.search(name) else "language"


def with_adapters(model: Any, lora: Lora) -> Any:
    """Returns the model with LoRA adapters on linear layers of the language model; everything else is frozen."""
    torch, peft = require("torch", "train"), require("peft", "train")
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and name.rpartition(".")[2] in lora.targets
        and part_of(name + ".") == "language"
    ]
    if not names:
        raise RecipeError(f"lora.targets: {type(model).__name__} has no linear layers named {', '.join(lora.targets)}")
    config = peft.LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names, task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)


def save_model(model: Any, processor: Any, folder: Path, recipe: TrainingRecipe) -> None:
    """Saves the weights in the recipe's `save_dtype`, adapters merged, and the processor. Changes `model`."""
    torch = require("torch", "train")
    if recipe.lora is not None:
        model = model.merge_and_unload()
    model.__dict__.pop("forward", None)  # the trainer's replacement of it
    model.to(getattr(torch, recipe.save_dtype)).save_pretrained(folder)
    save_limits(processor, folder, recipe)


def save_limits(processor: Any, folder: Path, recipe: TrainingRecipe) -> None:
    """Saves the processor with the recipe's pixel limits. Changes `processor`."""
    limits = {"shortest_edge": recipe.min_pixels, "longest_edge": recipe.max_pixels}
    if given := {key: value for key, value in limits.items() if value}:
        images = processor.image_processor
        images.size = {**dict(images.size), **given}
    save_processor(processor, folder)
