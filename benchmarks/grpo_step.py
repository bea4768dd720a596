"""What a step of reinforcement learning costs: `python benchmarks/grpo_step.py`, beside TRL's own tool loop.

A random Qwen3-VL plays the same tasks in both, 4 of them 4 times each. Every turn is 54 sampled tokens in the form of
a crop, and a picture of 64 tokens; a last turn answers. TRL's trainer gets our environments through
`environment_factory`, the loop it has for tools; then both learn from the same number of tokens. The two take turns.
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
"""With so many words either call is 54 tokens, about as many as with Qwen's own."""
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


class Written(InMemory):
    """The model may write nothing but what the benchmark says: it still samples every token."""

    turns, spread = 8, False

    def submit(self, request: Request) -> None:
        """Crops up to the last turn; with `spread`, sample n of a task ends after n turns already."""
        turn = sum(message.role == "assistant" for message in request.dialogue.messages)
        last = turn + 1 >= (1 + int(request.key[2]) % self.turns if self.spread else self.turns)
        choices = (ANSWER if last else OURS,)
        super().submit(replace(request, sampling=replace(request.sampling, choices=choices)))


class Stock(trl.GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer; what was sampled is replaced by a call, since a random model never writes one."""

    turns = 8

    def _generate_single_turn(self, prompt_ids: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        ids, logprobs = super()._generate_single_turn(prompt_ids, images, *args, **kwargs)
        shown = max(len(pictures) for pictures in images)
        text = (THEIRS if shown < self.turns else ANSWER) + "<|im_end|>"
        forced = self._tokenizer(text)["input_ids"]
        return [list(forced) for _ in ids], logprobs


class Seconds(transformers.TrainerCallback):
    """How long each step takes, its rollout included."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop it."""
        self.taken.append(time.perf_counter() - self.started)


def write_model(folder: Path) -> str:
    torch.manual_seed(0)
    prepared = tiny_folder.processor(tiny_folder.tokenizer([OURS, THEIRS], VOCABULARY))
    prepared.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3_vl.jinja").read_text("utf-8")
    prepared.image_processor.size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    tiny_folder.model(prepared.tokenizer, hidden=128).save_pretrained(folder)
    save_processor(prepared, folder)
    return str(folder)


def opened(path: str) -> tuple[Any, Any]:
    model = transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
    return model, load_processor(path)


def recipe(path: str, turns: int, **more: Any) -> GrpoRecipe:
    base = {"model": path, "dialect": "qwen3_vl", "reward": "every other", "env": {**ENV, "max_turns": turns}}
    sizes = {"prompts": TASKS, "samples": SAMPLES, "steps": STEPS, "save_steps": 1000, "max_tokens": 256}
    return read_grpo({**base, **sizes, "learning_rate": 1e-5, "context": 8192, **more})


def ours(path: str, folder: str, turns: int, **more: Any) -> tuple[float, Any]:
    """Median seconds of a step, and the trainer."""
    Written.turns = turns
    model, processor = opened(path)
    made = recipe(path, turns, **more)
    encoder, seconds = Encoder(processor), Seconds()
    player = RolloutWorker(made, encoder, Path(folder))
    trainer = grpo_trainer.GrpoTrainer(model, processor, made, encoder, player, Path(folder))
    trainer.add_callback(seconds)
    trainer.train()
    return statistics.median(seconds.taken[1:]), trainer


def theirs(path: str, folder: str, turns: int) -> tuple[float, Any]:
    """The same with TRL's own loop."""
    Stock.turns = turns
    model, processor = opened(path)
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
    """Share of the loss's forward passes that is padding, with episodes of one turn up to the budget."""
    cells = sum(batch["completion_ids"].numel() for batch in trainer._ready)
    read = sum(int(batch["completion_mask"].sum()) for batch in trainer._ready)
    return 1 - read / cells


def rewarded(name: str, value: Any) -> None:
    term = Term(name, "trajectory", value, "this benchmark")
    REWARDS.register(name, RewardRecipe(name, (term,), lambda terms: terms[name], "this benchmark"))


def main() -> None:
    torch.set_num_threads(1)
    samplers.InMemory = Written  # type: ignore[misc, assignment]
    rewarded("every other", lambda trajectory: float(trajectory.sample % 2))
    rewarded("all alike", lambda trajectory: 1.0)
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(Path(folder) / "model")
        times: dict[str, list[float]] = {"8": [], "16": [], "TRL": []}
        for _ in range(ROUNDS):
            times["8"].append(ours(path, folder, 8)[0])
            times["TRL"].append(theirs(path, folder, 8)[0])
            times["16"].append(ours(path, folder, 16)[0])
        _, idle = ours(path, folder, 8, reward="all alike", log_steps=STEPS)
        _, busy = ours(path, folder, 8, log_steps=STEPS)
        Written.spread = True
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
