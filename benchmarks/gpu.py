"""Measures reinforcement learning on one GPU, in at most eight minutes: `python benchmarks/gpu.py`.

The model has the shape of Qwen2.5-VL-3B and random weights; nothing is downloaded. It plays 32 episodes of four turns
in pictures of 448×448. Its replies are given (three crops, then an answer), because a random model never writes a call,
but every token of them is sampled. The sections are:

- matrix: the rate at which the card multiplies matrices in bfloat16, of which the shares below are taken;
- rollout: sampled tokens per second of o3gym's own decoder;
- step: seconds of each phase of a GRPO step with two updates, and its peak memory;
- vllm: the rollout played by vLLM, where it is installed;
- parity: the gradients of `tests/train/grpo/test_grpo_trainer.py` on the card against the formula on the CPU, in
  float32.

Results are written to a JSON file after every section, and a table to a file beside it. The same command runs the
sections that are missing or have failed, and keeps the others. Needs `pip install -e ".[dev]"`. `--device cpu --toy`
runs the same code with a model of 100,000 parameters in seconds; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))
if "--device=cpu" in sys.argv or ("--device" in sys.argv and sys.argv[sys.argv.index("--device") + 1 :][:1] == ["cpu"]):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch is imported: TRL's trainer takes a card wherever it sees one
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
import transformers

from benchmarks.gpu_model import learnt_from, random_model
from benchmarks.gpu_table import rows
from o3gym.dialects.base import make_dialect
from o3gym.policies.dialogue import Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor, save_processor
from o3gym.policies.local.transformers import InMemory
from o3gym.policies.local.vllm import Vllm
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.train.grpo import samplers
from o3gym.train.grpo.recipe import read_grpo
from o3gym.train.grpo.rollout_worker import RolloutWorker
from tests.train import tiny_folder
from tests.train.grpo.spelled import prompts

CALL = {"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [250, 250, 750, 750], "img_idx": 0, "label": "it"}}
CROP = f"<tool_call>{json.dumps(CALL)}</tool_call>"
ANSWER = "<answer>A</answer>"
LIMIT = 480
"""Seconds after which no further section is begun."""
REWARD = "every other sample"


@dataclass(frozen=True)
class Sizes:
    """What is measured: the side of the matrices, the episodes of a rollout, and the cases of the gradient tests."""

    matrix: int
    prompts: int
    samples: int
    turns: int
    side: int
    micro_batch: int
    cases: tuple[str, ...]


CARD = Sizes(8192, 4, 8, 4, 448, 4, ("plain", "masked", "by sequence", "two updates by sequence, with KL"))
TOY = Sizes(64, 2, 2, 2, 56, 0, ("plain",))


@dataclass(frozen=True)
class Setting:
    """Where and what is measured, and what earlier sections have found."""

    device: str
    toy: bool
    folder: Path
    results: Mapping[str, Any]

    @property
    def sizes(self) -> Sizes:
        """What is measured."""
        return TOY if self.toy else CARD

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the matrices and of the model that plays."""
        return torch.float32 if self.toy else torch.bfloat16

    @property
    def env(self) -> dict[str, Any]:
        """Arguments of the environment."""
        pixels = self.sizes.side**2
        tasks = {"family": "hidden", "difficulty": "easy", "pixels": 4 * pixels if self.toy else 1_000_000}
        return {
            **{"suite": "synthetic", "suite_args": tasks, "split": "train", "tools": ["crop", "answer"]},
            **{"min_pixels": pixels // 4, "max_pixels": pixels, "max_views": 64, "max_turns": self.sizes.turns},
        }

    def share(self, flops: float) -> float | None:
        """The share of the card's matrix rate that a rate of floating-point operations is."""
        rate = self.results.get("matrix", {}).get("tflops")
        return flops / 1e12 / rate if rate else None


def make_model(setting: Setting, dtype: torch.dtype) -> tuple[Any, Any]:
    """Returns a model with random weights on the device, and its processor."""
    texts = [CROP, *prompts(make_dialect("qwen3_vl"), {**setting.env, "max_turns": 2})]
    return random_model(texts, setting.sizes.side, setting.device, dtype, toy=setting.toy)


class Script:
    """Restricts a policy to the replies of the benchmark; it still samples every token of them."""

    turns = CARD.turns

    def submit(self, request: Request) -> None:
        """Crops in every turn but the last, which answers."""
        turn = sum(message.role == "assistant" for message in request.dialogue.messages)
        choices = (ANSWER if turn + 1 >= self.turns else CROP,)
        super().submit(replace(request, sampling=replace(request.sampling, choices=choices)))  # type: ignore[misc]


class OwnDecoder(Script, InMemory):
    """The model in this process."""


class VllmEngine(Script, Vllm):
    """The model in vLLM's engine."""


def measured_rollout(setting: Setting, policy: Any) -> dict[str, float]:
    """Plays the episodes twice and returns the rates of the second time."""
    sizes, dialect, rates = setting.sizes, make_dialect("qwen3_vl"), dict[str, float]()
    policy.turns = sizes.turns
    for attempt in range(1 if setting.toy else 2):
        jobs = [
            Job(task, f"{attempt}.{task}", sample, seed=sample + 100 * task + 10_000 * attempt)
            for task in range(sizes.prompts)
            for sample in range(sizes.samples)
        ]
        started = time.perf_counter()
        arm = Arm("", setting.env, "", "", Sampling(1.0, 1.0, 256))
        episodes = list(rollout(jobs, policy, dialect, arm, in_flight=len(jobs)))
        seconds = time.perf_counter() - started
        if errors := [t.turns[-1].reply.error for t in episodes if t.stop == "error"]:
            raise RuntimeError(f"{len(errors)} of {len(episodes)} episodes failed: {errors[0]}")
        replies = [turn.reply for t in episodes for turn in t.turns]
        written = sum(len(reply.token_ids or ()) for reply in replies)
        read = sum(len(reply.new_prompt_ids or ()) for reply in replies)
        rates = {"tokens_per_second": written / seconds, "seconds": seconds, "written": written, "read": read}
    return rates


def matrix(setting: Setting) -> dict[str, Any]:
    """Multiplies square matrices; the best of several times."""
    from o3gym.train.grpo.trainer import synchronise

    side = setting.sizes.matrix
    one, other = (torch.randn(side, side, device=setting.device, dtype=setting.dtype) for _ in range(2))
    times = []
    for _ in range(3 if setting.toy else 20):
        synchronise()
        started = time.perf_counter()
        torch.matmul(one, other)
        synchronise()
        times.append(time.perf_counter() - started)
    return {"tflops": 2 * side**3 / statistics.median(sorted(times)[: len(times) // 2 + 1]) / 1e12}


def own_rollout(setting: Setting) -> dict[str, Any]:
    """Plays the episodes with o3gym's own decoder."""
    model, processor = make_model(setting, setting.dtype)
    slots = setting.sizes.prompts * setting.sizes.samples
    rates = measured_rollout(setting, OwnDecoder(model.eval(), Encoder(processor), slots, 8192))
    text = learnt_from(model)
    flops = 2 * text * (rates["written"] + rates["read"]) / rates["seconds"]
    return {**rates, "share": setting.share(flops), "memory_gib": peak(setting.device)}


def step(setting: Setting) -> dict[str, Any]:
    """Trains for two rollouts of two updates each and returns the seconds of the second one's phases."""
    from o3gym.train.grpo.trainer import GrpoTrainer

    sizes = setting.sizes
    model, processor = make_model(setting, torch.float32)
    text = learnt_from(model)
    settings: dict[str, Any] = {
        **{"model": "random", "dialect": "qwen3_vl", "reward": REWARD, "env": setting.env, "context": 8192},
        **{"prompts": sizes.prompts, "samples": sizes.samples, "updates": 2, "steps": 4, "save_steps": 1000},
        **{"max_tokens": 256, "micro_batch": sizes.micro_batch, "learning_rate": 1e-6, "log_steps": 2},
        **{"slots": sizes.prompts * sizes.samples, "in_flight": sizes.prompts * sizes.samples},
        "precision": "float32" if setting.toy else "bfloat16",
        "gradient_checkpointing": not setting.toy,
    }
    # Weights, gradients and moments take 16 bytes a parameter; activations and the cache a few GiB more.
    adapters = not setting.toy and free_gib(setting.device) < 16 * text / 2**30 + 12
    with given_replies(sizes.turns), tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        made = read_grpo({**settings, "lora": {"r": 16} if adapters else None})
        if made.lora is not None:
            from o3gym.train.models import with_adapters

            model = with_adapters(model, made.lora)
        encoder = Encoder(processor)
        worker = RolloutWorker(made, encoder, Path(folder))
        trainer = GrpoTrainer(model, processor, made, encoder, worker, Path(folder) / "checkpoints")
        trainer.train()
    entry = next(entry for entry in reversed(trainer.state.log_history) if "seconds/rollout" in entry)
    tokens = sum(int(batch["completion_mask"].sum()) for batch in trainer._ready)
    phases = {name: entry[f"seconds/{name}"] for name in ("rollout", "logprobs", "update")}
    return {
        **phases,
        "tokens": tokens,
        "adapters": adapters,
        # A forward pass makes 2 operations per parameter and token, a backward pass 4. What is computed twice to save
        # memory, attention and the vision tower are not counted, so the true shares are a little higher.
        "share_logprobs": setting.share(2 * text * tokens / phases["logprobs"]),
        "share_update": setting.share(6 * text * tokens / phases["update"]),
        "memory_gib": peak(setting.device),
    }


def vllm(setting: Setting) -> dict[str, Any]:
    """Plays the same episodes with vLLM, with the same weights."""
    try:
        import vllm as installed
    except ImportError:
        return {"skipped": "vLLM is not installed"}
    if setting.device == "cpu":
        return {"skipped": "a card is needed"}
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        model, processor = make_model(setting, setting.dtype)
        model.save_pretrained(folder)
        save_processor(processor, Path(folder))
        del model
        release()
        policy = VllmEngine(folder, dtype=str(setting.dtype).removeprefix("torch."), max_model_len=8192)
        try:
            rates = measured_rollout(setting, policy)
        finally:
            policy.close()
    own = setting.results.get("rollout", {}).get("tokens_per_second", math.nan)
    return {**rates, "version": installed.__version__, "own_over_vllm": own / rates["tokens_per_second"]}


def parity(setting: Setting) -> dict[str, Any]:
    """Returns the largest difference of a gradient from the formula's, relative to the largest gradient, per case."""
    from tests.train.grpo import test_grpo_trainer as gradients
    from tests.train.grpo.spelled import played, rewarded

    torch.backends.cudnn.allow_tf32 = False  # the patches of a picture go through a convolution
    start = tiny_folder.write_folder(setting.folder / "start", prompts(make_dialect("grid")))
    groups = rewarded(played(Encoder(load_processor(str(start)))), gradients.REWARDS)
    gaps = {}
    for case in setting.sizes.cases:
        made = gradients.recipe(start, **gradients.CASES[case])
        spy, _ = gradients.trained(made, groups, setting.folder / f"parity-{len(gaps)}")
        gap = 0.0
        for update, (weights, grads) in enumerate(spy.steps):
            _, wanted = gradients.oracle(made, groups, weights, spy.steps[0][0], update)
            most = max(float(grad.abs().max()) for grad in wanted.values())
            gap = max(gap, *(float((grads[name] - grad).abs().max()) / most for name, grad in wanted.items()))
        gaps[case] = gap
    return {"gaps": gaps, "met": max(gaps.values()) < 1e-3}


SECTIONS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "matrix": matrix,
    "rollout": own_rollout,
    "step": step,
    "vllm": vllm,
    "parity": parity,
}


@contextmanager
def given_replies(turns: int) -> Iterator[None]:
    """Lets trainings play the replies of the benchmark, and registers a reward that differs within each group."""
    term = Term("sample", "trajectory", lambda trajectory: float(trajectory.sample % 2), "this benchmark")
    REWARDS.register(REWARD, RewardRecipe(REWARD, (term,), lambda terms: terms["sample"], "this benchmark"))
    try:
        with mock.patch.object(samplers, "InMemory", OwnDecoder), mock.patch.object(OwnDecoder, "turns", turns):
            yield
    finally:
        for table in (REWARDS._loaded, REWARDS._paths):
            table.pop(REWARD, None)


def peak(device: str) -> float | None:
    return torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None


def free_gib(device: str) -> float:
    return torch.cuda.mem_get_info()[0] / 2**30 if device == "cuda" else math.inf


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def machine(device: str) -> dict[str, Any]:
    card = torch.cuda.get_device_name() if device == "cuda" else "no card"
    return {"card": card, "torch": torch.__version__, "transformers": transformers.__version__}


def measure(out: Path, device: str, toy: bool, limit: float) -> dict[str, Any]:
    """Runs the sections that `out` has no results of, and returns all results."""
    started, facts = time.perf_counter(), {**machine(device), "toy": toy}
    stored = json.loads(out.read_text("utf-8")) if out.is_file() else {"machine": facts, "sections": {}}
    if stored["machine"] != facts:
        raise SystemExit(f"{out} has results of another machine or version: {stored['machine']}; choose another --out")
    sections = stored["sections"]
    for name, section in SECTIONS.items():
        result = sections.get(name, {"error": "not run"})
        if not {"error", "skipped"} & set(result) or time.perf_counter() - started > limit:
            continue
        release()
        print(f"{name} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                sections[name] = section(Setting(device, toy, Path(folder), sections))
            except Exception as error:
                sections[name] = {"error": f"{type(error).__name__}: {error}"[:500]}
        out.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    return stored


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--toy", action="store_true", help="a tiny model, to test this script")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="results; the table is written beside it")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds after which no section is begun")
    args = parser.parse_args(arguments)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("no card is visible; `--device cpu --toy` tests the script", file=sys.stderr)
        return 2
    if args.device == "cpu" and not args.toy:
        parser.error("--device cpu needs --toy: a model of this size would take hours")
    stored = measure(args.out, args.device, args.toy, args.limit)
    title = "a toy, whose numbers mean nothing" if args.toy else "Qwen2.5-VL-3B's shape, random weights"
    lines = [
        f"{stored['machine']['card']}, torch {stored['machine']['torch']}: {title}",
        "",
        "| figure | measured |",
        "|---|---|",
    ]
    lines += [f"| {label} | {text} |" for label, text in rows(stored["sections"])]
    args.out.with_suffix(".md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))
    failed = any("error" in result for result in stored["sections"].values())
    return int(failed or not stored["sections"].get("parity", {}).get("met", False))


if __name__ == "__main__":
    raise SystemExit(main())
