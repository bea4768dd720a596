"""Runs a recipe of a visual planner: checkpoints, exact resume, and the output folder.

OUT/config.json, model.safetensors, planner.json, …   the planner, once the training is finished
OUT/training.json                       recipe, versions and curves; "finished" says whether the training is finished
OUT/checkpoints/checkpoint-500          weights, optimiser and log of a step
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from o3gym.policies.planner.model import Planner
from o3gym.registry import require
from o3gym.rollout.records import derive_seed
from o3gym.train.planning.data import (
    StateTokens,
    example_batches,
    training_examples,
    training_layouts,
    validation_layouts,
)
from o3gym.train.planning.evaluation import evaluate_planner, planner_measures
from o3gym.train.planning.recipe import PlanningRecipe
from o3gym.train.planning.reinforcement import CandidateLearner
from o3gym.train.planning.start import open_learning_planner
from o3gym.train.planning.supervised import learn_examples
from o3gym.train.recipe import Rates, RecipeError, devices
from o3gym.train.record import RECORD, STATE, newest_checkpoint, open_record, seal_checkpoint, step_of, write_record

torch = require("torch", "train")
require("transformers", "train").utils.logging.disable_progress_bar()  # saving shows one; the training has its own

PLANNING_CHANGEABLE = ("threads", "log_steps", "save_steps", "keep", "evaluate_steps", "evaluate_layouts")
"""Recipe keys that may change when a training is resumed, because the result does not depend on them."""
LEARNER_STATE = "learner.pt"
"""File in a checkpoint that holds the weights that learn and the state of the optimiser."""

PlanningProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (step, number of steps, logged values); the values are empty for a step that is not logged."""


def planning_arithmetic(recipe: PlanningRecipe) -> dict[str, Any]:
    """Returns what a recipe amounts to: layouts, pairs or states, optimiser steps, and candidates in all."""
    worlds = training_layouts(recipe)
    examples = training_examples(recipe, worlds)
    batches = example_batches(recipe, examples)
    steps = recipe.total_steps(batches.per_epoch)
    return {
        "layouts": len(worlds),
        "states" if recipe.method == "rewards" else "pairs": len(examples),
        "steps": steps,
        "epochs": round(steps / batches.per_epoch, 2),
        "warmup_steps": recipe.warmup_steps(steps),
        **({"candidates": steps * recipe.batch * recipe.samples} if recipe.method == "rewards" else {}),
    }


def train_planner(recipe: PlanningRecipe, out: Path, progress: PlanningProgress | None = None) -> Path:
    """Runs a recipe, or resumes it in `out`. Returns the folder of the finished planner.

    On a CPU the same recipe, seed and number of threads give the same weights, whether or not the training was
    interrupted.

    Raises:
        RecipeError: `out` holds a training with another recipe, or the recipe does not fit the model.
        ValueError: the model cannot be loaded.
    """
    if devices() > 1:
        raise RecipeError(f"planners are trained by one process, got {devices()}: start without a launcher")
    record = open_record(recipe, out, PLANNING_CHANGEABLE)
    if not record.get("finished"):
        _PlannerTraining(recipe, out, record, progress).run()
    return out


def scheduled_rate(rates: Rates, step: int, steps: int) -> float:
    """Returns the learning rate of a step (from 0): a linear warm-up, then the schedule down to 0 at the last step."""
    warmup = rates.warmup_steps(steps)
    if step < warmup:
        return rates.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    shares = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1.0 + math.cos(math.pi * done))}
    return rates.learning_rate * shares[rates.schedule]


class _PlannerTraining:
    def __init__(
        self, recipe: PlanningRecipe, out: Path, record: dict[str, Any], progress: PlanningProgress | None
    ) -> None:
        self.recipe, self.out, self.record, self.progress = recipe, out, record, progress
        worlds = training_layouts(recipe)
        self.examples = training_examples(recipe, worlds)
        self.batches = example_batches(recipe, self.examples)
        self.steps = recipe.total_steps(self.batches.per_epoch)
        self.planner = open_learning_planner(recipe)
        self.tokens = StateTokens(self.planner.tokenizer)
        self.learner = CandidateLearner(self.planner, recipe, self.tokens, self._reference())
        self.weights = {name: p for name, p in self.planner.model.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.AdamW(
            self.weights.values(), recipe.learning_rate, recipe.betas, weight_decay=recipe.weight_decay
        )
        self.history: list[dict[str, float]] = []
        self.unlogged: list[dict[str, float]] = []

    def _reference(self) -> Planner | None:
        """The starting weights, for the KL term; with adapters they are the model without its adapters."""
        if self.recipe.method != "rewards" or not self.recipe.kl or self.recipe.lora is not None:
            return None
        model = copy.deepcopy(self.planner.model).requires_grad_(False).eval()
        return Planner(model, self.planner.tokenizer, self.planner.layout)

    def run(self) -> None:
        for step in range(self._resume(), self.steps):
            self._step(step)
            done = step + 1
            logs = self._log(done) if self._is_logged(done) else {}
            if done % self.recipe.save_steps == 0 or done == self.steps:
                self._save(done)
            if self.progress is not None:
                self.progress(done, self.steps, logs)
        self._finish()

    def _is_logged(self, done: int) -> bool:
        recipe = self.recipe
        evaluated = recipe.evaluate_steps and done % recipe.evaluate_steps == 0
        return done % recipe.log_steps == 0 or done == self.steps or bool(evaluated)

    def _step(self, step: int) -> None:
        """Takes an optimiser step. Everything random in it follows from the seed and its number."""
        began, recipe = time.perf_counter(), self.recipe
        torch.manual_seed(derive_seed(recipe.seed, "step", step))
        for group in self.optimiser.param_groups:
            group["lr"] = scheduled_rate(recipe, step, self.steps)
        examples = [self.examples[i] for i in self.batches.of_step(step)]
        device = self.planner.model.device.type
        with torch.autocast(device, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            if recipe.method == "rewards":
                logs = self.learner.step(examples)
            else:
                self.planner.model.train()
                logs = learn_examples(self.planner, self.tokens, examples, recipe.micro_batch)
        if not math.isfinite(logs["loss"]):
            raise RuntimeError(f"the loss is {logs['loss']} at step {step + 1}: lower the learning rate")
        # A limit of 0 clips nothing.
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), recipe.clip or math.inf)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.unlogged.append({**logs, "grad_norm": float(norm), "seconds": time.perf_counter() - began})

    def _log(self, done: int) -> dict[str, float]:
        """Notes the means since the last entry."""
        means = {name: sum(logs[name] for logs in self.unlogged) / len(self.unlogged) for name in self.unlogged[0]}
        entry = {"step": float(done), "learning_rate": scheduled_rate(self.recipe, done - 1, self.steps), **means}
        self.unlogged = []
        if self.recipe.evaluate_steps and done % self.recipe.evaluate_steps == 0:
            entry |= {f"val/{name}": value for name, value in self._evaluate().items()}
        self.history.append(entry)
        return entry

    def _evaluate(self) -> dict[str, float]:
        worlds = validation_layouts(self.recipe)
        scores = evaluate_planner(self.planner, worlds, strict=self.recipe.strict, tokens=self.tokens)
        return planner_measures(scores, worlds)

    def _save(self, done: int) -> None:
        folder = self.out / "checkpoints" / f"checkpoint-{done}"
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: parameter.detach() for name, parameter in self.weights.items()}
        torch.save({"weights": weights, "optimiser": self.optimiser.state_dict()}, folder / LEARNER_STATE)
        state = {"global_step": done, "log_history": self.history, "unlogged": self.unlogged}
        (folder / STATE).write_text(json.dumps(state) + "\n", "utf-8")
        seal_checkpoint(folder, self.recipe.keep)
        self._note(done)

    def _resume(self) -> int:
        """Loads the newest checkpoint and returns the number of steps that have been taken."""
        last = newest_checkpoint(self.out / "checkpoints")
        if last is None:
            return 0
        saved = torch.load(last / LEARNER_STATE, map_location=self.planner.model.device, weights_only=True)
        with torch.no_grad():
            for name, parameter in self.weights.items():
                parameter.copy_(saved["weights"][name])
        self.optimiser.load_state_dict(saved["optimiser"])
        state = json.loads((last / STATE).read_text("utf-8"))
        self.history, self.unlogged = state["log_history"], state["unlogged"]
        return step_of(last)

    def _note(self, done: int) -> None:
        """Writes the curves so far into the record."""
        names = dict.fromkeys(name for entry in self.history for name in entry)
        self.record["steps"] = done
        self.record["curves"] = {name: [entry.get(name) for entry in self.history] for name in names}
        write_record(self.out / RECORD, self.record)

    def _finish(self) -> None:
        model = self.planner.model
        if self.recipe.lora is not None:
            model = model.merge_and_unload()
        model = model.to(getattr(torch, self.recipe.save_dtype))
        Planner(model, self.planner.tokenizer, self.planner.layout).save(self.out)
        self.record["finished"] = True
        write_record(self.out / RECORD, self.record)
