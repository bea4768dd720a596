"""Mini-o3's result in miniature: does over-turn masking let a policy search beyond the turns it was trained with?

Mini-o3 (arXiv 2509.07969, section 3.3) trains with at most 6 turns and does not punish episodes that still search when
their turns run out. Its accuracy keeps rising far beyond 6 turns at test time; without the masking it saturates early.

Here a star is in one of sixteen places, and the question asks for its colour, with options. The tiny model learns by
imitation to look at one place after the other, and now and then to guess too early (cell `start`). From there it is
reinforced with at most 6 turns, with masking or without. Every cell is evaluated once with 32 turns, sampling as in
training; accuracy at fewer turns is counted in the same episodes. Why masking should help: an early guess is rewarded a
quarter of the time, an unmasked over-turn never; so without masking a policy that cannot finish learns to guess.

    pip install "o3gym[train,figures]"
    python examples/mini_o3_in_miniature.py                       # the first pair, one seed, small; = make experiment
    python examples/mini_o3_in_miniature.py --cells all --steps 20 --episodes 200  # more seeds, free answers, …

A stopped cell resumes where it was, and a finished cell is not run again. `docs/miniature.json` holds everything that
the figure needs.
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
from o3gym.geometry import coverage
from o3gym.runs.chart import CurvePoint
from o3gym.runs.intervals import bootstrap_interval
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.grpo.run import train_grpo
from o3gym.train.recipe import SftRecipe, read_recipe
from o3gym.train.sft.run import train_sft
from o3gym.types import OVER_TURN, Trajectory

CUTS = (4, 6, 8, 12, 16, 24, 32)
"""Numbers of turns at which accuracy is counted."""
WHOLE = 0.9
"""Minimum share of the star that a view has to show for the star to count as seen."""
GUESS = 0.12
"""Probability per reply that the start answers before it has found the star."""
NAMES = {"masked": "masked", "unmasked": "not masked", "start": "start"}
COLOURS = {"masked": "tab:blue", "not masked": "tab:orange", "start": "tab:gray"}
LESSON = "o3gym.train.tiny.lessons:SearchLesson"
out = Console(markup=False, emoji=False)


@dataclass(frozen=True)
class Cell:
    """One training, and its evaluation.

    Attributes:
        answers: "choice" for questions with options, "free" for questions without.
        masked: whether over-turn episodes are masked; None for a cell without reinforcement.
        seed: seed of the training.
        stats: whether masked episodes count in their group's mean: "include" or "exclude".
    """

    answers: str = "choice"
    masked: bool | None = None
    seed: int = 0
    stats: str = "include"

    @property
    def name(self) -> str:
        """The name of the cell, for example "choice-masked-0"."""
        if self.masked is None:
            return f"{self.answers}-start"
        arm = "masked" if self.masked else "unmasked"
        return f"{self.answers}-{arm}{'-exclude' if self.stats == 'exclude' else ''}-{self.seed}"


FIRST = (Cell(), Cell(masked=True), Cell(masked=False))
CHECKED = FIRST[1]
"""The cell that is also evaluated in separate runs with few turns, to compare them with the count in the long run."""
CELLS = (
    *FIRST,
    *(Cell(masked=masked, seed=seed) for seed in (1, 2) for masked in (True, False)),
    Cell("free"),
    Cell("free", masked=True),
    Cell("free", masked=False),
    Cell(masked=True, stats="exclude"),
)


def start(answers: str, threads: int) -> SftRecipe:
    """Returns the recipe of the imitation: searches place by place, some of which guess too early; a few are long."""
    search = {"source": LESSON, "families": "hidden", "named": True, "echoed": True, "free": answers == "free"}
    data = [
        {**search, "guess": GUESS, "weight": 0.75},
        {**search, "late": True, "last_turns": 3, "weight": 0.1},
        {"source": "o3gym.train.tiny.crowded_scenes:CrowdedScenes", "board": "cards", "weight": 0.15},
    ]
    stage = {"steps": 40, "batch": 16, "parts": 8, "warmup": 10, "context": 4096, "learning_rate": 5e-4, "data": data}
    model = "o3gym.train.tiny.model:on_board"
    return read_recipe(
        {"name": f"{answers} start", "model": model, "threads": threads, "stages": [stage], "save_steps": 20}
    )


def suite(answers: str) -> dict[str, Any]:
    """Returns the arguments of the suite: sixteen places, one star."""
    return {"family": "hidden", "difficulty": "easy", "answers": answers}


def train_cell(cell: Cell, folder: Path, steps: int, threads: int) -> Path:
    """Trains the cell's model, unless that is done already. Returns its folder."""
    if cell.masked is None:
        return train_sft(start(cell.answers, threads), folder / cell.name)
    recipe = load_grpo(
        "tiny",
        [
            f"model={folder / f'{cell.answers}-start'}",
            f"env.suite_args={json.dumps(suite(cell.answers))}",
            "env.max_turns=6",
            f"over_turn_masking={json.dumps(cell.masked)}",
            f"stats={cell.stats}",
            f"seed={cell.seed}",
            f"steps={steps}",
            f"threads={threads}",
        ],
    )
    return train_grpo(recipe, folder / cell.name, lambda step, steps, logs: _print_log(cell, step, steps, logs))


def _print_log(cell: Cell, step: int, steps: int, logs: Mapping[str, float]) -> None:
    if "reward" in logs:
        shown = "  ".join(f"{key} {logs[key]:.2f}" for key in ("reward", "turns", "over_turn", "answered"))
        out.print(f"{cell.name}  {step}/{steps}  {shown}", highlight=False)


def evaluate(
    cell: Cell, model: Path, folder: Path, episodes: int, turns: int = max(CUTS), force: bool = False
) -> list[Trajectory]:
    """Plays held-out tasks, the same ones for all cells."""
    bench = Bench(
        suite="synthetic",
        suite_args=suite(cell.answers),
        policies=(f"tiny:{model}",),
        episodes=episodes,
        turns=(turns,),
        force_answer=force,
        sampling=Sampling(temperature=1.0, max_tokens=160),
    )
    run(bench, folder)
    return sorted(open_run(folder), key=lambda t: t.group)


def result(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the result of a cell: for each task the turn in which it was solved (0 if it was not), and means."""
    model = train_cell(cell, args.out, args.steps, args.threads)
    free = evaluate(cell, model, args.out / f"{cell.name}-bench", args.episodes)
    forced = evaluate(cell, model, args.out / f"{cell.name}-forced", args.episodes, force=True)
    blind, guesses = map(sum, zip(*map(before_seen, free), strict=True))
    found = {
        "cell": cell.name,
        "episodes": args.episodes,
        "steps": 0 if cell.masked is None else args.steps,
        "solved_in": [len(t.turns) if t.verdict == "correct" else 0 for t in free],
        "turns": sum(len(t.turns) for t in free) / len(free),
        "over_turn": sum(t.stop in OVER_TURN for t in free) / len(free),
        "guesses_per_blind_reply": guesses / max(1, blind),
        "forced": sum(t.verdict == "correct" for t in forced) / len(forced),
    }
    if cell == CHECKED:
        separate = {cut: evaluate(cell, model, args.out / f"{cell.name}-{cut}", args.episodes, cut) for cut in CUTS[:3]}
        found["apart"] = {
            str(cut): sum(t.verdict == "correct" for t in run) / len(run) for cut, run in separate.items()
        }
    return found


def before_seen(trajectory: Trajectory) -> tuple[int, int]:
    """Returns the number of replies written before a view showed the star, and how many of these were an answer."""
    target, blind = trajectory.task.targets[0].box, 0
    for turn in trajectory.turns:
        blind += 1
        if any(coverage(trajectory.views[view].box, target) >= WHOLE for view in turn.views):
            return blind, 0
    return blind, int(trajectory.stop == "answered")


def accuracy(found: Mapping[str, Any], turns: int) -> np.ndarray:
    """Returns for each task whether it was solved within `turns` turns; float (tasks,)."""
    return np.array([0 < solved <= turns for solved in found["solved_in"]], float)


def curve(cells: Sequence[Mapping[str, Any]]) -> list[CurvePoint]:
    """Returns accuracy over the number of turns: the mean over the cells, with an interval over the tasks."""
    means = {turns: np.mean([accuracy(cell, turns) for cell in cells], axis=0) for turns in CUTS}
    return [CurvePoint(turns, mean.mean(), *bootstrap_interval(mean.tolist())) for turns, mean in means.items()]


def gain(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> tuple[float, float, float]:
    """Returns how much more the first cells solve within all turns, with a bootstrap interval over paired tasks."""
    means = [np.mean([accuracy(cell, max(CUTS)) for cell in cells], axis=0) for cells in (first, second)]
    difference = means[0] - means[1]
    return float(difference.mean()), *bootstrap_interval(difference.tolist())


def chosen(results: Mapping[str, Any], start: str) -> list[dict[str, Any]]:
    """Returns the results of the cells whose names begin with `start`, except those with stats "exclude"."""
    return [results[name] for name in sorted(results) if name.startswith(start) and "exclude" not in name]


def show(results: Mapping[str, Any], target: Path) -> None:
    """Prints the table and the comparisons, and draws the figure."""
    table = Table("solved in %", *map(str, CUTS), "forced", "turns", "over %", "guesses %", box=None, padding=(0, 1))
    for name, found in results.items():
        shares = [*(accuracy(found, turns).mean() for turns in CUTS), found["forced"]]
        others = [f"{found['turns']:.1f}", f"{100 * found['over_turn']:.0f}"]
        guesses = f"{100 * found['guesses_per_blind_reply']:.1f}"
        table.add_row(name, *(f"{100 * share:.0f}" for share in shares), *others, guesses)
    out.print(table)
    lines = {}
    for answers in ("choice", "free"):
        arms = {arm: chosen(results, f"{answers}-{arm}") for arm in ("masked", "unmasked", "start")}
        lines |= {f"{answers}, {NAMES[arm]}": curve(cells) for arm, cells in arms.items() if cells}
        for other in ("unmasked", "start"):
            if arms["masked"] and arms[other]:
                compare(answers, arms["masked"], arms[other], other)
    draw(lines, target.with_suffix(".png"))


def draw(lines: Mapping[str, Sequence[CurvePoint]], path: Path) -> None:
    """Draws the curves with their intervals; curves of free answers are dashed."""
    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    for name, points in lines.items():
        turns, colour = [point.x for point in points], COLOURS[name.partition(", ")[2]]
        axes.plot(turns, [100 * p.y for p in points], "--o" if "free" in name else "-o", color=colour, label=name)
        axes.fill_between(
            turns, [100 * p.low for p in points], [100 * p.high for p in points], color=colour, alpha=0.12
        )
    axes.axvline(6, color="0.6", linewidth=1, linestyle=":")
    axes.set(title=f"Trained with 6 turns, tested with up to {max(CUTS)}", xlabel="turns allowed", ylabel="accuracy, %")
    axes.set(xticks=CUTS, ylim=(0, 100))
    if lines:
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def compare(answers: str, masked: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], arm: str) -> None:
    """Prints how much more is solved with masking than without, or than by the start."""
    more, low, high = gain(masked, others)
    out.print(
        f"{answers}, {max(CUTS)} turns: masked − {NAMES[arm]} = {100 * more:+.1f} points "
        f"[{100 * low:+.1f}, {100 * high:+.1f}], {len(masked)} seed{'s' * (len(masked) > 1)}",
        highlight=False,
    )


if __name__ == "__main__":
    run_cells(__doc__, CELLS, FIRST, result, show, steps=16, episodes=64, folder="miniature")
