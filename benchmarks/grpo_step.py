"""Measures the cost of a GRPO step against TRL's own tool loop: `python benchmarks/grpo_step.py`.

A randomly initialised Qwen3-VL plays the same 4 tasks 4 times each in both. Every turn is a crop of 54 sampled tokens
and a picture of 64 tokens; the last turn answers. TRL's trainer uses our environments through `environment_factory`,
its loop for tools. Both learn from the same number of tokens. The two are measured alternately.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from figures import Figure, show

from o3gym.policies.dialogue import Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor, save_processor
from o3gym.policies.local.transformers import InMemory
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.train.grpo import samplers
from o3gym.train.grpo import trainer as grpo_trainer
from o3gym.train.grpo.recipe import GrpoRecipe, read_grpo
from o3gym.train.grpo.rollout_worker import RolloutWorker
from o3gym.train.grpo.trl_environment import SearchTools

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "train"))
import tiny_folder

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
import datasets
import transformers
import trl

TASKS, SAMPLES, STEPS, ROUNDS, SIDE = 4, 4, 2, 3, 256
VOCABULARY = 308
"""Tokenizer size at which each of the two calls has 54 tokens, about as many as with Qwen's own tokenizer."""
ENV: Mapping[str, Any] = {
    "suite": "synthetic",
    "suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 512 * 512},
    "split": "train",
    "min_pixels": SIDE * SIDE // 4,
    "max_pixels": SIDE * SIDE,
    "max_views": 64,
}
BOX = {"bbox_2d": [250, 250, 750, 750], "img_idx": 0, "label": "it"}
OURS = f'<tool_call>{{"name": "image_zoom_in_tool", "arguments": {json.dumps(BOX)}}}</tool_call>'
CORNERS = {"x0": 0.25, "y0": 0.25, "x1": 0.75, "y1": 0.75}
THEIRS = f'<tool_call>\n{{"name": "crop", "arguments": {json.dumps(CORNERS)}}}\n</tool_call>'
ANSWER = "<answer>A</answer>"


class Scripted(InMemory):
    """Restricts the model to the calls of the benchmark; it still samples every token."""

    turns, spread = 8, False

    def submit(self, request: Request) -> None:
        """Crops, and answers in the last turn. With `spread`, sample n of a task (from 0) has n + 1 turns."""
        turn = sum(message.role == "assistant" for message in request.dialogue.messages)
        last = turn + 1 >= (1 + int(request.key[2]) % self.turns if self.spread else self.turns)
        choices = (ANSWER if last else OURS,)
        super().submit(replace(request, sampling=replace(request.sampling, choices=choices)))


class Stock(trl.GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer. Each sampled reply is replaced by a call, because a random model never writes one."""

    turns = 8

    def _generate_single_turn(self, prompt_ids: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        ids, logprobs = super()._generate_single_turn(prompt_ids, images, *args, **kwargs)
        shown = max(len(pictures) for pictures in images)
        text = (THEIRS if shown < self.turns else ANSWER) + "<|im_end|>"
        forced = self._tokenizer(text)["input_ids"]
        return [list(forced) for _ in ids], logprobs


class Seconds(transformers.TrainerCallback):
    """Measures the seconds of each step, its rollout included."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Starts the clock."""
        self.started = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Stops the clock."""
        self.taken.append(time.perf_counter() - self.started)


def write_model(folder: Path) -> str:
    torch.manual_seed(0)
    prepared = tiny_folder.processor(tiny_folder.tokenizer([OURS, THEIRS], VOCABULARY))
    prepared.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3_vl.jinja").read_text("utf-8")
    prepared.image_processor.size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    tiny_folder.model(prepared.tokenizer, hidden=128).save_pretrained(folder)
    save_processor(prepared, folder)
    return str(folder)


def open_model(path: str) -> tuple[Any, Any]:
    model = transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
    return model, load_processor(path)


def recipe(path: str, turns: int, **more: Any) -> GrpoRecipe:
    base = {"model": path, "dialect": "qwen3_vl", "reward": "every other", "env": {**ENV, "max_turns": turns}}
    sizes = {"prompts": TASKS, "samples": SAMPLES, "steps": STEPS, "save_steps": 1000, "max_tokens": 256}
    return read_grpo({**base, **sizes, "learning_rate": 1e-5, "context": 8192, **more})


def ours(path: str, folder: str, turns: int, **more: Any) -> tuple[float, Any]:
    """Returns the median seconds of a step of o3gym, and the trainer."""
    Scripted.turns = turns
    model, processor = open_model(path)
    settings = recipe(path, turns, **more)
    encoder, seconds = Encoder(processor), Seconds()
    worker = RolloutWorker(settings, encoder, Path(folder))
    trainer = grpo_trainer.GrpoTrainer(model, processor, settings, encoder, worker, Path(folder))
    trainer.add_callback(seconds)
    trainer.train()
    return statistics.median(seconds.taken[1:]), trainer


def theirs(path: str, folder: str, turns: int) -> tuple[float, Any]:
    """Returns the same with TRL's own loop."""
    Stock.turns = turns
    model, processor = open_model(path)
    processor.tokenizer.padding_side = "left"
    length = len(processor.tokenizer(THEIRS + "<|im_end|>")["input_ids"])
    rows = [{"prompt": [{"role": "user", "content": ""}], "task": i} for i in range(TASKS * STEPS)]
    numbers, seconds = count(), Seconds()

    class Tools(SearchTools):
        def get_reward(self) -> float:
            return float(next(numbers) % 2)

    trainer = Stock(
        model=model,
        args=trl.GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=TASKS * SAMPLES,
            num_generations=SAMPLES,
            max_completion_length=8192,
            max_tool_calling_iterations=turns - 1,
            generation_kwargs={"max_new_tokens": length, "min_new_tokens": length},
            max_steps=STEPS,
            learning_rate=1e-5,
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=processor,
        environment_factory=partial(Tools, env={**ENV, "max_turns": turns}),
        callbacks=[seconds],
    )
    trainer.train()
    return statistics.median(seconds.taken[1:]), trainer


def padding(trainer: Any) -> float:
    """Returns the share of padding in the forward passes of the loss."""
    cells = sum(batch["completion_ids"].numel() for batch in trainer._ready)
    read = sum(int(batch["completion_mask"].sum()) for batch in trainer._ready)
    return 1 - read / cells


def register_reward(name: str, value: Any) -> None:
    term = Term(name, "trajectory", value, "this benchmark")
    REWARDS.register(name, RewardRecipe(name, (term,), lambda terms: terms[name], "this benchmark"))


def main() -> None:
    torch.set_num_threads(1)
    samplers.InMemory = Scripted  # type: ignore[misc, assignment]
    register_reward("every other", lambda trajectory: float(trajectory.sample % 2))
    register_reward("all alike", lambda trajectory: 1.0)
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(Path(folder) / "model")
        times: dict[str, list[float]] = {"8": [], "16": [], "TRL": []}
        for _ in range(ROUNDS):
            times["8"].append(ours(path, folder, 8)[0])
            times["TRL"].append(theirs(path, folder, 8)[0])
            times["16"].append(ours(path, folder, 16)[0])
        _, idle = ours(path, folder, 8, reward="all alike", log_steps=STEPS)
        _, busy = ours(path, folder, 8, log_steps=STEPS)
        Scripted.spread = True
        _, spread = ours(path, folder, 8, samples=8, micro_batch=4)
    eight, sixteen, stock = (statistics.median(times[name]) for name in ("8", "16", "TRL"))
    update = [t.state.log_history[0]["seconds/update"] for t in (idle, busy)]
    pad, free = padding(spread), update[0] / update[1]
    show(
        f"a step of GRPO on {TASKS * SAMPLES} episodes, one thread",
        [
            Figure("episodes a second, o3gym / TRL, 8 turns", stock / eight, "×", "at least 2×", stock >= 2 * eight),
            Figure("time at 16 turns / at 8 turns", sixteen / eight, "×", "at most 2.3×", sixteen <= 2.3 * eight),
            Figure("episodes a second, 8 turns", TASKS * SAMPLES / eight, "", "for reference", True),
            Figure("padding, episodes of 1 to 8 turns", 100 * pad, "%", "under 20%", pad < 0.2),
            Figure("update of uniform groups / of others", free, "×", "near 0", free < 0.1),
        ],
    )


if __name__ == "__main__":
    main()
