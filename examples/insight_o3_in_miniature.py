"""InSight-o3's hybrid training in miniature: does a searcher learn in a reasoner's loop, outside of it, or from both?

InSight-o3 (arXiv 2512.18745, section 4) trains a searcher in three ways: on regions whose box is known (outside of the
loop, IoU reward); on searches that a reasoner delegates while it works (in the loop, rewarded if the reasoner rated the
search as helpful and then answered correctly); and on both, one to one.

Here the searcher is the tiny model. By imitation it learns to look at one place after the other, to say where the star
is, and now and then to point somewhere too early (cell `start`). The reasoner is scripted: it answers correctly if a
search showed it the star, guesses otherwise, and one in ten of its ratings is wrong. Apart from chance, all arms get
the same number of searches per step. Measured on held-out tasks: the IoU of region searches, and the reasoner's
accuracy.

    pip install "o3gym[train,figures]"
    python examples/insight_o3_in_miniature.py --cells start in_loop-0 out_of_loop-0 hybrid-0

A stopped cell resumes where it was, and a finished cell is not run again. `docs/insight.json` holds everything that the
figure needs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
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
from o3gym.geometry import iou
from o3gym.runs.intervals import bootstrap_interval
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.grpo.run import train_grpo
from o3gym.train.recipe import SftRecipe, read_recipe
from o3gym.train.sft.run import train_sft
from o3gym.types import Trajectory

CALLS = 16
"""Maximum looks of a search: one for each place."""
GUESS = 0.12
"""Probability per reply that the start points somewhere before it has found the star."""
NOISE = 0.1
"""Share of the reasoner's ratings that are inverted."""
HIDDEN = {"family": "hidden", "difficulty": "easy"}
PROMPTS: Mapping[str, tuple[int, int]] = {"out_of_loop": (8, 0), "in_loop": (0, 8), "hybrid": (4, 4)}
"""Tasks per step: region searches, and tasks of the reasoner."""
SEARCHES, TASKS = 8, 5
"""Episodes per region search and per task of the reasoner, which takes one or two searches."""
COLOURS = {"out_of_loop": "tab:orange", "in_loop": "tab:blue", "hybrid": "tab:green"}
out = Console(markup=False, emoji=False)


@dataclass(frozen=True)
class Cell:
    """One training: "start" by imitation, or an arm of `PROMPTS` by reinforcement, with a seed."""

    arm: str = "start"
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell, for example "hybrid-0"."""
        return self.arm if self.arm == "start" else f"{self.arm}-{self.seed}"


CELLS = (Cell(), *(Cell(arm, seed) for seed in range(3) for arm in PROMPTS))


def start(threads: int) -> SftRecipe:
    """Returns the recipe of the imitation: searches place by place, some of which point somewhere too early.

    A third of the rows has a loss on the last reply only.
    """
    finding = {"source": "o3gym.train.tiny.lessons:FindingLesson", "families": "hidden", "guess": GUESS}
    lesson = {**finding, "named": True, "echoed": True}
    data = [
        {**lesson, "weight": 0.5},
        {**lesson, "last_turns": 1, "weight": 0.35},
        {"source": "o3gym.train.tiny.crowded_scenes:CrowdedScenes", "board": "cards", "weight": 0.15},
    ]
    stage = {"steps": 100, "batch": 16, "parts": 8, "warmup": 10, "context": 4096, "learning_rate": 5e-4, "data": data}
    model = "o3gym.train.tiny.model:on_board"
    return read_recipe({"name": "start", "model": model, "threads": threads, "stages": [stage], "save_steps": 20})


def train_cell(cell: Cell, folder: Path, steps: int, threads: int) -> Path:
    """Trains the cell's model, unless that is done already. Returns its folder."""
    if cell.arm == "start":
        return train_sft(start(threads), folder / cell.name)
    prompts, tasks = PROMPTS[cell.arm]
    settings = {
        "model": str(folder / "start"),
        "env.suite_args": json.dumps({**HIDDEN, "answers": "box"}),
        "env.max_calls": CALLS,
        "env.max_turns": CALLS + 1,
        "reward": "insight_o3",
        "over_turn_masking": "false",
        "prompts": prompts,
        "samples": SEARCHES,
        "in_loop.prompts": tasks,
        "in_loop.samples": TASKS,
        "in_loop.reasoner": f"asker?noise={NOISE}",
        "in_loop.env.suite_args": json.dumps(HIDDEN),
        "in_loop.env.max_calls": 2,
        "seed": cell.seed,
        "steps": steps,
        "save_steps": halfway(steps),
        "keep": 2,
        "threads": threads,
    }
    recipe = load_grpo("tiny", [f"{key}={value}" for key, value in settings.items()])
    return train_grpo(recipe, folder / cell.name, lambda step, steps, logs: _print_log(cell, step, steps, logs))


def halfway(steps: int) -> int:
    """Returns the step of the checkpoint that is measured as well; rounded up, so that only this and the last exist."""
    return -(-steps // 2)


def _print_log(cell: Cell, step: int, steps: int, logs: Mapping[str, float]) -> None:
    names = ("reward", "turns", "in_loop/reward", "in_loop/accuracy", "in_loop/searches", "in_loop/turns")
    if "reward" in logs:
        shown = "  ".join(f"{key} {logs[key]:.2f}" for key in names if key in logs)
        out.print(f"{cell.name}  {step}/{steps}  {shown}", highlight=False)


def evaluate(suite: Mapping[str, Any], policy: str, folder: Path, episodes: int) -> list[Trajectory]:
    """Plays held-out tasks, the same ones for all cells, sampling as in training."""
    sampling = Sampling(temperature=1.0, max_tokens=160)
    bench = Bench(suite_args=suite, policies=(policy,), episodes=episodes, turns=(CALLS + 1,), sampling=sampling)
    run(bench, folder)
    return sorted(open_run(folder), key=lambda t: t.group)


def result(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the result of a cell: the IoU of each region search, the reasoner's verdict on each task, and means."""
    model = train_cell(cell, args.out, args.steps, args.threads)
    searches = search_regions(model, args.out / f"{cell.name}-iou", args.episodes)
    pair = f"two_agent(reasoner=asker, searcher=tiny:{model}, searcher_calls={CALLS})"
    tasks = evaluate(HIDDEN, pair, args.out / f"{cell.name}-accuracy", args.episodes)
    found = {
        "cell": cell.name,
        "episodes": args.episodes,
        "steps": 0 if cell.arm == "start" else args.steps,
        "iou": [overlap(t) for t in searches],
        "correct": [int(t.verdict == "correct") for t in tasks],
        "turns": sum(len(t.turns) for t in searches) / len(searches),
        "located": sum(t.stop == "located" for t in searches) / len(searches),
        "searches": sum(len(t.children) for t in tasks) / len(tasks),
        "curves": json.loads((model / "training.json").read_text("utf-8")).get("curves", {}),
    }
    if found["steps"]:
        half = model / "checkpoints" / f"checkpoint-{halfway(args.steps)}"
        found["halfway"] = [overlap(t) for t in search_regions(half, args.out / f"{cell.name}-halfway", args.episodes)]
    return found


def search_regions(model: Path, folder: Path, episodes: int) -> list[Trajectory]:
    """Plays held-out region searches."""
    return evaluate({**HIDDEN, "answers": "box"}, f"tiny:{model}", folder, episodes)


def overlap(trajectory: Trajectory) -> float:
    """Returns the IoU of the located box with the target; 0 if nothing was located."""
    return iou(trajectory.located, trajectory.task.targets[0].box) if trajectory.located else 0.0


def chosen(results: Mapping[str, Any], arm: str) -> list[dict[str, Any]]:
    """Returns the results of an arm, one per seed."""
    return [found for name, found in sorted(results.items()) if name.rpartition("-")[0] == arm or name == arm]


def means(cells: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """Returns the mean over seeds, per task."""
    return np.mean([cell[key] for cell in cells], axis=0)


def show(results: Mapping[str, Any], target: Path) -> None:
    """Prints the table and the comparisons of the arms with the start and with each other, and draws the figure."""
    table = Table(
        "arm", "IoU", "right %", "turns per search", "located %", "searches per task", box=None, padding=(0, 1)
    )
    for name, cell in results.items():
        shares = [f"{np.mean(cell['iou']):.3f}", f"{100 * np.mean(cell['correct']):.1f}", f"{cell['turns']:.1f}"]
        table.add_row(name, *shares, f"{100 * cell['located']:.0f}", f"{cell['searches']:.2f}")
    out.print(table)
    pairs = [*((arm, "start") for arm in PROMPTS), ("hybrid", "in_loop"), ("hybrid", "out_of_loop")]
    for arm, other in pairs:
        first, second = chosen(results, arm), chosen(results, other)
        if first and second:
            gains = [
                _gain(means(first, key) - means(second, key), scale) for key, scale in (("iou", 1), ("correct", 100))
            ]
            out.print(f"{arm} − {other}: IoU {gains[0]}, right {gains[1]} points, {len(first)} seeds", highlight=False)
    draw(results, target.with_suffix(".png"))


def _gain(difference: np.ndarray, scale: float) -> str:
    low, high = bootstrap_interval(difference.tolist())
    return f"{scale * difference.mean():+.3g} [{scale * low:+.3g}, {scale * high:+.3g}]"


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draws the IoU of region searches over the steps of a training, and the reasoner's accuracy before and after it.

    Thin lines and points are seeds; thick lines and bars are their means.
    """
    figure = Figure(figsize=(8, 3.6), dpi=150, layout="constrained")
    curves, accuracy = figure.subplots(1, 2)
    base = chosen(results, "start")
    for cell in base:
        accuracy.axhline(100 * np.mean(cell["correct"]), color="0.5", linestyle=":", label="start")
        accuracy.legend(frameon=False, loc="lower right")
    arms = {arm: cells for arm in COLOURS if (cells := chosen(results, arm))}
    for place, (arm, cells) in enumerate(arms.items()):
        _over_steps(curves, arm, base, cells)
        _at(accuracy, place, COLOURS[arm], [100 * np.mean(cell["correct"]) for cell in cells])
    curves.set(title="IoU of region searches", xlabel="steps", ylim=(0, None))
    names = [arm.replace("_", " ") for arm in arms]
    accuracy.set(title="the reasoner is right, %", xticks=range(len(names)), xticklabels=names, ylim=(0, 100))
    accuracy.set_xlim(-0.6, len(names) - 0.4)
    for axes in (curves, accuracy):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _over_steps(axes: Any, arm: str, base: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]) -> None:
    last = cells[0]["steps"]
    steps = [*(0 for _ in base), halfway(last), last]
    before = [np.mean(cell["iou"]) for cell in base]
    lines = [[*before, np.mean(cell["halfway"]), np.mean(cell["iou"])] for cell in cells]
    for line in lines:
        axes.plot(steps, line, color=COLOURS[arm], alpha=0.35, linewidth=1)
    axes.plot(steps, np.mean(lines, axis=0), "-o", color=COLOURS[arm], label=arm.replace("_", " "))
    axes.legend(frameon=False)


def _at(axes: Any, place: int, colour: str, values: Sequence[float]) -> None:
    axes.plot([place] * len(values), values, "o", color=colour, alpha=0.5)
    axes.plot([place], [np.mean(values)], "_", markersize=28, color=colour, markeredgewidth=3)


if __name__ == "__main__":
    run_cells(__doc__, CELLS, CELLS[:4], result, show, steps=8, episodes=100, folder="insight")
