"""The model of a training: opened, partly frozen or given adapters, and saved."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor, save_processor
from o3gym.registry import build_plugin, parse_spec, require
from o3gym.train.recipe import Lora, RecipeError, TrainingRecipe

TOWER = re.compile(r"(^|\.)(visual|vision_tower|vision_model)\.")
"""Parameters of the vision tower, by name: Qwen-VL's `visual`, LLaVA's and others' `vision_tower`, `vision_model`."""
PROJECTOR = re.compile(r"(^|\.)(visual\.(merger|deepstack_merger_list)|multi_modal_projector|connector)\.")
"""Parameters between tower and language model; Qwen-VL has them inside `visual`."""
HOOK = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def open_learner(recipe: TrainingRecipe) -> tuple[Any, Any, Encoder]:
    """What a recipe trains, frozen and with adapters as it says; its processor, and the encoder of that.

    Sets torch's threads, too. Raises as `open_model`, `freeze` and `with_adapters` do.
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
    """The model (float32) and its processor.

    Raises:
        RecipeError: the recipe's function does not return the two.
        ValueError, OSError: there is no such folder, or nothing in it that can be loaded.
    """
    torch = require("torch", "train")
    transformers = require("transformers", "train")
    head = recipe.model.partition("?")[0]
    if HOOK.fullmatch(head) and not Path(recipe.model).exists():
        return _built(recipe.model, recipe.seed)
    model = transformers.AutoModelForImageTextToText.from_pretrained(recipe.model, dtype=torch.float32)
    return model, load_processor(recipe.model)


def function(spec: str, key: str) -> Any:
    """The function "package.module:name" that a recipe's `key` names. Raises `RecipeError` if there is none."""
    module, _, name = spec.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
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
    """Exclude parts from learning: "vision", "projector". Returns how many parameters that are.

    Raises `RecipeError` if the model has no parameters by the names that such a part has.
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
    """Which part a parameter belongs to: "projector", "vision" or "language"."""
    return "projector" if PROJECTOR.search(name) else "vision" if TOWER.search(name) else "language"


def with_adapters(model: Any, lora: Lora) -> Any:
    """The model with adapters on the language model's linear layers; everything else is frozen."""
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
    """Weights (adapters merged) in the recipe's dtype and the processor with its pixel limits. Changes `model`."""
    torch = require("torch", "train")
    if recipe.lora is not None:
        model = model.merge_and_unload()
    model.__dict__.pop("forward", None)  # the trainer's own, see `Trainer`
    model.to(getattr(torch, recipe.save_dtype)).save_pretrained(folder)
    save_limits(processor, folder, recipe)


def save_limits(processor: Any, folder: Path, recipe: TrainingRecipe) -> None:
    """The processor with the recipe's pixel limits. Changes `processor`."""
    limits = {"shortest_edge": recipe.min_pixels, "longest_edge": recipe.max_pixels}
    if given := {key: value for key, value in limits.items() if value}:
        images = processor.image_processor
        images.size = {**dict(images.size), **given}
    save_processor(processor, folder)
