"""TRL's GRPOTrainer on rollouts of ours: it does loss, optimiser and distribution; o3gym makes rows, masks and weights.

Imports torch and TRL. What is overridden is private to TRL, so its version is pinned and its signatures are checked
when this module is imported.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from o3gym.policies.local.encoding import Encoder
from o3gym.registry import require
from o3gym.train.batches import IGNORED, BatchError, TrainingRow, batch_of, check_batch
from o3gym.train.grpo.experience import Experience, TrainingSample, blank_row, chunks, sample_row, sampling_logprobs
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.grpo.rollout_worker import RolloutWorker
from o3gym.train.grpo.samplers import make_sampler
from o3gym.train.recipe import devices
from o3gym.train.record import CURSOR
from o3gym.train.sft.trainer import Follow, StepReport, common

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
torch = require("torch", "train")
transformers = require("transformers", "train")
datasets = require("datasets", "train")
trl = require("trl", "train")
gather_object = require("accelerate", "train").utils.gather_object
_GRPOTrainer: Any = trl.GRPOTrainer
_TrainerCallback: Any = transformers.TrainerCallback

EXPECTED: Mapping[str, tuple[str, ...]] = {
    "_prepare_inputs": ("self", "generation_batch"),
    "_compute_loss": ("self", "model", "inputs"),
    "_get_per_token_logps_and_entropies": ("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
    "get_train_dataloader": ("self",),
}
"""Methods of TRL's trainer that are overridden or called, with the arguments that they are known to start with."""


def check_trl() -> None:
    """Raise ImportError, saying what differs, if the installed TRL is not one that this was written for."""
    for name, known in EXPECTED.items():
        found = tuple(inspect.signature(getattr(_GRPOTrainer, name, lambda: 0)).parameters)
        if found[: len(known)] != known:
            raise ImportError(
                f"TRL {trl.__version__}: GRPOTrainer.{name} takes ({', '.join(found)}), "
                f'expected ({", ".join(known)}, …); install one that is known to work: pip install "trl>=1.16,<1.17"'
            )


check_trl()


class GrpoTrainer(_GRPOTrainer):  # type: ignore[misc]
    """`trl.GRPOTrainer` whose batches are episodes of `o3gym.rollout.loop`.

    A rollout is dealt out to `updates` optimiser steps, each of `accumulation` forward passes over rows of similar
    length. Every process makes the same passes over as many rows, whatever it has: where rows are missing, rows without
    loss take their place. Rows without loss or advantage are left out, and what the loss is divided by is counted anew.

    Args:
        model, processor: what is trained.
        recipe: the settings.
        encoder: of the processor.
        play: plays a rollout.
        folder: where checkpoints go.
        report: called after every step.

    Attributes:
        sampler: makes the policy that plays, of the weights of now.
        phases: seconds since the last log, by what they were spent on.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        recipe: GrpoRecipe,
        encoder: Encoder,
        play: RolloutWorker,
        folder: Path,
        report: StepReport | None = None,
    ) -> None:
        self.recipe, self.processor, self.encoder, self.play = recipe, processor, encoder, play
        self.sampler = make_sampler(recipe, folder.parent / "sampler")
        self.passes = recipe.accumulation(devices())
        self.phases = dict.fromkeys(("rollout", "logprobs", "update"), 0.0)
        self._ready: list[dict[str, Any]] = []
        self._whole = copy.deepcopy(model).requires_grad_(False) if sharded() else None
        super().__init__(
            model=model,
            reward_funcs=_unused,
            args=grpo_settings(recipe, folder),
            train_dataset=datasets.Dataset.from_dict({"prompt": ["", ""]}),
            processing_class=processor,
        )
        self.remove_callback(transformers.PrinterCallback)
        self.interrupt = Interrupt(recipe.updates)
        self.add_callback(self.interrupt)
        self.add_callback(Follow(report))

    @property
    def rank(self) -> int:
        """This process's place among all."""
        return int(self.accelerator.process_index)

    @property
    def interrupted(self) -> bool:
        """Whether the training was stopped before its end, and saved."""
        return self.interrupt.asked

    def everyone(self, mine: Any) -> list[Any]:
        """The values of all processes, in rank order."""
        return list(gather_object([mine]))

    def gathered(self) -> Any:
        """The model with all its weights: itself, or where every process has a part of them a copy, renewed."""
        model = self.accelerator.unwrap_model(self.model)
        if self._whole is None:
            return model
        parts = dict(model.named_parameters())
        with torch.no_grad():
            for name, parameter in self._whole.named_parameters():
                with gathered(parts[name]) as whole:
                    parameter.copy_(whole)
        return self._whole.to(self.accelerator.device)

    def save(self, save: Callable[[Any], None]) -> None:
        """Hand the whole model to `save`, in the main process."""
        model = self.gathered()
        if self.accelerator.is_main_process:
            save(model)
        self.accelerator.wait_for_everyone()

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train; the first SIGINT ends it where it can go on later, the second one at once."""
        with self.interrupt:
            try:
                return super().train(*args, **kwargs)
            finally:
                self.sampler.close()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """A checkpoint, and how many tasks have been used up."""
        super()._save_checkpoint(model, trial)
        if self.accelerator.is_main_process:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            (folder / CURSOR).write_text(json.dumps({"cursor": self.play.cursor}) + "\n", "utf-8")

    def get_train_dataloader(self) -> Any:
        """Nothing but a count of forward passes: episodes come from `play`."""
        return torch.utils.data.DataLoader(range(self.args.max_steps * self.passes), batch_size=1, collate_fn=list)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """The batch of the next forward pass; plays a rollout when those of the last one are used up."""
        place = self._step % (self.recipe.updates * self.passes)
        if place == 0:
            with self._phase("rollout"):
                experience, measured = self._played(self.state.global_step // self.recipe.updates)
            with self._phase("logprobs"):
                self._ready = self._batches(experience)
            for name, value in measured.items():
                self._metrics["train"][name].append(value)
        return self._ready[place]

    def _played(self, number: int) -> tuple[Experience, Mapping[str, float]]:
        """The rollout by the weights of now."""
        try:
            return self.play(number, self.sampler(self))
        finally:
            self.model.train()

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.phases[name] += time.monotonic() - started

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """One forward and backward pass, timed without the rollout before it."""
        before = sum(self.phases.values())
        started = time.monotonic()
        loss = super().training_step(*args, **kwargs)
        self.phases["update"] += time.monotonic() - started - (sum(self.phases.values()) - before)
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log also the seconds of each phase since the last time."""
        if "loss" in logs:
            logs = {**logs, **{f"seconds/{name}": value for name, value in self.phases.items()}}
            self.phases = dict.fromkeys(self.phases, 0.0)
        super().log(logs, *args, **kwargs)

    @cached_property
    def _blank(self) -> TrainingRow:
        return blank_row(self.encoder)

    def _batches(self, experience: Experience) -> list[dict[str, Any]]:
        """The rollout's batches in the order in which they are used."""
        updates = range(self.recipe.updates)
        parts = [
            part
            for update in updates
            for part in chunks(experience.lessons, update, self.passes, self.recipe.micro_batch)
        ]
        # TRL gathers measures of every row, and gloo hangs or dies where processes have different numbers of them
        sizes = [max(1, *counts) for counts in zip(*self.everyone([len(part) for part in parts]), strict=True)]
        totals = [experience.totals[update] for update in updates for _ in range(self.passes)]
        made = [self._batch(*given) for given in zip(parts, sizes, totals, strict=True)]
        if self.recipe.updates > 1 and self.recipe.old_logprobs == "compute":
            for batch in made:
                batch["old_per_token_logps"] = self._logprobs(self.model, batch)
        if self.recipe.kl:
            for batch in made:
                batch["ref_per_token_logps"] = self._reference(batch)
        return made

    def _batch(self, lessons: Sequence[TrainingSample], size: int, total: float) -> dict[str, Any]:
        """So many rows as TRL's loss takes them, of these lessons and without loss.

        The first token of a row counts as its prompt, so that nothing has to be padded on the left.
        """
        rows = [sample_row(lesson.trajectory, self.encoder) for lesson in lessons]
        rows += [self._blank] * (size - len(rows))
        batch = to_trl(rows, self.encoder)
        width, device = batch["completion_ids"].shape[1], self.accelerator.device
        pushes = [lesson.advantage for lesson in lessons] + [0.0] * (size - len(lessons))
        batch["advantages"] = torch.tensor(pushes, dtype=torch.float32)
        if (self.recipe.updates > 1 or self.recipe.sampler) and self.recipe.old_logprobs == "rollout":
            batch["old_per_token_logps"] = torch.zeros(len(rows), width)
            for number, lesson in enumerate(lessons):
                known = torch.tensor(sampling_logprobs(lesson.trajectory)[1:])
                batch["old_per_token_logps"][number, : len(known)] = known
        # TRL's "dapo" divides by this over the number of updates; its "grpo" is a mean over the rows of one pass
        batch["num_items_in_batch"] = torch.tensor(float(max(total, 1.0) * self.recipe.updates))
        scale = 1.0
        if self.recipe.mean == "sequence":
            scale = len(rows) * self.passes * devices() / max(total, 1.0)
        batch = {key: value.to(device) if hasattr(value, "to") else value for key, value in batch.items()}
        return {**batch, "scale": scale}

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """TRL's loss of a batch that was checked, in the recipe's proportions."""
        return super()._compute_loss(model, inputs) * inputs["scale"]

    def _logprobs(self, model: Any, batch: Mapping[str, Any]) -> Any:
        names = ("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "mm_token_type_ids")
        extra = {name: batch[name] for name in names if name in batch}
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        width = batch["completion_ids"].shape[1]
        with torch.no_grad():
            return self._get_per_token_logps_and_entropies(model, ids, attention, width, **extra)[0]

    def _reference(self, batch: Mapping[str, Any]) -> Any:
        """Log-probabilities under the starting weights: another model, or this one without its adapters."""
        if self.ref_model is not None:
            return self._logprobs(self.ref_model, batch)
        with self.accelerator.unwrap_model(self.model).disable_adapter():
            return self._logprobs(self.model, batch)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: `training.json` says what a model card would, and more."""


class Interrupt(_TrainerCallback):  # type: ignore[misc]
    """Ends a training on SIGINT where it can be resumed exactly: when a rollout is used up, with a checkpoint.

    Args:
        updates: optimiser steps per rollout.

    Attributes:
        asked: whether a SIGINT came.
    """

    def __init__(self, updates: int) -> None:
        self.updates, self.asked = updates, False
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, self._before)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop if asked to."""
        if self.asked and state.global_step % self.updates == 0 and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


def sharded() -> bool:
    """Whether `accelerate` was started so that every process keeps a part of the weights: FSDP, or DeepSpeed's ZeRO."""
    return any(os.environ.get(f"ACCELERATE_USE_{way}", "").lower() == "true" for way in ("FSDP", "DEEPSPEED"))


@contextmanager
def gathered(parameter: Any) -> Iterator[Any]:
    """All of a parameter that several processes share out."""
    if hasattr(parameter, "full_tensor"):  # FSDP 2
        yield parameter.full_tensor()
    elif hasattr(parameter, "ds_id"):  # ZeRO-3
        with require("deepspeed", "deepspeed").zero.GatheredParameters([parameter]):
            yield parameter
    else:
        yield parameter


def to_trl(rows: Sequence[TrainingRow], encoder: Encoder) -> dict[str, Any]:
    """Rows as TRL's loss names them, checked: only the loss is masked, never the attention.

    Returns:
        Tensors: prompt_ids and prompt_mask, int64 (rows, 1); completion_ids, completion_mask and tool_mask (1 on what
        the policy wrote), int64 (rows, longest − 1); mm_token_type_ids, int64 (rows, longest); pixels and grids as in
        `batch_of`; and num_images, a list.

    Raises:
        BatchError: pads, grids, pixels and masks do not fit each other, or pads make up no picture.
    """
    batch = batch_of(rows, encoder)
    check_batch(batch, encoder.image_id, getattr(encoder.processor.image_processor, "merge_size", 1))
    if batch["labels"][:, 0].ne(IGNORED).any():
        raise BatchError("a row begins with a token that the policy wrote: it has no prompt")
    ids, attention = batch.pop("input_ids"), batch.pop("attention_mask")
    written = (batch.pop("labels") != IGNORED).long()
    del batch["passed"]
    return {
        "prompt_ids": ids[:, :1],
        "prompt_mask": attention[:, :1],
        "completion_ids": ids[:, 1:],
        "completion_mask": attention[:, 1:],
        "tool_mask": written[:, 1:],
        "num_images": [len(row.images) for row in rows],
        **batch,
    }


def grpo_settings(recipe: GrpoRecipe, folder: Path) -> Any:
    """The recipe as TRL's `GRPOConfig`. Raises `RecipeError` where the prompts do not divide."""
    passes = recipe.accumulation(devices())
    return trl.GRPOConfig(
        **common(recipe, recipe, recipe.steps, recipe.seed, folder),
        per_device_train_batch_size=2,  # TRL wants whole groups in there; our batches take no notice
        num_generations=2,
        gradient_accumulation_steps=passes,
        steps_per_generation=passes * recipe.updates,
        temperature=recipe.temperature,
        epsilon=recipe.clip_low,
        epsilon_high=recipe.clip_high,
        beta=recipe.kl,
        loss_type="dapo" if recipe.mean == "token" else "grpo",
        mask_truncated_completions=False,
    )


def _unused(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """TRL wants a reward function; rewards come from `o3gym.rewards.settle`."""
    return [math.nan] * len(completions)
