"""Thyme's adaptive temperature in miniature: does it help to sample text at temperature 1, but code at temperature 0?

Thyme (arXiv 2508.11630) reinforces a model that writes code within its reasoning. Text should explore, but code should
be exact; so GRPO-ATS, its method, samples text at temperature 1 and code at temperature 0. Its reward is the outcome,
the format, and the consistency of the thought with the answer. Its authors report that a further reward for code does
harm.

Here a label is turned or too dim to read. A small coder is taught by the recipe of the one on board, but with a quarter
of the whole episodes (cell `start`): sampled at temperature 1, its code often fails, for example because it uses a name
that it has not defined. It and the coder on board (cell `board`) are tested at temperature 1, with code at temperature
0, and greedily. From there it is reinforced with code at temperature 0 (`adaptive`) or 1 (`plain`), both with Thyme's
reward. As in Thyme's released trainer, greedy code has a loss; in a third arm, `text`, it has none. Two more arms with
code at temperature 0 are the other rows of the reward's ablation: `outcome` has no consistency, and `code` adds the
reward for code that runs. An episode is one block of code and the answer. Measured: the share of code that runs, the
accuracy, and the share of answers that are consistent with the thought, step by step in training and at the end on
held-out tasks.

    pip install "o3gym[train,figures]"
    python examples/thyme_in_miniature.py --cells all --threads 1

A stopped cell resumes where it was, and a finished cell is not run again. `docs/thyme.json` holds everything that the
figure needs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cells import run_cells
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.policies.tiny.coder import WEIGHTS_CODER
from o3gym.runs.intervals import bootstrap_interval
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.grpo.run import train_grpo
from o3gym.train.recipe import load_recipe
from o3gym.train.sft.run import train_sft
from o3gym.types import Trajectory, Turn

TAUGHT_STEPS = 60
"""Steps of the recipe's last stage, whole episodes, for the model to begin with; the one on board has 240."""
EPISODE_TURNS = 2
"""One block of code and the answer."""
MAX_TOKENS = 96
TASKS = {"family": "turned+dim", "difficulty": "easy", "answers": "choice"}
ARMS: Mapping[str, Mapping[str, Any]] = {
    "adaptive": {"reward": "thyme", "code_temperature": 0.0},
    "text": {"reward": "thyme", "code_temperature": 0.0, "code_loss": "false"},
    "plain": {"reward": "thyme", "code_temperature": "null"},
    "outcome": {"reward": "thyme_no_consistency", "code_temperature": 0.0},
    "code": {"reward": "thyme_with_code", "code_temperature": 0.0},
}
"""What differs between the arms: the reward, the temperature of code (null: that of the text, 1), and whether
code has a loss.
"""
WAYS: Mapping[str, tuple[float, float | None]] = {"plain": (1.0, None), "adaptive": (1.0, 0.0), "greedy": (0.0, None)}
"""Temperatures of the text and of the code in the tests."""
ENDS = (slice(5), slice(-5, None))
"""The first and the last steps of a training."""
COLOURS = {
    "adaptive": "tab:blue",
    "text": "tab:cyan",
    "plain": "tab:orange",
    "outcome": "tab:green",
    "code": "tab:purple",
}
MEASURES = {"coded": "with code", "ran": "code that runs", "solved": "solved", "consistent": "consistent"}
out = Console(markup=False, emoji=False, width=140)


@dataclass(frozen=True)
class Cell:
    """A model: the one on board ("board"), "start" by imitation, or an arm of `ARMS` by reinforcement, with a seed."""

    arm: str = "start"
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell, for example "adaptive-0"."""
        return f"{self.arm}-{self.seed}" if self.arm in ARMS else self.arm


CELLS = (
    Cell("board"),
    Cell(),
    *(Cell(arm, seed) for seed in range(3) for arm in ("adaptive", "plain", "text")),
    *(Cell(arm, seed) for seed in range(3) for arm in ("outcome", "code")),
)


def train_cell(cell: Cell, args: argparse.Namespace) -> Path:
    """Trains the cell's model, unless that is done already. Returns its folder."""
    if cell.arm == "board":
        return WEIGHTS_CODER
    taught = [f"stages.2.steps={TAUGHT_STEPS}", f"threads={args.threads}"]
    model = train_sft(load_recipe("tiny_coder", taught), args.out / "start")
    if cell.arm == "start":
        return model
    settings: dict[str, Any] = {
        "model": str(model),
        **ARMS[cell.arm],
        "seed": cell.seed,
        "steps": args.steps,
        "watch": 1,
        "threads": args.threads,
        "env.on_void": "continue",  # a reply without code or answer is told so, and another one may follow
    }
    recipe = load_grpo("tiny_coder", [f"{key}={value}" for key, value in settings.items()])
    return train_grpo(recipe, args.out / cell.name, lambda step, steps, logs: _print_log(cell, step, steps, logs))


def _print_log(cell: Cell, step: int, steps: int, logs: Mapping[str, float]) -> None:
    if "reward" in logs:
        shown = "  ".join(f"{key} {logs[key]:.2f}" for key in ("reward", "accuracy", "turns", "answered"))
        out.print(f"{cell.name}  {step}/{steps}  {shown}", highlight=False)


def evaluate(model: Path, folder: Path, episodes: int, temperature: float, code: float | None) -> list[Trajectory]:
    """Plays held-out tasks, the same ones for all cells."""
    bench = Bench(
        suite_args=TASKS,
        policies=(f"tiny_coder:{model}",),
        episodes=episodes,
        turns=(EPISODE_TURNS,),
        sampling=Sampling(temperature, max_tokens=MAX_TOKENS, code_temperature=code),
    )
    run(bench, folder)
    return sorted(open_run(folder).records(), key=lambda t: t.group)


def result(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the result of a cell: what each held-out episode did, and the course of the training."""
    model = train_cell(cell, args)
    found: dict[str, Any] = {"cell": cell.name, "episodes": args.episodes}
    found["steps"] = args.steps if cell.arm in ARMS else 0
    for way, (temperature, code) in WAYS.items():
        folder = args.out / f"{cell.name}-bench" / way
        found[way] = per_task(evaluate(model, folder, args.episodes, temperature, code))
    steps = sorted((model / "rollouts").glob("*-0"))
    found["training"] = [shares(open_run(step).records()) for step in steps]
    return found


def calls_of(trajectory: Trajectory) -> list[Turn]:
    """Returns the turns of an episode that call code, but for those that no turn was left for."""
    return [turn for turn in trajectory.turns if turn.parsed.call.tool == "code" and turn.error != "budget"]


def per_task(episodes: Sequence[Trajectory]) -> dict[str, list[int]]:
    """Returns for each episode whether it wrote code, whether its code ran (−1: none), and whether it was right."""
    ran = [[not turn.error for turn in calls_of(t)] for t in episodes]
    return {
        "coded": [int(bool(calls)) for calls in ran],
        "ran": [int(all(calls)) if calls else -1 for calls in ran],
        "solved": [int(t.verdict == "correct") for t in episodes],
        "consistent": [int(is_consistent(t)) for t in episodes],
    }


def is_consistent(trajectory: Trajectory) -> bool:
    """Whether an episode gave the answer that its thought ends with, as in "reads A</think> <answer>A</answer>"."""
    thought, _, end = "".join(turn.reply.text for turn in trajectory.turns).partition("</think>")
    return bool(trajectory.answer) and thought.endswith(trajectory.answer) and trajectory.answer in end


def shares(episodes: Iterable[Trajectory]) -> dict[str, float | None]:
    """Returns the mean of each measure; that of code that runs is over the episodes with code, None without any."""
    return {key: mean_share(values) for key, values in per_task(list(episodes)).items()}


def mean_share(values: Sequence[int]) -> float | None:
    """Returns the mean of the values that are not −1."""
    known = [value for value in values if value >= 0]
    return sum(known) / len(known) if known else None


def chosen(results: Mapping[str, Any], arm: str) -> list[dict[str, Any]]:
    """Returns the results of an arm, one per seed."""
    return [results[cell.name] for cell in CELLS if cell.arm == arm and cell.name in results]


def written_gain(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]], key: str) -> str:
    """Writes how much higher a share is in the first tests, in points, with a bootstrap interval over paired tasks."""
    means = [np.mean([test[key] for test in tests], axis=0) for tests in (first, second)]
    difference = means[0] - means[1]
    low, high = bootstrap_interval(difference.tolist())
    return f"{100 * difference.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def show(results: Mapping[str, Any], target: Path) -> None:
    """Prints the table and the comparisons of the arms with each other and with the start, and draws the figure."""
    for way in WAYS:
        table = Table(f"tested {way}, %", *MEASURES.values(), box=None, padding=(0, 1))
        for name, cell in results.items():
            values = [mean_share(cell[way][key]) for key in MEASURES]
            table.add_row(name, *("–" if value is None else f"{100 * value:.1f}" for value in values))
        out.print(table)
    for arm in ("board", "start"):
        if cells := chosen(results, arm):
            tested = [[cell[way] for cell in cells] for way in ("adaptive", "plain")]
            gains = [f"{key} {written_gain(*tested, key)}" for key in ("solved", "consistent")]
            out.print(f"{arm}, tested adaptive − plain: {', '.join(gains)} points", highlight=False)
    pairs = [
        ("adaptive", "plain"),
        ("text", "plain"),
        ("text", "adaptive"),
        ("adaptive", "outcome"),
        ("code", "adaptive"),
        *((arm, "start") for arm in ARMS),
    ]
    for arm, other in pairs:
        first, second = chosen(results, arm), chosen(results, other)
        if first and second:
            seeds = f"{len(first)} seed{'s' * (len(first) > 1)}"
            for way in WAYS:
                tested = [[cell[way] for cell in cells] for cells in (first, second)]
                gains = [f"{key} {written_gain(*tested, key)}" for key in ("solved", "consistent")]
                out.print(f"{arm} − {other}, {way}: {', '.join(gains)} points, {seeds}", highlight=False)
    for arm in ARMS:
        if cells := chosen(results, arm):
            means = [np.mean([mean_course(cell, key) for cell in cells]) for key in MEASURES]
            shown = ", ".join(f"{key} {100 * mean:.1f}" for key, mean in zip(MEASURES, means, strict=True))
            ends = [100 * np.mean([course(cell, "solved")[part] for cell in cells]) for part in ENDS]
            out.print(
                f"{arm}, mean over the steps of training: {shown} %; "
                f"solved in the first five {ends[0]:.1f}, in the last five {ends[1]:.1f} %",
                highlight=False,
            )
    draw(results, target.with_suffix(".png"))


def mean_course(cell: Mapping[str, Any], key: str) -> float:
    """Returns the mean of a measure over the steps of a training; steps without any code have no share that runs."""
    return float(np.nanmean(course(cell, key)))


def course(cell: Mapping[str, Any], key: str) -> np.ndarray:
    """Returns a measure at every step of a training, NaN where there is none; float (steps,)."""
    return np.array([np.nan if step[key] is None else step[key] for step in cell["training"]], float)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draws three measures over the steps of training; thin lines are seeds."""
    figure = Figure(figsize=(10.5, 3.6), dpi=150, layout="constrained")
    panels = dict(zip(("ran", "solved", "consistent"), figure.subplots(1, 3), strict=True))
    for arm, colour in COLOURS.items():
        for key, axes in panels.items():
            lines = [100 * course(cell, key) for cell in chosen(results, arm)]
            for line in lines:
                axes.plot(range(1, len(line) + 1), line, color=colour, alpha=0.25, linewidth=1)
            if lines:
                mean = smooth(np.nanmean(lines, axis=0))
                axes.plot(range(1, len(mean) + 1), mean, color=colour, linewidth=2, label=arm)
    for key, axes in panels.items():
        axes.set(title=f"{MEASURES[key]}, %", xlabel="steps", ylim=(0, 102))
        axes.spines[["top", "right"]].set_visible(False)
    if panels["ran"].lines:
        panels["ran"].legend(frameon=False, fontsize=8)
    figure.savefig(path)


def smooth(values: np.ndarray) -> np.ndarray:
    """Returns the mean over each step and its neighbours."""
    return np.array([np.nanmean(values[max(0, at - 1) : at + 2]) for at in range(len(values))])


if __name__ == "__main__":
    run_cells(__doc__, CELLS, CELLS[:4], result, show, steps=40, episodes=120, folder="thyme")
