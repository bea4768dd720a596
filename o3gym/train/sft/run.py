"""Runs a supervised recipe stage by stage: checkpoints, exact resume, and the output folder.

OUT/config.json, model.safetensors, …    the model and its processor, once the training is finished
OUT/training.json                         recipe, versions, data and loss curve; "finished" says whether it is finished
OUT/checkpoints/stage-0/checkpoint-500    weights, optimiser, schedule and random states of a step
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from o3gym.rollout.records import derive_seed
from o3gym.train.data.mixture import Mixture
from o3gym.train.recipe import SftRecipe, devices
from o3gym.train.record import RECORD, STATE, newest_checkpoint, open_record, step_of, write_record

SFT_CHANGEABLE = ("workers", "threads", "log_steps", "save_steps", "report_to", "keep")
"""Recipe keys that may change when a training is resumed, because the result does not depend on them."""

SftProgress = Callable[[int, int, int, Mapping[str, float]], None]
"""Called with (stage, step, number of steps of the stage, logged values)."""


def mixtures(recipe: SftRecipe) -> list[Mixture]:
    """Returns the rows of every stage. Opens all sources, so that a missing file shows before the first stage runs."""
    return [Mixture(stage, derive_seed(recipe.seed, "stage", n)) for n, stage in enumerate(recipe.stages)]


def sft_arithmetic(recipe: SftRecipe) -> list[dict[str, Any]]:
    """Returns what each stage amounts to: steps, rows, the split of a batch, warm-up steps, and its data."""
    return [
        {
            "stage": number,
            "steps": mixture.steps,
            "rows": mixture.rows,
            "batch": stage.batch,
            "devices": devices(),
            "accumulation": recipe.accumulation(stage, devices()),
            "micro_batch": stage.batch // recipe.accumulation(stage, devices()) // devices(),
            "warmup_steps": stage.warmup_steps(mixture.steps),
            "most_tokens_per_step": stage.batch * stage.context,
            "data": mixture.describe(),
        }
        for number, (stage, mixture) in enumerate(zip(recipe.stages, mixtures(recipe), strict=True))
    ]


def train_sft(recipe: SftRecipe, out: Path, progress: SftProgress | None = None) -> Path:
    """Runs a recipe, or resumes it in `out`. Returns the folder of the finished model.

    On a CPU the same recipe and seed give the same weights, whether or not the training was interrupted.

    Raises:
        RecipeError: `out` holds a training with another recipe, or the recipe does not fit the model.
        MissingPackage: the extra "train" is not installed.
    """
    # The data loader forks its workers. Threads of the tokenizers library do not survive a fork: a worker would
    # deadlock.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from o3gym.train.sft import trainer  # noqa: F401 - so a missing package shows before weights are loaded

    record = open_record(recipe, out, SFT_CHANGEABLE)
    if record.get("finished"):
        return out
    return _Training(recipe, out, record, progress).run()


class _Training:
    def __init__(self, recipe: SftRecipe, out: Path, record: dict[str, Any], progress: SftProgress | None) -> None:
        from o3gym.train.models import open_learner

        self.recipe, self.out, self.record, self.progress = recipe, out, record, progress
        self.mixtures = mixtures(recipe)
        self.model, self.processor, self.encoder = open_learner(recipe)

    def run(self) -> Path:
        from o3gym.train.models import save_model

        for number in range(len(self.recipe.stages)):
            self._stage(number)
        save_model(self.model, self.processor, self.out, self.recipe)
        self.record["finished"] = True
        write_record(self.out / RECORD, self.record)
        return self.out

    def _stage(self, number: int) -> None:
        """Runs a stage, or resumes it from its newest whole checkpoint.

        A finished stage only supplies its weights, and those only if no later stage has a checkpoint of its own.
        """
        last = newest_checkpoint(self._folder(number))
        finished = last is not None and step_of(last) >= self.mixtures[number].steps
        if last is not None and finished and str(number) not in self.record.get("stages", {}):
            # The training was stopped between the last checkpoint of the stage and its record.
            self._note(number, json.loads((last / STATE).read_text("utf-8")))
        if any(newest_checkpoint(self._folder(later)) for later in range(number + 1, len(self.recipe.stages))):
            return
        trainer = self._trainer(number)
        if finished:
            trainer._load_from_checkpoint(str(last))
            self.model = trainer.model
            return
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
        self._note(number, dataclasses.asdict(trainer.state))
        self.model = trainer.model

    def _trainer(self, number: int) -> Any:
        from o3gym.train.batches import Collator
        from o3gym.train.sft.trainer import Trainer

        stage, mixture = self.recipe.stages[number], self.mixtures[number]
        mixture.fit(self.encoder.vision_size)

        def report(step: int, logs: Mapping[str, float]) -> None:
            if self.progress is not None:
                self.progress(number, step, mixture.steps, logs)

        inner = self.model.get_base_model() if self.recipe.lora is not None else self.model
        # A trainer replaces `forward` on the instance (TRL by one that computes the loss, accelerate by one with
        # autocast). Without this, the replacements of all stages would nest.
        inner.__dict__.pop("forward", None)
        collator = Collator(mixture, self.encoder, self.recipe, stage)
        return Trainer(self.model, self.processor, self.recipe, stage, collator, self._folder(number), report)

    def _note(self, number: int, state: Mapping[str, Any]) -> None:
        history = [entry for entry in state["log_history"] if "loss" in entry]
        stages = self.record.setdefault("stages", {})
        stages[str(number)] = {
            "steps": state["global_step"],
            "passed_over": int(sum(entry.get("passed", 0) for entry in history)),
            "bad": int(sum(entry.get("bad", 0) for entry in history)),
            "data": self.mixtures[number].describe(),
            "curve": [[entry["step"], entry["loss"], entry["learning_rate"]] for entry in history],
            "token_accuracy": [[entry["step"], entry["mean_token_accuracy"]] for entry in history],
        }
        write_record(self.out / RECORD, self.record)

    def _folder(self, number: int) -> Path:
        return self.out / "checkpoints" / f"stage-{number}"
