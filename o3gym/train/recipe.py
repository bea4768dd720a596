"""Recipes of supervised training as data, read from TOML files in which a comment gives the source of every number.

A recipe consists of settings for the whole training and a list of stages, which run one after the other on the same
weights. A stage's key that stands outside of the stages is the default for every stage. What supervised training and
reinforcement learning share is here as well.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from o3gym.arguments import check_seed
from o3gym.codec import DecodeError, decode, encode
from o3gym.registry import UnknownName, closest
from o3gym.specs import parse_value

Schedule: TypeAlias = Literal["constant", "linear", "cosine"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
Tracker: TypeAlias = Literal["tensorboard", "trackio"]
LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Names of the linear layers of the language model in Qwen-VL and most other families, all of which get adapters."""


class RecipeError(ValueError):
    """A recipe is invalid; the message names the file and the field, what was expected and what was found."""


@dataclass(frozen=True)
class MixturePart:
    """One part of a mixture.

    Attributes:
        source: spec of a source of demonstrations: "policy", "run:FOLDER", "sharegpt:FILE", "mini_o3:FILE" or
            "package.module:attribute?option=value".
        weight: share of the rows, relative to the other parts. Not allowed with `epochs`, which use every row.
        last_turns: overrides the recipe's `last_turns` for this part; −1 keeps the recipe's.
        options: further options of the source.
    """

    source: str
    weight: float = 1.0
    last_turns: int = -1
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A part of a training with its own data and learning rate. Each stage starts with a fresh optimiser.

    Attributes:
        data: the parts of the mixture.
        steps: optimiser steps; either this or `epochs` is given.
        epochs: passes over the data, all of which must be finite.
        batch: rows per optimiser step, over all devices.
        learning_rate: the peak learning rate.
        schedule: how the learning rate falls after the warm-up.
        warmup: steps of linear warm-up; below 1, the share of all steps.
        general_share: share of the rows, from 0 to 1, that come from the last part of the mixture, such as general data
            beside chains; the other parts divide the rest by weight. None for weights alone. Needs `steps`.
        context: maximum tokens of a row, pictures included. Longer demonstrations are replaced by others and counted.
        parts: forward passes that a micro-batch is split into, each over rows of similar length. Saves padding if
            lengths differ much.
    """

    data: tuple[MixturePart, ...]
    steps: int = 0
    epochs: int = 0
    batch: int = 32
    learning_rate: float = 1e-5
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    context: int = 32768
    parts: int = 1
    general_share: float | None = field(default=None, metadata={"json": "if set"})

    def warmup_steps(self, steps: int) -> int:
        """Returns the number of warm-up steps out of `steps`."""
        return warmup_steps(self.warmup, steps)


class Rates(Protocol):
    """The learning rate and its schedule, as a stage and a GRPO recipe give them."""

    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def schedule(self) -> Schedule: ...  # noqa: D102
    def warmup_steps(self, steps: int) -> int: ...  # noqa: D102


def is_function(model: str) -> bool:
    """Whether the model of a recipe is a function, "package.module:name" with or without options, and no folder."""
    head = model.partition("?")[0]
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", head) is not None and not Path(model).exists()


def warmup_steps(warmup: float, steps: int) -> int:
    """Returns the number of warm-up steps out of `steps`: `warmup` itself or, below 1, that share of them."""
    return math.ceil(warmup * steps) if warmup < 1 else round(warmup)


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on linear layers of the language model (arXiv 2106.09685), merged when the model is saved.

    None of the systems that the recipes follow uses adapters, so the defaults are ours: rank 16, scale alpha / r = 2.
    """

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = LINEARS


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Settings that supervised training and reinforcement learning share.

    Attributes:
        name: the name of the recipe.
        source: where its numbers come from.
        model: folder or hub name of the weights to start from, or "package.module:function?option=value" for a
            function that returns (model, processor), for example with random weights.
        seed: seed that everything random follows from.
        freeze: parts that do not learn: "vision" (the tower) and "projector" (between tower and language model).
        lora: adapters instead of full fine-tuning.
        min_pixels, max_pixels: limits to which the processor resizes pictures; 0 keeps its own limits.
        precision: dtype of the forward pass; weights and optimiser states are float32.
        save_dtype: dtype of the saved weights.
        micro_batch: rows per forward pass and device; 0 is the whole batch.
        gradient_checkpointing: whether activations are computed twice to save memory.
        betas, weight_decay: arguments of AdamW.
        clip: maximum gradient norm.
        threads: torch's number of threads; 0 leaves it unchanged.
        log_steps, save_steps: intervals between log entries and between checkpoints, in optimiser steps.
        report_to: further destinations of the log: "tensorboard" (below OUT/checkpoints/), "trackio" (its own folder).
        keep: number of checkpoints that are kept; with 1 there is none to return to if it is damaged.
    """

    model: str
    name: str = ""
    source: str = ""
    seed: int = 0
    freeze: tuple[str, ...] = ()
    lora: Lora | None = None
    min_pixels: int = 0
    max_pixels: int = 0
    precision: Precision = "float32"
    save_dtype: Precision = "bfloat16"
    micro_batch: int = 0
    gradient_checkpointing: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 1.0
    threads: int = 0
    log_steps: int = 10
    save_steps: int = 500
    report_to: tuple[Tracker, ...] = ()
    keep: int = 2


@dataclass(frozen=True, kw_only=True)
class SftRecipe(TrainingRecipe):
    """A supervised training.

    Attributes:
        stages: the stages, in order. A checkpoint is written at the end of each, and `keep` applies to each.
        last_turns: number of final assistant turns that have a loss; 0 for all turns.
        flatten: whether each dialogue becomes a single turn, with the observations inside it.
        window: number of rounds whose pictures stay in a dialogue, as in a rollout with this `Arm.window`; None for
            all. A demonstration then becomes one row for each of its segments, all of them in the same step. Sizes of
            batches count demonstrations, and the loss is the mean over the learnt tokens of all rows.
        workers: number of data-loader processes that make rows.
    """

    stages: tuple[Stage, ...]
    last_turns: int = 0
    flatten: bool = False
    window: int | None = field(default=None, metadata={"json": "if set"})
    workers: int = 0

    def accumulation(self, stage: Stage, devices: int) -> int:
        """Returns the forward passes per step and device. Raises `RecipeError` if the batch does not divide evenly."""
        micro = self.micro_batch or max(1, stage.batch // devices)
        if stage.batch % (micro * devices):
            raise RecipeError(
                f"batch: expected a multiple of micro_batch {micro} × {devices} devices, got {stage.batch}"
            )
        return stage.batch // (micro * devices)


AnyRecipe = TypeVar("AnyRecipe", bound=TrainingRecipe)
STAGE_KEYS = tuple(f.name for f in dataclasses.fields(Stage))
RECIPE_KEYS = tuple(f.name for f in dataclasses.fields(SftRecipe))
LORA_KEYS = tuple(f.name for f in dataclasses.fields(Lora))
FREEZABLE = ("vision", "projector")


def names(kind: str = "sft") -> list[str]:
    """Returns the names of the recipes that come with o3gym, of kind "sft", "grpo" or "planning"."""
    folder = resources.files("o3gym.train") / "recipes" / kind
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load_recipe(spec: str, settings: Iterable[str] = ()) -> SftRecipe:
    """Loads a recipe by name or path and applies settings "key=value".

    A key is a field of the recipe ("seed", "lora.r"), of one stage ("stages.0.steps"), or of every stage ("steps").

    Raises:
        UnknownName: there is no such recipe or key; the message suggests the closest one.
        RecipeError: a value is invalid.
    """
    where, data = read_toml(spec)
    for key, value in changes(settings):
        _assign(data, key, value)
    return read_recipe(data, where)


def changes(settings: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yields key and value of settings "key=value". Raises `RecipeError` for a setting without "="."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise RecipeError(f"--set: expected KEY=VALUE, got {setting!r}")
        yield key.strip(), parse_value(value.strip())


def read_recipe(data: Mapping[str, Any], where: str = "recipe") -> SftRecipe:
    """Builds a recipe from plain values, as TOML gives them. Raises as `load_recipe` does."""
    data = dict(data)
    common = {key: data.pop(key) for key in STAGE_KEYS if key in data}
    stages = data.get("stages", [{}])
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, Mapping) for stage in stages):
        raise RecipeError(f"{where}: stages: expected a list of tables, got {stages!r:.80}")
    data["stages"] = [_stage({**common, **stage}, f"{where}: stages.{i}") for i, stage in enumerate(stages)]
    recipe = decode_recipe(SftRecipe, data, where)
    _check(recipe, where)
    return recipe


def decode_recipe(kind: type[AnyRecipe], data: Mapping[str, Any], where: str) -> AnyRecipe:
    """Builds a recipe of a kind from plain values.

    Raises `UnknownName` for a key that is not one of its fields, and `RecipeError` for an invalid value.
    """
    known_keys(data, tuple(f.name for f in dataclasses.fields(kind)), where)
    if isinstance(data.get("lora"), Mapping):
        known_keys(data["lora"], LORA_KEYS, f"{where}: lora")
    try:
        recipe = decode(kind, data, where)
    except DecodeError as error:
        raise RecipeError(str(error)) from error
    check_training(recipe, where)
    return recipe


def read_toml(spec: str, kind: str = "sft") -> tuple[str, dict[str, Any]]:
    """Returns the plain values of a recipe, by name or path, after the name to use for it in error messages."""
    path = Path(spec)
    if path.suffix != ".toml" and not path.is_file():
        shipped = names(kind)
        if spec not in shipped:
            raise UnknownName(
                f'unknown recipe "{spec}"{closest(spec, shipped)} (known: {", ".join(shipped)}, or a .toml file)'
            )
        text = (resources.files("o3gym.train") / "recipes" / kind / f"{spec}.toml").read_text("utf-8")
        return spec, tomllib.loads(text)
    try:
        return spec, tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not TOML ({error})") from error


def _assign(data: dict[str, Any], key: str, value: Any) -> None:
    first, *rest = key.split(".")
    stages: list[dict[str, Any]] = data.setdefault("stages", [{}])
    if not rest and first in STAGE_KEYS:
        for stage in stages:
            stage[first] = value
            for other in {"steps": ("epochs",), "epochs": ("steps",)}.get(first, ()):
                stage.pop(other, None)
                data.pop(other, None)
    elif first == "stages" and len(rest) == 2:
        if not rest[0].isdigit() or int(rest[0]) >= len(stages):
            raise RecipeError(f'--set {key}: there is no stage "{rest[0]}", the recipe has {len(stages)} (from 0)')
        stages[int(rest[0])][rest[1]] = value
    elif first == "lora" and len(rest) == 1:
        data["lora"] = {**(data.get("lora") or {}), rest[0]: value}
    elif not rest:
        known_keys({first: value}, (*RECIPE_KEYS, *STAGE_KEYS), "--set")
        data[first] = value
    else:
        raise UnknownName(f'--set: unknown key "{key}" (nested ones are stages.0.KEY and lora.KEY)')


def known_keys(data: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    """Raises `UnknownName`, suggesting the closest key, if `data` has a key that is not one of `keys`."""
    for key in data:
        if key not in keys:
            raise UnknownName(f'{where}: unknown key "{key}"{closest(key, keys)} (known: {", ".join(keys)})')


def _stage(data: dict[str, Any], where: str) -> dict[str, Any]:
    known_keys(data, STAGE_KEYS, where)
    mixture = data.get("data")
    if not mixture or not isinstance(mixture, (str, list)):
        raise RecipeError(f"{where}: data: expected a source or a list of sources, got {mixture!r:.80}")
    parts = [mixture] if isinstance(mixture, str) else mixture
    return {**data, "data": [_mixture_part(part, f"{where}.data.{i}") for i, part in enumerate(parts)]}


def _mixture_part(part: Any, where: str) -> dict[str, Any]:
    if isinstance(part, str):
        return {"source": part}
    if not isinstance(part, Mapping) or not isinstance(part.get("source"), str):
        raise RecipeError(f'{where}: expected a source or a table with "source", got {part!r:.80}')
    own = {key: part[key] for key in ("source", "weight", "last_turns") if key in part}
    return {**own, "options": {key: copy.deepcopy(value) for key, value in part.items() if key not in own}}


def check_training(recipe: TrainingRecipe, where: str) -> None:
    """Raises `RecipeError` or `UnknownName` for an invalid value of the shared settings."""
    for part in recipe.freeze:
        if part not in FREEZABLE:
            raise UnknownName(
                f'{where}: freeze: unknown part "{part}"{closest(part, FREEZABLE)} (known: vision, projector)'
            )
    for key in ("log_steps", "save_steps", "keep"):
        at_least(getattr(recipe, key), 1, f"{where}: {key}")
    for key in ("micro_batch", "threads", "min_pixels", "max_pixels", "clip"):
        at_least(getattr(recipe, key), 0, f"{where}: {key}")
    try:
        check_seed(recipe.seed)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from error


def _check(recipe: SftRecipe, where: str) -> None:
    at_least(recipe.workers, 0, f"{where}: workers")
    at_least(recipe.last_turns, 0, f"{where}: last_turns")
    check_window(recipe.window, where)
    if recipe.window is not None and recipe.flatten:
        raise RecipeError(f"{where}: window, flatten: expected one of the two, because a flat dialogue has no rounds")
    for number, stage in enumerate(recipe.stages):
        at = f"{where}: stages.{number}"
        at_least(stage.batch, 1, f"{at}.batch")
        at_least(stage.context, 1, f"{at}.context")
        at_least(stage.parts, 1, f"{at}.parts")
        if (stage.steps > 0) == (stage.epochs > 0) or min(stage.steps, stage.epochs) < 0:
            raise RecipeError(f"{at}: expected either steps or epochs above 0, got {stage.steps} and {stage.epochs}")
        if stage.epochs and any(part.weight != 1.0 for part in stage.data):
            raise RecipeError(f"{at}: weights need steps, because an epoch uses every row exactly once")
        if any(part.weight <= 0 for part in stage.data):
            raise RecipeError(f"{at}: weight: expected a number above 0")
        share = 0.0 if stage.general_share is None else stage.general_share
        if not 0 <= share <= 1:
            raise RecipeError(f"{at}: general_share: expected a number from 0 to 1, got {share}")
        if stage.general_share is not None and (stage.epochs or len(stage.data) < 2):
            raise RecipeError(f"{at}: general_share needs steps, and general data as the last of two or more parts")


def check_window(window: int | None, where: str) -> None:
    """Raises `RecipeError` if a window keeps no round at all."""
    if window is not None:
        at_least(window, 1, f"{where}: window")


def at_least(value: float, least: float, where: str) -> None:
    """Raises `RecipeError` if a number is too small."""
    if not value >= least:  # also refuses nan
        raise RecipeError(f"{where}: expected at least {least}, got {value}")


def devices() -> int:
    """Returns the number of processes of a distributed training, which torchrun and accelerate set as WORLD_SIZE."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def as_json(recipe: TrainingRecipe) -> dict[str, Any]:
    """Returns the resolved recipe as plain values."""
    data: dict[str, Any] = encode(recipe)
    return data
