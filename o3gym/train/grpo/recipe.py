"""Recipes of reinforcement learning as data: which episodes are played, and how rewards become optimiser steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from o3gym.policies.two_agent import CALLS, searcher_env
from o3gym.policies.window import most_segments
from o3gym.registry import UnknownName, closest
from o3gym.rewards.reasoning import require_reasoning_judge
from o3gym.sampling import Sampling
from o3gym.specs import parse_spec
from o3gym.suites.base import recommended_turns
from o3gym.train.grpo.advantages import Denominator, Mean, Norm, OverTurn, Stats, Void
from o3gym.train.recipe import (
    RecipeError,
    Schedule,
    TrainingRecipe,
    at_least,
    changes,
    check_window,
    decode_recipe,
    is_function,
    known_keys,
    read_toml,
    warmup_steps,
)

OldLogprobs: TypeAlias = Literal["compute", "rollout"]


@dataclass(frozen=True, kw_only=True)
class InLoop:
    """The in-loop half of InSight-o3's training: searches that a reasoner delegates to the learner.

    Every search is an episode of the learner; its reward depends on what the reasoner makes of the result. Budgets and
    picture sizes of the searches are those of the recipe's `env`.

    Attributes:
        reasoner: spec of the policy that works on the tasks; it does not learn.
        dialect: the reasoner's wire format, one in which it rates the result of each search.
        env: arguments of the reasoner's environment: suite, suite_args, max_calls, ….
        reward: name of the searches' reward.
        judge: judge spec for the reasoner's answers; "" for rules alone.
        temperature: sampling temperature of the reasoner.
        max_tokens: maximum tokens of a reply of the reasoner.
        prompts: the reasoner's tasks per rollout, over all devices; 0 for no in-loop half.
        samples: episodes of the reasoner per task.
        norm: what a search is compared with: all searches of the rollout ("global"), since no two need be alike, or the
            searches for the same task ("group"), see `o3gym.train.grpo.advantages.advantages`.
    """

    reasoner: str = ""
    dialect: str = "insight_o3_reasoner?feedback=true"
    env: Mapping[str, Any] = field(default_factory=dict)
    reward: str = "insight_o3_in_loop"
    judge: str = ""
    temperature: float = 1.0
    max_tokens: int = 2048
    prompts: int = 0
    samples: int = 8
    norm: Norm = "global"

    @property
    def calls(self) -> int:
        """Maximum number of searches that the reasoner may delegate in an episode."""
        return int(self.env.get("max_calls", CALLS))


@dataclass(frozen=True, kw_only=True)
class GrpoRecipe(TrainingRecipe):
    """A training with group-relative policy optimisation (GRPO) in o3gym's environments.

    Attributes:
        env: arguments of `o3gym/VisualSearch-v0`: suite, tools, max_turns, max_pixels, ….
        dialect: spec of the learner's wire format; "" for the policy's own.
        sight: "package.module:function" that maps the native width and height of a region to the size at which it is
            shown, one that the processor leaves unchanged; "" for the processor's own sizes.
        sampler: what generates the replies of a rollout: "" for the model that learns, in its own process;
            "vllm?option=value&…" for vLLM beside each process; "vllm_server?url=…" for a vLLM server. Options are those
            of these policies. Their probabilities differ from the model's by rounding. `old_logprobs` = "rollout" uses
            theirs, even with one update; "compute" ignores the difference.
        reward: name of the reward.
        judge: judge spec; "" for rules alone.
        temperature, top_p, max_tokens: sampling of the replies.
        repetition_penalty: see `o3gym.sampling.Sampling`; 1 for none.
        code_temperature: temperature inside of code in the replies, for dialects that mark it (`Dialect.code_tags`);
            None for `temperature` throughout.
        code_loss: whether the tokens that were sampled at `code_temperature` have a loss. By default they do, as in
            Thyme's released trainer.
        context: maximum tokens of a dialogue; 0 for the model's own maximum.
        window: number of rounds whose pictures stay in the dialogue, besides those shown at reset; None for all. Each
            cut starts a new segment, which is a row of its own with the episode's advantage. Means and totals count an
            episode's segments as one sequence.
        steps: optimiser steps.
        learning_rate, schedule, warmup: as in supervised training.
        prompts: tasks per rollout, over all devices.
        samples: episodes per task; they form a group.
        updates: optimiser steps that a rollout is split over. With 1 the training is on-policy.
        old_logprobs: log-probabilities of the policy that acted, needed with more than one update: "compute" makes a
            forward pass for them, as the released systems do; "rollout" takes those of the sampling, at no cost. vLLM
            cannot supply all of them, such as those with `top_p` below 1; such a combination is refused.
        clip_low, clip_high: the probability ratio of a token is clipped to 1 − clip_low … 1 + clip_high.
        kl: coefficient of the divergence from the starting weights (k3 estimator); 0 needs no reference model.
        norm, std, epsilon: see `o3gym.train.grpo.advantages.advantages`.
        difficulty_weights: whether advantages are weighed by the difficulty of their task, as in VITAL's DGRPO; in-loop
            searches are not.
        full_reward: the reward from which that difficulty is measured, see
            `o3gym.train.grpo.advantages.difficulty_weights`.
        over_turn_masking, void: see `o3gym.train.grpo.advantages.kept`.
        over_turn: which last replies count as over-turn, see `o3gym.train.grpo.advantages.masking_stop`.
        stats: whether masked episodes count in their group's statistics. By default they do, as in Mini-o3's code.
        mean, denominator: see `o3gym.train.grpo.advantages.weights`.
        refills: additional rollouts that may be played until `prompts` groups have rewards that differ; 0 keeps uniform
            groups.
        slots: dialogues whose keys and values are cached at once.
        in_flight: episodes alive at once.
        watch: interval in rollouts at which episodes are stored in the run-folder format; 0 for never.
        in_loop: the in-loop half of each rollout, in which a reasoner delegates searches to the learner.
    """

    env: Mapping[str, Any] = field(default_factory=dict)
    dialect: str = ""
    sight: str = ""
    sampler: str = ""
    reward: str = "outcome"
    judge: str = ""
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    repetition_penalty: float = field(default=1.0, metadata={"json": "if set"})
    code_temperature: float | None = field(default=None, metadata={"json": "if set"})
    code_loss: bool = field(default=True, metadata={"json": "if set"})
    context: int = 0
    window: int | None = field(default=None, metadata={"json": "if set"})
    steps: int = 0
    learning_rate: float = 1e-6
    schedule: Schedule = "constant"
    warmup: float = 0.0
    prompts: int = 32
    samples: int = 8
    updates: int = 1
    old_logprobs: OldLogprobs = "compute"
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl: float = 0.0
    norm: Norm = "group"
    std: bool = True
    epsilon: float = 1e-6
    difficulty_weights: bool = False
    full_reward: float = 2.0
    over_turn_masking: bool = False
    over_turn: OverTurn = "valid"
    void: Void = "penalise"
    stats: Stats = "include"
    mean: Mean = "token"
    denominator: Denominator = "kept"
    refills: int = 0
    slots: int = 32
    in_flight: int = 32
    watch: int = 0
    in_loop: InLoop = InLoop()

    @property
    def sampling(self) -> Sampling:
        """How the learner's replies are sampled."""
        return Sampling(
            self.temperature,
            self.top_p,
            self.max_tokens,
            repetition_penalty=self.repetition_penalty,
            code_temperature=self.code_temperature,
        )

    def warmup_steps(self, steps: int) -> int:
        """Returns the number of warm-up steps out of `steps`."""
        return warmup_steps(self.warmup, steps)

    def share(self, devices: int) -> int:
        """Returns the tasks per rollout and device. Raises `RecipeError` if they do not divide evenly."""
        return _share(self.prompts, devices, "prompts")

    @property
    def max_turns(self) -> int:
        """The number of turns of an episode: the environment's argument, or the suite's recommendation."""
        return int(self.env.get("max_turns", recommended_turns(self.env.get("suite", "synthetic"))))

    def accumulation(self, devices: int) -> int:
        """Returns the forward passes per optimiser step and device, each of at most `micro_batch` rows.

        The number of in-loop searches differs from rollout to rollout, but TRL needs a fixed number of passes. So it is
        planned for as many searches as the reasoner may delegate, and as many segments as an episode may have.
        """
        inside = _share(self.in_loop.prompts, devices, "in_loop.prompts")
        rows = math.ceil(self.share(devices) / self.updates) * self.samples
        rows += math.ceil(inside / self.updates) * self.in_loop.samples * self.in_loop.calls
        turns = max(self.max_turns, searcher_env()["max_turns"] if self.in_loop.prompts else 0)
        rows *= most_segments(int(self.env.get("max_turns", turns)), self.window)
        return math.ceil(rows / (self.micro_batch or rows))


def _share(prompts: int, devices: int, name: str) -> int:
    if prompts % devices:
        raise RecipeError(f"{name}: expected a multiple of {devices} devices, got {prompts}")
    return prompts // devices


GRPO_KEYS = tuple(f.name for f in dataclasses.fields(GrpoRecipe))
NESTED = ("env", "lora", "in_loop")
IN_LOOP_KEYS = tuple(f.name for f in dataclasses.fields(InLoop))


def load_grpo(spec: str, settings: Iterable[str] = ()) -> GrpoRecipe:
    """Loads a recipe by name or path and applies settings "key=value".

    A key is a field of the recipe ("prompts"), or one of "env.KEY", "lora.KEY", "in_loop.KEY" and "in_loop.env.KEY".

    Raises:
        UnknownName: there is no such recipe or key; the message suggests the closest one.
        RecipeError: a value is invalid.
    """
    where, data = read_toml(spec, "grpo")
    for key, value in changes(settings):
        _assign(data, key, value)
    return read_grpo(data, where)


def read_grpo(data: Mapping[str, Any], where: str = "recipe") -> GrpoRecipe:
    """Builds a recipe from plain values, as TOML gives them. Raises as `load_grpo` does."""
    if isinstance(data.get("in_loop"), Mapping):
        known_keys(data["in_loop"], IN_LOOP_KEYS, f"{where}: in_loop")
    recipe = decode_recipe(GrpoRecipe, data, where)
    for key in ("steps", "updates", "max_tokens", "slots", "in_flight"):
        at_least(getattr(recipe, key), 1, f"{where}: {key}")
    check_window(recipe.window, where)
    _check_in_loop(recipe.in_loop, where)
    at_least(recipe.prompts, 0 if recipe.in_loop.prompts else 1, f"{where}: prompts")
    at_least(recipe.samples, 2, f"{where}: samples")
    for key in ("context", "refills", "watch", "kl", "clip_low", "clip_high", "warmup", "full_reward"):
        at_least(getattr(recipe, key), 0, f"{where}: {key}")
    if recipe.sampler.partition("?")[0] not in ("", "vllm", "vllm_server"):
        raise RecipeError(f'{where}: sampler: expected "", "vllm?…" or "vllm_server?url=…", got "{recipe.sampler}"')
    if recipe.sampler and recipe.sight:
        raise RecipeError(
            f"{where}: sampler, sight: expected one of the two, because vLLM shows pictures at the processor's sizes"
        )
    _check_sampling(recipe, where)
    _check_judge(recipe, where)
    if recipe.kl and recipe.lora is None and is_function(recipe.model):
        raise RecipeError(
            f"{where}: kl, model: expected kl = 0, the folder of a model, or lora, because TRL loads the model to "
            f'compare with from a folder; got kl = {recipe.kl} and the function "{recipe.model}"'
        )
    if recipe.save_steps % recipe.updates or recipe.steps % recipe.updates:
        raise RecipeError(
            f"{where}: steps, save_steps: expected multiples of updates = {recipe.updates}, because a training is "
            f"resumed at the start of a rollout; got {recipe.steps} and {recipe.save_steps}"
        )
    return recipe


def _check_sampling(recipe: GrpoRecipe, where: str) -> None:
    """Raises `RecipeError` if replies cannot be sampled as the recipe says, or lack log-probabilities that it needs."""
    if not 0 < recipe.temperature < math.inf:
        raise RecipeError(
            f"{where}: temperature: expected a number above 0, got {recipe.temperature}; at 0 the episodes of a group "
            "would all be the same"
        )
    if not 0 < recipe.top_p <= 1:
        raise RecipeError(f"{where}: top_p: expected a number above 0 and up to 1, got {recipe.top_p}")
    if not 0 < recipe.repetition_penalty < math.inf:
        raise RecipeError(f"{where}: repetition_penalty: expected a number above 0, got {recipe.repetition_penalty}")
    if recipe.code_temperature is not None and not 0 <= recipe.code_temperature < math.inf:
        raise RecipeError(f"{where}: code_temperature: expected at least 0, got {recipe.code_temperature}")
    if recipe.sampler and recipe.old_logprobs == "rollout":
        _check_sampler(recipe, where)


def _check_judge(recipe: GrpoRecipe, where: str) -> None:
    """Raises `RecipeError` if the reward asks the judge about reasoning, which it does not read."""
    try:
        require_reasoning_judge(recipe.reward, recipe.judge)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from error


def _check_sampler(recipe: GrpoRecipe, where: str) -> None:
    """Raises `RecipeError` if vLLM cannot report the log-probabilities of `recipe.old_logprobs`.

    The trainer computes log-probabilities over all tokens, after the temperature. The model itself records the same
    when it samples, whatever else restricts what is sampled.
    """
    reasons = {
        "top_p": recipe.top_p < 1 and f"does not say how much probability top_p = {recipe.top_p} cut off",
        "repetition_penalty": recipe.repetition_penalty != 1 and "normalises after the repetition penalty",
        "code_temperature": recipe.code_temperature is not None
        and (recipe.code_temperature or 1.0) != recipe.temperature  # greedy ones are those of temperature 1
        and "reports those of code at the temperature of code",
    }
    lost = {name: reason for name, reason in reasons.items() if reason}
    raw = parse_spec(recipe.sampler)[2].get("logprobs") == "raw"
    if lost and not (raw and recipe.temperature == 1):
        raise RecipeError(
            f"{where}: sampler, {', '.join(lost)}, old_logprobs: vLLM {', and '.join(lost.values())}; so the trainer, "
            "which takes log-probabilities over all tokens at one temperature, cannot compare them with its own. Set "
            'old_logprobs = "compute", or sampler = "" (the model itself reports them as the trainer computes them), '
            "or, at temperature 1, the sampler's option logprobs=raw (vLLM's raw ones lack the temperature)"
        )
    if raw and recipe.temperature != 1:
        raise RecipeError(
            f"{where}: sampler, temperature, old_logprobs: with logprobs=raw vLLM reports log-probabilities at "
            f"temperature 1, not at {recipe.temperature}"
        )


def _check_in_loop(in_loop: InLoop, where: str) -> None:
    at_least(in_loop.prompts, 0, f"{where}: in_loop.prompts")
    for key in ("samples", "max_tokens", "calls"):
        at_least(getattr(in_loop, key), 1, f"{where}: in_loop.{key}")
    if in_loop.prompts and not in_loop.reasoner:
        raise RecipeError(f'{where}: in_loop.reasoner: expected the spec of a policy, such as "openai:MODEL"')


def _assign(data: dict[str, Any], key: str, value: Any) -> None:
    first, *rest = key.split(".")
    if rest and (first not in NESTED or len(rest) > 2 or (len(rest) == 2 and (first, rest[0]) != ("in_loop", "env"))):
        raise UnknownName(
            f'--set: unknown key "{key}" (nested ones are env.KEY, lora.KEY, in_loop.KEY and in_loop.env.KEY)'
        )
    if first not in GRPO_KEYS:
        raise UnknownName(f'--set: unknown key "{first}"{closest(first, GRPO_KEYS)} (known: {", ".join(GRPO_KEYS)})')
    for name in (first, *rest)[:-1]:
        data[name] = dict(data.get(name) or {})
        data = data[name]
    data[(first, *rest)[-1]] = value
