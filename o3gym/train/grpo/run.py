"""Runs a GRPO recipe: checkpoints, exact resume, and the output folder.

OUT/config.json, model.safetensors, …   the model and its processor, once the training is finished
OUT/training.json                        recipe, versions and curves; "finished" says whether the training is finished
OUT/checkpoints/checkpoint-200           weights, optimiser, schedule and random states of a step, and the task cursor
OUT/rollouts/000100-0                    the episodes of rollout 100 (of process 0) as a run folder for `o3gym view`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from o3gym.registry import require
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.recipe import devices
from o3gym.train.record import CURSOR, RECORD, newest_checkpoint, open_record, write_record

GRPO_CHANGEABLE = ("threads", "log_steps", "save_steps", "report_to", "keep", "slots", "watch")
"""Recipe keys that may change when a training is resumed, because the result does not depend on them."""
NOTED = (
    *("loss", "reward", "accuracy", "turns", "over_turn", "answered", "valid_calls", "failed", "uniform_groups"),
    *("unusable_groups", "skipped_rows", "skipped_updates"),
    *("tokens", "tokens_per_second", "refills", "kl", "entropy", "grad_norm", "learning_rate"),
    *("in_loop/reward", "in_loop/accuracy", "in_loop/searches", "in_loop/found", "in_loop/failed"),
    "clip_ratio/region_mean",
    *("seconds/rollout", "seconds/logprobs", "seconds/update"),
)
"""Names of the logged quantities whose curves are kept in the record."""

GrpoProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called with (step, number of steps, logged values)."""


def train_grpo(recipe: GrpoRecipe, out: Path, progress: GrpoProgress | None = None) -> Path:
    """Runs a recipe, or resumes it in `out`. Returns the folder of the finished model.

    On a CPU the same recipe and seed give the same weights, whether or not the training was interrupted. On SIGINT the
    training saves and stops as soon as its rollout is used up; a second SIGINT stops it at once.

    Raises:
        RecipeError: `out` holds a training with another recipe, or the recipe does not fit the model.
        MissingPackage: the extra "train" is not installed.
        KeyboardInterrupt: the training was interrupted and has been saved.
    """
    from o3gym.train.grpo import trainer  # noqa: F401 - so a missing package shows before weights are loaded

    record = open_record(recipe, out, GRPO_CHANGEABLE)
    if record.get("finished"):
        return out
    return _Learning(recipe, out, record, progress).run()


def grpo_arithmetic(recipe: GrpoRecipe) -> dict[str, Any]:
    """Returns what a recipe amounts to: episodes, how a rollout is split into passes, and its memory in GiB.

    Memory is known if the model is a local folder. It is that of one device without sharding: weights, gradients and
    two optimiser moments in float32, a reference model if there is a KL term, and the keys and values of all slots when
    they are full. Activations are not included.
    """
    processes = devices()
    passes = recipe.accumulation(processes)
    episodes, inside = recipe.prompts * recipe.samples, recipe.in_loop.prompts * recipe.in_loop.samples
    most = episodes + inside * recipe.in_loop.calls
    return {
        "devices": processes,
        "rollouts": recipe.steps // recipe.updates,
        "episodes_per_rollout": episodes,
        **({"reasoner_episodes_per_rollout": inside, "most_searches_per_rollout": most - episodes} if inside else {}),
        "episodes_per_update": episodes // recipe.updates,
        "passes_per_update": passes,
        "most_rows_per_pass": recipe.micro_batch or most // (recipe.updates * processes),
        "episodes_in_all": episodes * recipe.steps // recipe.updates,
        "most_rollouts_per_step": recipe.refills + 1,
        "memory_gib": _memory(recipe),
    }


def _memory(recipe: GrpoRecipe) -> dict[str, float] | str:
    if not (Path(recipe.model) / "config.json").is_file():
        return f"unknown: {recipe.model} is not a local model folder"
    torch, transformers = require("torch", "train"), require("transformers", "train")
    config = transformers.AutoConfig.from_pretrained(recipe.model)
    with torch.device("meta"):
        model = transformers.AutoModelForImageTextToText.from_config(config)
    from o3gym.train.models import part_of

    text = config.get_text_config()
    weights = sum(p.numel() for p in model.parameters())
    learnt = sum(p.numel() for n, p in model.named_parameters() if part_of(n) not in recipe.freeze)
    kept = 2 * text.num_hidden_layers * text.num_key_value_heads * _head(text)
    tokens = recipe.slots * (recipe.context or text.max_position_embeddings)
    sizes = {
        "weights": 4 * weights,
        "gradients": 0 if recipe.lora else 4 * learnt,
        "optimiser": 0 if recipe.lora else 8 * learnt,
        "reference": 4 * weights if recipe.kl and not recipe.lora else 0,
        "keys_and_values": kept * tokens * (2 if recipe.precision == "bfloat16" else 4),
    }
    return {name: round(size / 2**30, 3) for name, size in sizes.items()}


def _head(text: Any) -> int:
    return int(getattr(text, "head_dim", 0) or text.hidden_size // text.num_attention_heads)


class _Learning:
    def __init__(self, recipe: GrpoRecipe, out: Path, record: dict[str, Any], progress: GrpoProgress | None) -> None:
        from o3gym.train.models import open_learner

        self.recipe, self.out, self.record, self.progress = recipe, out, record, progress
        self.model, self.processor, self.encoder = open_learner(recipe)

    def run(self) -> Path:
        from o3gym.train.grpo.rollout_worker import RolloutWorker
        from o3gym.train.grpo.trainer import GrpoTrainer
        from o3gym.train.models import save_model

        folder = self.out / "checkpoints"
        last = newest_checkpoint(folder)
        cursor = json.loads((last / CURSOR).read_text("utf-8"))["cursor"] if last else 0
        worker = RolloutWorker(self.recipe, self.encoder, self.out / "rollouts", cursor)
        trainer = GrpoTrainer(self.model, self.processor, self.recipe, self.encoder, worker, folder, self._report)
        worker.rank, worker.everyone = trainer.rank, trainer.everyone  # known once TRL has set up its processes
        try:
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
        finally:
            worker.close()
        if trainer.is_world_process_zero():
            self._note(trainer.state.log_history, trainer.state.global_step)
        if trainer.interrupted:
            raise KeyboardInterrupt
        trainer.save(lambda model: save_model(model, self.processor, self.out, self.recipe))
        self.record["finished"] = True
        if trainer.is_world_process_zero():
            write_record(self.out / RECORD, self.record)
        return self.out

    def _report(self, step: int, logs: Mapping[str, float]) -> None:
        if self.progress is not None:
            self.progress(step, self.recipe.steps, logs)

    def _note(self, history: list[dict[str, float]], steps: int) -> None:
        """Writes the curves so far into the record: the logged steps, and one list per quantity."""
        entries = [entry for entry in history if "loss" in entry]
        known = [name for name in NOTED if any(name in entry for entry in entries)]
        self.record["steps"], self.record["devices"] = steps, devices()
        self.record["curves"] = {
            "step": [entry["step"] for entry in entries],
            **{name: [entry.get(name) for entry in entries] for name in known},
        }
        write_record(self.out / RECORD, self.record)
