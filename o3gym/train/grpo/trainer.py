"""Trains on rollouts with TRL's GRPOTrainer: TRL computes the loss, o3gym supplies rows, masks, advantages and totals.

Importing this module imports torch and TRL. It overrides private methods of TRL, so TRL's version is pinned and the
signatures of those methods are checked on import.
"""

from __future__ import annotations

import copy
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
from o3gym.policies.local.internals import check_internals
from o3gym.registry import require
from o3gym.train.grpo.experience import Experience, TrainingSample, chunks, sampling_logprobs, tokens_learnt
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.grpo.rollout_worker import RolloutWorker
from o3gym.train.grpo.samplers import make_sampler
from o3gym.train.grpo.sharding import gathered, sharded
from o3gym.train.grpo.trl_batch import blank_row, to_trl, weigh_by_episode
from o3gym.train.loss_mask import TrainingRow, sample_row
from o3gym.train.recipe import devices
from o3gym.train.record import CURSOR
from o3gym.train.sft.trainer import Follow, StepReport, common, seal

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
torch = require("torch", "train")
transformers = require("transformers", "train")
datasets = require("datasets", "train")
trl = require("trl", "train")
gather_object = require("accelerate", "train").utils.gather_object
_GRPOTrainer: Any = trl.GRPOTrainer
_TrainerCallback: Any = transformers.TrainerCallback

# The methods of TRL's trainer that this module overrides or calls.
check_internals(
    "trl",
    {
        ":GRPOTrainer._prepare_inputs": ("self", "generation_batch"),
        ":GRPOTrainer._compute_loss": ("self", "model", "inputs"),
        ":GRPOTrainer._get_per_token_logps_and_entropies": (
            *("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
        ),
        ":GRPOTrainer.get_train_dataloader": ("self",),
    },
)


class GrpoTrainer(_GRPOTrainer):  # type: ignore[misc]
    """A `trl.GRPOTrainer` whose batches are episodes of `o3gym.rollout.loop`.

    A rollout is split over `updates` optimiser steps of `accumulation` forward passes each, over rows of similar
    length. Every process makes the same passes over the same number of rows, whatever it has played: missing rows are
    filled up with rows without loss. Episodes without loss or advantage are left out of the passes, so what the loss is
    divided by is passed to TRL explicitly.

    Args:
        model: the model to train.
        processor: its processor.
        recipe: the settings.
        encoder: encoder of the processor.
        worker: plays the rollouts.
        folder: folder of the checkpoints.
        report: called after every step.

    Attributes:
        sampler: makes the policy that plays with the current weights.
        phases: seconds since the last log entry, by activity.
        skipped: optimiser steps without update since the last log entry, because no episode had a loss.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        recipe: GrpoRecipe,
        encoder: Encoder,
        worker: RolloutWorker,
        folder: Path,
        report: StepReport | None = None,
    ) -> None:
        self.recipe, self.processor, self.encoder, self.worker = recipe, processor, encoder, worker
        self.sampler = make_sampler(recipe, folder.parent / "sampler")
        self.passes = recipe.accumulation(devices())
        self.phases = dict.fromkeys(("rollout", "logprobs", "update"), 0.0)
        self.skipped = 0
        self._ready: list[dict[str, Any]] = []
        self._totals: tuple[float, ...] = ()
        # With sharded weights, every layer of every sampled token would be a collective call. So a sharded model plays
        # as a whole copy, made here, before TRL wraps the model.
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
        self.add_callback(SkipEmpty(self))
        self.add_callback(Follow(report))

    @property
    def rank(self) -> int:
        """This process's index among all processes."""
        return int(self.accelerator.process_index)

    @property
    def interrupted(self) -> bool:
        """Whether the training was interrupted: it has been saved and can be resumed."""
        return self.interrupt.asked

    def everyone(self, mine: Any) -> list[Any]:
        """Returns the values of all processes, in rank order."""
        return list(gather_object([mine]))

    def gathered(self) -> Any:
        """Returns the model with all its weights: itself, or its whole copy, updated, if the weights are sharded."""
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
        """Calls `save` with the whole model, in the main process."""
        model = self.gathered()  # in every process, because gathering is a collective call
        if self.accelerator.is_main_process:
            save(model)
        self.accelerator.wait_for_everyone()

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Trains. The first SIGINT stops where the training can be resumed, a second one stops at once."""
        with self.interrupt:
            try:
                return super().train(*args, **kwargs)
            finally:
                self.sampler.close()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Saves a checkpoint, with the number of tasks that have been used up, and marks it as whole."""
        super()._save_checkpoint(model, trial)
        # The cursor does not follow from the step: refills use up more tasks, depending on rewards.
        seal(self, self.recipe.keep, {CURSOR: {"cursor": self.worker.cursor}})

    def get_train_dataloader(self) -> Any:
        """Returns a loader that merely counts forward passes: the episodes come from `worker`."""
        return torch.utils.data.DataLoader(range(self.args.max_steps * self.passes), batch_size=1, collate_fn=list)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Returns the batch of the next forward pass; plays a rollout when the batches of the last one are used up."""
        # Exact resume: `_step` starts at 0 again, which is correct because a checkpoint is written only when a rollout
        # is used up (`save_steps` is a multiple of `updates`). The rollout itself follows from its number, the cursor
        # and the weights: every reply is sampled with a seed of its own and takes nothing from torch's random state.
        place = self._step % (self.recipe.updates * self.passes)
        if place == 0:
            with self._phase("rollout"):
                experience, measured = self._played(self.state.global_step // self.recipe.updates)
            self._totals = experience.totals
            with self._phase("logprobs"):
                self._ready = self._batches(experience)
            for name, value in measured.items():
                self._metrics["train"][name].append(value)
        return self._ready[place]

    def _played(self, number: int) -> tuple[Experience, Mapping[str, float]]:
        """Returns a rollout by the current weights."""
        try:
            return self.worker(number, self.sampler(self))
        finally:
            self.model.train()

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        synchronise()  # a GPU may still be busy with the phase before
        started = time.monotonic()
        yield
        synchronise()
        self.phases[name] += time.monotonic() - started

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Makes one forward and backward pass, and times it without the rollout that may precede it."""
        before = sum(self.phases.values())
        started = time.monotonic()
        loss = super().training_step(*args, **kwargs)
        self.phases["update"] += time.monotonic() - started - (sum(self.phases.values()) - before)
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Logs, and adds the seconds of each phase and the skipped updates since the last log entry."""
        if "loss" in logs:
            phases = {f"seconds/{name}": value for name, value in self.phases.items()}
            logs = {**logs, **phases, "skipped_updates": float(self.skipped)}
            self.phases, self.skipped = dict.fromkeys(self.phases, 0.0), 0
        super().log(logs, *args, **kwargs)

    def skip_empty_update(self) -> None:
        """Discards the gradients of the current update if no episode of any process had a loss in it."""
        if not self._totals[self.state.global_step % self.recipe.updates]:
            self.skipped += 1
            # Without gradients, AdamW leaves a parameter alone. With gradients of 0 it would still decay it, and move
            # it by the momentum of earlier steps.
            self.model.zero_grad(set_to_none=True)

    @cached_property
    def _blank(self) -> TrainingRow:
        return blank_row(self.encoder)

    def _batches(self, experience: Experience) -> list[dict[str, Any]]:
        """Returns the rollout's batches in the order of their use."""
        updates = range(self.recipe.updates)
        parts = [
            part
            for update in updates
            for part in chunks(experience.samples, update, self.passes, self.recipe.micro_batch)
        ]
        # Every process must have the same number of rows in a pass: TRL gathers statistics of every row, and gloo hangs
        # or crashes if the processes gather different numbers of them.
        sizes = [max(1, *counts) for counts in zip(*self.everyone([len(part) for part in parts]), strict=True)]
        totals = [experience.totals[update] for update in updates for _ in range(self.passes)]
        batches = [self._batch(*arguments) for arguments in zip(parts, sizes, totals, strict=True)]
        # The clipped ratio is relative to the policy that acted. With one update that is the model itself: TRL then
        # takes the detached log-probabilities of the forward pass, and the ratio is 1. With several, the model has
        # changed from the second update on, so the old ones are computed here, before the first.
        if self.recipe.updates > 1 and self.recipe.old_logprobs == "compute":
            for batch in batches:
                batch["old_per_token_logps"] = self._logprobs(self.model, batch)
        # The KL term is relative to the starting weights: with d = log-probability there − here, TRL adds
        # kl · (exp(d) − d − 1) to the loss of each token (k3 estimator), times the ratio to correct for the old policy.
        if self.recipe.kl:
            for batch in batches:
                batch["ref_per_token_logps"] = self._reference(batch)
        return batches

    def _batch(self, samples: Sequence[TrainingSample], size: int, total: float) -> dict[str, Any]:
        """Returns `size` rows as TRL's loss expects them: the samples, filled up with rows without loss.

        TRL pads prompts on the left and completions on the right. Here the first token of a row is its whole prompt and
        the rest its completion, with the loss masked by `tool_mask`. So all prompts have length 1, nothing is padded on
        the left, and a row can alternate between reading and writing.
        """
        code_loss = self.recipe.code_loss
        rows = [sample_row(sample.trajectory, self.encoder, sample.segment, code_loss) for sample in samples]
        rows += [self._blank] * (size - len(rows))
        batch = to_trl(rows, self.encoder)
        width, device = batch["completion_ids"].shape[1], self.accelerator.device
        advantages = [sample.advantage for sample in samples] + [0.0] * (size - len(samples))
        batch["advantages"] = torch.tensor(advantages, dtype=torch.float32)
        # A sampler other than the model itself has slightly different probabilities, so with "rollout" the ratio is
        # taken to those also with a single update. They start at the second token, like the completion.
        if (self.recipe.updates > 1 or self.recipe.sampler) and self.recipe.old_logprobs == "rollout":
            batch["old_per_token_logps"] = torch.zeros(len(rows), width)
            for number, sample in enumerate(samples):
                known = torch.tensor(sampling_logprobs(sample.trajectory, sample.segment)[1:])
                batch["old_per_token_logps"][number, : len(known)] = known
        # Denominators. DDP averages gradients over the processes, so each process has to contribute the sum of its
        # token losses times devices / total. For mean = "token": TRL's "dapo" divides that sum by num_items_in_batch /
        # (devices · updates), since it takes that number for the whole rollout's; so it is given total · updates. For
        # mean = "sequence": TRL's "grpo" takes the mean over the rows of a pass, blank rows included, and divides it by
        # the number of passes; `scale` undoes both and divides by the total of the optimiser step instead. With a
        # window, a row may be only a part of its episode, so its own mean is not wanted: "dapo" sums tokens that are
        # weighted as in the mean over the whole episode.
        scale, most = 1.0, 1.0
        if self.recipe.mean == "sequence" and self.recipe.window is None:
            scale = len(rows) * self.passes * devices() / max(total, 1.0)
        elif self.recipe.mean == "sequence":
            most = weigh_by_episode(batch, [tokens_learnt(sample.trajectory, code_loss) for sample in samples])
        batch["num_items_in_batch"] = torch.tensor(float(max(total, 1.0) * self.recipe.updates * most))
        batch = {key: value.to(device) if hasattr(value, "to") else value for key, value in batch.items()}
        return {**batch, "scale": scale}

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """Returns TRL's loss of a batch, rescaled to the recipe's denominator."""
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
        """Returns log-probabilities under the starting weights: a reference model, or this one without adapters."""
        if self.ref_model is not None:
            return self._logprobs(self.ref_model, batch)
        with self.accelerator.unwrap_model(self.model).disable_adapter():
            return self._logprobs(self.model, batch)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: `training.json` holds what a model card would, and more."""


class SkipEmpty(_TrainerCallback):  # type: ignore[misc]
    """Makes a step without update where there is nothing to learn from, as when all groups of a rollout failed."""

    def __init__(self, trainer: GrpoTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Discards the gradients of an empty update."""
        self.trainer.skip_empty_update()


class Interrupt(_TrainerCallback):  # type: ignore[misc]
    """Stops a training on SIGINT where it can be resumed exactly: with a checkpoint, when a rollout is used up.

    The first SIGINT also restores the previous handler, so that a second one interrupts at once.

    Args:
        updates: optimiser steps per rollout.

    Attributes:
        asked: whether a SIGINT has arrived.
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
        """Saves and stops if a SIGINT has arrived and the rollout is used up."""
        if self.asked and state.global_step % self.updates == 0 and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


def synchronise() -> None:
    """Waits until the GPU, if there is one, has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def grpo_settings(recipe: GrpoRecipe, folder: Path) -> Any:
    """Returns the recipe as TRL's `GRPOConfig`. Raises `RecipeError` if the prompts do not divide over the devices."""
    passes = recipe.accumulation(devices())
    return trl.GRPOConfig(
        **common(recipe, recipe, recipe.steps, recipe.seed, folder),
        per_device_train_batch_size=2,  # TRL requires whole groups; our batches ignore both numbers
        num_generations=2,
        gradient_accumulation_steps=passes,
        steps_per_generation=passes * recipe.updates,
        temperature=recipe.temperature,
        epsilon=recipe.clip_low,
        epsilon_high=recipe.clip_high,
        beta=recipe.kl,
        loss_type="dapo" if recipe.mean == "token" or recipe.window is not None else "grpo",
        mask_truncated_completions=False,
    )


def _unused(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """A reward function, because TRL requires one; rewards come from `o3gym.rewards.settle`."""
    return [math.nan] * len(completions)
