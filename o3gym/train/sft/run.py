"""Supervised fine-tuning: stages one after the other, checkpoints, exact resume, and the folder that comes out.

OUT/config.json, model.safetensors, …    the model and its processor, once it is finished
OUT/training.json                         recipe, versions, data, loss curve; "finished" says whether it is
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
"""Keys of a recipe that a resumed training may have otherwise: nothing that is learnt depends on them."""

SftProgress = Callable[[int, int, int, Mapping[str, float]], None]
"""Called with (stage, step, steps of the stage, what was logged)."""


def mixtures(recipe: SftRecipe) -> list[Mixture]:
    """The rows of every stage; opens all sources, so that a missing file does not wait for the stages before it."""
    return [Mixture(stage, derive_seed(recipe.seed, "stage", n)) for n, stage in enumerate(recipe.stages)]


def sft_arithmetic(recipe: SftRecipe) -> list[dict[str, Any]]:
    """What each stage amounts to: steps, rows, how a batch is split, warm-up, and where its rows come from."""
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
    """Run a recipe, or go on with one that was stopped. Returns the folder of the finished model.

    The same recipe and seed make the same weights on a CPU, whether or not the training was stopped in between.

    Raises:
        RecipeError: `out` holds a training by another recipe, or the recipe does not fit the model.
        MissingPackage: the extra "train" is not installed.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # row makers are forked, which its threads do not survive
    from o3gym.train.sft import trainer  # noqa: F401 - before weights are loaded, so that a missing package shows at once

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
        """Train a stage from where it is; one that is done gives its weights, if no later one has been begun."""
        last = newest_checkpoint(self._folder(number))
        mixture = self.mixtures[number]
        if last is not None and step_of(last) >= mixture.steps:
            if str(number) not in self.record.get("stages", {}):  # killed between its checkpoint and its note
                self._note(number, json.loads((last / STATE).read_text("utf-8")))
            if newest_checkpoint(self._folder(number + 1)) is None:
                trainer = self._trainer(number)
                trainer._load_from_checkpoint(str(last))
                self.model = trainer.model
            return
        trainer = self._trainer(number)
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
        inner.__dict__.pop("forward", None)  # the previous stage's trainer put its own there; they would pile up
        collator = Collator(mixture, self.encoder, self.recipe, stage)
        return Trainer(self.model, self.processor, self.recipe, stage, collator, self._folder(number), report)

    def _note(self, number: int, state: Mapping[str, Any]) -> None:
        history = [entry for entry in state["log_history"] if "loss" in entry]
        stages = self.record.setdefault("stages", {})
        stages[str(number)] = {
            "steps": state["global_step"],
            "passed_over": int(sum(entry.get("passed", 0) for entry in history)),
            "data": self.mixtures[number].describe(),
            "curve": [[entry["step"], entry["loss"], entry["learning_rate"]] for entry in history],
            "token_accuracy": [[entry["step"], entry["mean_token_accuracy"]] for entry in history],
        }
        write_record(self.out / RECORD, self.record)

    def _folder(self, number: int) -> Path:
        return self.out / "checkpoints" / f"stage-{number}"
