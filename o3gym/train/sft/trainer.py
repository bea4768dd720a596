"""TRL's SFTTrainer on the rows of one stage; every batch is checked. Importing this module imports torch and TRL."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from o3gym.policies.local.internals import check_internals
from o3gym.registry import require
from o3gym.train.batches import Collator, check_batch
from o3gym.train.data.mixture import Mixture
from o3gym.train.recipe import Rates, RecipeError, SftRecipe, Stage, TrainingRecipe, devices
from o3gym.train.record import seal_checkpoint

torch = require("torch", "train")
transformers = require("transformers", "train")
transformers.utils.logging.disable_progress_bar()  # saving a file shows one; the training has its own
datasets = require("datasets", "train")
trl = require("trl", "train")
_SFTTrainer: Any = trl.SFTTrainer
_TrainerCallback: Any = transformers.TrainerCallback

check_internals(
    "transformers",
    {
        ":PrinterCallback": (),
        ":Trainer.compute_loss": ("model", "inputs", "num_items_in_batch"),
        ":Trainer._load_from_checkpoint": ("resume_from_checkpoint",),
        ":Trainer._save_checkpoint": ("model", "trial"),
    },
)

CHECKPOINTING = "activation_checkpointing"
"""Name of the gradient-checkpointing argument in transformers. It is always passed, because TRL's default is on."""
if CHECKPOINTING not in transformers.TrainingArguments.__dataclass_fields__:  # transformers before the renaming
    CHECKPOINTING = "gradient_checkpointing"

StepReport = Callable[[int, Mapping[str, float]], None]
"""Called with the step within the stage and the logged values (an empty mapping for a step without a log entry)."""


class Trainer(_SFTTrainer):  # type: ignore[misc]
    """A `trl.SFTTrainer` over the rows of one stage.

    The data set holds row numbers only, and the collator makes the rows. So pixels exist only while they are needed,
    and a resumed training skips the rows that it has seen without making them again.

    Args:
        model: the model to train.
        processor: its processor.
        recipe: the settings of the training.
        stage: the settings of the stage.
        collator: makes the batches.
        folder: folder of the checkpoints.
        report: called after every step.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        recipe: SftRecipe,
        stage: Stage,
        collator: Collator,
        folder: Path,
        report: StepReport | None = None,
    ) -> None:
        self.collate, self.keep = collator, recipe.keep
        self.passed = self.bad = 0
        mixture = collator.mixture
        super().__init__(
            model=model,
            args=sft_settings(recipe, stage, mixture, folder),
            train_dataset=datasets.Dataset.from_dict({"index": range(mixture.rows)}),
            data_collator=collator,
            processing_class=processor,
        )
        # The loss of a step has to be a mean over all its learnt tokens. Qwen-VL models declare that they do not accept
        # the number of these tokens; then transformers averages over micro-batches, which weighs a token of a short one
        # more. TRL's loss accepts the number, whatever the model declares.
        self.model_accepts_loss_kwargs = True
        self.remove_callback(transformers.PrinterCallback)
        self.add_callback(Follow(report))

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Returns the loss of a batch, summed over its parts. Raises `BatchError` for an inconsistent part."""
        # A sum, not a mean: each part's loss is already divided by the number of learnt tokens of the whole step.
        return sum(self._loss(model, part, *args, **kwargs) for part in inputs["parts"])

    def _loss(self, model: Any, part: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        self.passed += int(part.pop("passed"))
        self.bad += int(part.pop("bad"))
        merge = getattr(self.collate.encoder.processor.image_processor, "merge_size", 1)
        check_batch(part, self.collate.encoder.image_id, merge)
        return super().compute_loss(model, part, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Logs, and adds how many demonstrations were skipped since the last log entry, as too long and as bad."""
        if "loss" in logs:
            logs["passed"], logs["bad"] = self.passed, self.bad
            self.passed = self.bad = 0
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Saves a checkpoint and, when all processes have written their files, marks it as whole."""
        super()._save_checkpoint(model, trial)
        seal(self, self.keep)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: `training.json` holds what a model card would, and more."""


class Follow(_TrainerCallback):  # type: ignore[misc]
    """Reports progress, and stops a training whose loss is not finite."""

    def __init__(self, report: StepReport | None) -> None:
        self.report = report

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Reports the step."""
        if self.report is not None:
            self.report(state.global_step, {})

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **kwargs: Any) -> None:
        """Reports the logged values. Raises RuntimeError if the loss is not finite."""
        if not math.isfinite(logs.get("loss", 0.0)):
            raise RuntimeError(f"the loss is {logs['loss']} at step {state.global_step}: lower the learning rate")
        if self.report is not None:
            self.report(state.global_step, logs)


def seal(trainer: Any, keep: int, files: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Completes the checkpoint of a trainer's current step, see `seal_checkpoint`.

    Args:
        trainer: the trainer; every process calls this.
        keep: number of checkpoints that are kept.
        files: further files of the checkpoint: name → value, which is written as JSON.
    """
    trainer.accelerator.wait_for_everyone()  # each process writes its random states, and its part of sharded weights
    if trainer.accelerator.is_main_process:
        folder = Path(trainer.args.output_dir) / f"checkpoint-{trainer.state.global_step}"
        for name, value in files.items():
            (folder / name).write_text(json.dumps(value) + "\n", "utf-8")
        seal_checkpoint(folder, keep)


def common(recipe: TrainingRecipe, rates: Rates, steps: int, seed: int, folder: Path) -> dict[str, Any]:
    """Returns the arguments of TRL's configuration that both kinds of training share.

    Raises `RecipeError` if several GPUs are visible to one process: transformers would then split batches over them by
    itself, with torch.nn.DataParallel.
    """
    if torch.cuda.device_count() > 1 and devices() == 1:
        raise RecipeError("several GPUs are visible: start with `accelerate launch`, or set CUDA_VISIBLE_DEVICES")
    return {
        "output_dir": str(folder),
        "max_steps": steps,
        "learning_rate": rates.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if rates.schedule == "constant" else rates.schedule,
        "warmup_steps": rates.warmup_steps(steps),
        "adam_beta1": recipe.betas[0],
        "adam_beta2": recipe.betas[1],
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.clip,
        "use_cpu": not torch.accelerator.is_available(),
        "bf16": recipe.precision == "bfloat16",
        CHECKPOINTING: recipe.gradient_checkpointing,
        "seed": seed % 2**32,
        "save_steps": recipe.save_steps,
        "save_total_limit": None,  # older checkpoints are removed by `seal`, once the new one is whole
        "logging_steps": recipe.log_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "report_to": [tracker for tracker in recipe.report_to if require(tracker, tracker)] or "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }


def sft_settings(recipe: SftRecipe, stage: Stage, mixture: Mixture, folder: Path) -> Any:
    """Returns the stage as TRL's `SFTConfig`. Raises `RecipeError` if the batch does not divide evenly."""
    accumulation = recipe.accumulation(stage, devices())
    workers: dict[str, Any] = {"dataloader_num_workers": recipe.workers}
    if recipe.workers:
        workers["dataloader_prefetch_factor"] = 4
    return trl.SFTConfig(
        **common(recipe, stage, mixture.steps, mixture.seed, folder),
        per_device_train_batch_size=stage.batch // accumulation // devices(),
        gradient_accumulation_steps=accumulation,
        dataloader_pin_memory=torch.cuda.is_available(),
        train_sampling_strategy="sequential",
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        **workers,
    )
