"""Pixel Reasoner's learning trap in miniature: does a curiosity bonus keep a policy looking until looking pays?

Pixel Reasoner (arXiv 2505.15966) reinforces a model that answers well without looking and has only just learned to look
at parts of a picture. At first, episodes that look are right less often than episodes that do not. So plain GRPO makes
the model stop looking before it has learned how to, which the paper calls a learning trap. Its remedy is a bonus for
episodes that look, paid while few siblings do: `alpha · max(H − RaPR, 0)`, where RaPR is the share of the rollouts of a
prompt that look.

Here a star is in one of sixteen places, and the question asks for its colour, with options. The tiny model learns by
imitation to answer at once with a random option, or to look badly: it often gives up the search before it has seen the
star, and mostly names a shape instead of a colour (cell `start`). From there it is reinforced, with the bonus
(`curious`) or without (`plain`), and with the paper's constants (`paper`). Measured: the share of episodes that look
and the accuracy, in training step by step and at the end on held-out tasks.

    pip install "o3gym[train,figures]"
    python examples/pixel_reasoner_in_miniature.py --cells all --threads 1

A stopped cell resumes where it was, and a finished cell is not run again. `docs/curiosity.json` holds everything that
the figure needs.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from cells import run_cells
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.geometry import coverage
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.rewards.terms import OUTCOME_TERM, tried
from o3gym.runs.intervals import bootstrap_interval
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.suites.scenes.outlines import SHAPES
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.grpo.run import train_grpo
from o3gym.train.recipe import SftRecipe, read_recipe
from o3gym.train.sft.run import train_sft
from o3gym.train.tiny.dialogue_builder import DialogueBuilder, StagedScene
from o3gym.train.tiny.lessons import SearchLesson
from o3gym.types import Trajectory

BONUS: Mapping[str, tuple[float, float]] = {"plain": (0.0, 0.0), "curious": (1.0, 0.75), "paper": (0.5, 0.3)}
"""Alpha and H of each arm. The paper's penalty for more than N operations is left out: a search may take eight."""
TURNS = 9
"""Turns of an episode: eight looks and the answer."""
GIVE_UP = 0.4
"""Probability per reply after a look that a demonstration answers before it has found the star."""
SHAPE = 0.85
"""Share of the demonstrations that look and then, at the end, name a shape instead of a colour."""
WHOLE = 0.9
"""Minimum share of the star that a view has to show for the star to count as seen."""
HIDDEN = {"family": "hidden", "difficulty": "easy", "answers": "choice"}
COLOURS = {"curious": "tab:blue", "plain": "tab:orange", "paper": "tab:green"}
SOURCE = "Pixel Reasoner, arXiv 2505.15966, equations 3 to 5, without the penalty for operations"
out = Console(markup=False, emoji=False)


class HastyLesson(SearchLesson):
    """Demonstrations that answer at once, or search, often give up, and mostly name a shape instead of a colour.

    Args:
        at_once: whether they answer at once, with a random option.
        options: the arguments of `SearchLesson`.
    """

    salt = "Hasty"

    def __init__(self, families: str = "hidden", views: int = 2, *, at_once: bool = False, **options: Any) -> None:
        super().__init__(families, views, **options)
        self.at_once = at_once

    def _scattered(self, builder: DialogueBuilder, at: StagedScene, rng: Random) -> DialogueBuilder:
        if self.at_once:
            builder.say(f"answer {super()._guess(builder, rng)}")
            return builder
        super()._scattered(builder, at, rng)
        if rng.random() < SHAPE:
            last = builder.messages.pop()
            builder.say(f"{last.text.rpartition(' ')[0]} {rng.choice(list(SHAPES))}")
        return builder

    def _guesses(self, thought: str, rng: Random) -> bool:
        return bool(thought) and rng.random() < GIVE_UP


@dataclass(frozen=True)
class Cell:
    """One training: "start" by imitation, or an arm of `BONUS` by reinforcement, with a seed."""

    arm: str = "start"
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell, for example "curious-0"."""
        return self.arm if self.arm == "start" else f"{self.arm}-{self.seed}"


CELLS = (Cell(), *(Cell(arm, seed) for seed in range(3) for arm in ("plain", "curious")), Cell("paper"))


def curious_reward(name: str, alpha: float, rate: float) -> RewardRecipe:
    """Returns the judge's score plus `alpha · max(rate − RaPR, 0)` for rollouts that look."""

    def bonus(siblings: Sequence[Trajectory]) -> list[float]:
        looked = [bool(tried(sibling)) for sibling in siblings]
        amount = alpha * max(rate - sum(looked) / len(looked), 0.0)
        return [amount * used for used in looked]

    terms = (OUTCOME_TERM, Term("curiosity_bonus", "group", bonus, SOURCE))
    return RewardRecipe(name, terms, lambda values: values["outcome"] + values["curiosity_bonus"], SOURCE)


def start(threads: int) -> SftRecipe:
    """Returns the recipe of the imitation."""
    hasty = {"source": "pixel_reasoner_in_miniature:HastyLesson", "families": "hidden", "named": True, "echoed": True}
    data = [{**hasty, "at_once": True, "views": 8, "weight": 0.75}, {**hasty, "weight": 0.25}]
    stage = {"steps": 64, "batch": 24, "parts": 8, "warmup": 8, "context": 4096, "learning_rate": 6e-4, "data": data}
    model = "o3gym.train.tiny.model:on_board"
    return read_recipe({"name": "start", "model": model, "threads": threads, "stages": [stage], "save_steps": 20})


def train_cell(cell: Cell, folder: Path, steps: int, threads: int) -> Path:
    """Trains the cell's model, unless that is done already. Returns its folder."""
    if cell.arm == "start":
        return train_sft(start(threads), folder / cell.name)
    reward = f"miniature_{cell.arm}"
    if reward not in REWARDS:
        REWARDS.register(reward, curious_reward(reward, *BONUS[cell.arm]))
    settings = {
        "model": str(folder / "start"),
        "env.suite_args": json.dumps(HIDDEN),
        "env.max_turns": TURNS,
        "reward": reward,
        "std": "false",  # as in Pixel Reasoner's code: a small bonus must not be divided by a small deviation
        "over_turn_masking": "false",
        "learning_rate": 2e-4,
        "seed": cell.seed,
        "steps": steps,
        "watch": 1,
        "threads": threads,
    }
    recipe = load_grpo("tiny", [f"{key}={value}" for key, value in settings.items()])
    return train_grpo(recipe, folder / cell.name, lambda step, steps, logs: _print_log(cell, step, steps, logs))


def _print_log(cell: Cell, step: int, steps: int, logs: Mapping[str, float]) -> None:
    if "reward" in logs:
        shown = "  ".join(f"{key} {logs[key]:.2f}" for key in ("reward", "accuracy", "turns", "answered"))
        out.print(f"{cell.name}  {step}/{steps}  {shown}", highlight=False)


def evaluate(model: Path, folder: Path, episodes: int) -> list[Trajectory]:
    """Plays held-out tasks, the same ones for all cells, sampling as in training."""
    bench = Bench(
        suite_args=HIDDEN,
        policies=(f"tiny:{model}",),
        episodes=episodes,
        turns=(TURNS,),
        sampling=Sampling(temperature=1.0, max_tokens=160),
    )
    run(bench, folder)
    return sorted(open_run(folder).records(), key=lambda t: t.group)


def result(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the result of a cell: for each task whether it was solved and looked at, and the course of training."""
    model = train_cell(cell, args.out, args.steps, args.threads)
    episodes = evaluate(model, args.out / f"{cell.name}-bench", args.episodes)
    blind, given_up = map(sum, zip(*map(before_seen, episodes), strict=True))
    return {
        "cell": cell.name,
        "episodes": args.episodes,
        "steps": 0 if cell.arm == "start" else args.steps,
        "solved": [int(t.verdict == "correct") for t in episodes],
        "looked": [int(bool(tried(t))) for t in episodes],
        "turns": sum(len(t.turns) for t in episodes) / len(episodes),
        "answers_per_blind_reply": given_up / blind if blind else None,
        "training": [shares(list(open_run(step).records())) for step in sorted((model / "rollouts").glob("*-0"))],
    }


def shares(episodes: Sequence[Trajectory]) -> dict[str, float | None]:
    """Returns the share of episodes that look, and the accuracy of all episodes, those that look, and the others."""
    looked = np.array([bool(tried(t)) for t in episodes])
    solved = np.array([t.verdict == "correct" for t in episodes])
    parts = {"looking": solved[looked], "at_once": solved[~looked]}
    found = {name: float(part.mean()) if len(part) else None for name, part in parts.items()}
    return {"looked": float(looked.mean()), "accuracy": float(solved.mean()), **found}


def before_seen(trajectory: Trajectory) -> tuple[int, int]:
    """Returns the number of replies after a look and before a view showed the star, and how many of them answered."""
    target, blind = trajectory.task.targets[0].box, 0
    for turn, reply in itertools.pairwise(trajectory.turns):
        if not turn.views:
            continue
        if any(coverage(trajectory.views[view].box, target) >= WHOLE for view in turn.views):
            return blind, 0
        blind += 1
        if reply is trajectory.turns[-1] and trajectory.stop == "answered":
            return blind, 1
    return blind, 0


def chosen(results: Mapping[str, Any], arm: str) -> list[dict[str, Any]]:
    """Returns the results of an arm, one per seed."""
    return [found for name, found in sorted(results.items()) if name.partition("-")[0] == arm]


def gain(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]], key: str) -> str:
    """Returns how much higher a share is in the first cells, in points, with a bootstrap interval over paired tasks."""
    means = [np.mean([cell[key] for cell in cells], axis=0) for cells in (first, second)]
    difference = means[0] - means[1]
    low, high = bootstrap_interval(difference.tolist())
    return f"{100 * difference.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def show(results: Mapping[str, Any], target: Path) -> None:
    """Prints the table and the comparisons of the arms with each other and with the start, and draws the figure."""
    table = Table("%", "solved", "looked", "solved if looked", "if not", "turns", "gives up", box=None, padding=(0, 1))
    for name, cell in results.items():
        solved, looked = np.array(cell["solved"]), np.array(cell["looked"], bool)
        parts = [solved, looked, solved[looked], solved[~looked]]
        values = [f"{100 * part.mean():.1f}" if len(part) else "–" for part in parts]
        rate = cell["answers_per_blind_reply"]
        table.add_row(name, *values, f"{cell['turns']:.1f}", "–" if rate is None else f"{100 * rate:.0f}")
    out.print(table)
    for arm, other in (("curious", "plain"), ("curious", "start"), ("plain", "start"), ("paper", "plain")):
        first, second = chosen(results, arm), chosen(results, other)
        if first and second:
            gains = [f"{key} {gain(first, second, key)}" for key in ("solved", "looked")]
            seeds = f"{len(first)} seed{'s' * (len(first) > 1)}"
            out.print(f"{arm} − {other}: {', '.join(gains)} points, {seeds}", highlight=False)
    draw(results, target.with_suffix(".png"))


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draws the share of episodes that look and the accuracy over the steps of training; thin lines are seeds."""
    figure = Figure(figsize=(8, 3.6), dpi=150, layout="constrained")
    panels = dict(zip(("looked", "accuracy"), figure.subplots(1, 2), strict=True))
    for arm, colour in COLOURS.items():
        cells = chosen(results, arm)
        for key, axes in panels.items():
            lines = [100 * np.array([step[key] for step in cell["training"]]) for cell in cells]
            for line in lines:
                axes.plot(range(len(line)), line, color=colour, alpha=0.3, linewidth=1)
            if lines:
                axes.plot(smooth(np.mean(lines, axis=0)), color=colour, linewidth=2, label=arm)
    for title, axes in zip(("episodes that look, %", "accuracy in training, %"), panels.values(), strict=True):
        axes.set(title=title, xlabel="steps", ylim=(0, 100))
        axes.spines[["top", "right"]].set_visible(False)
    if panels["looked"].lines:
        panels["looked"].legend(frameon=False)
    figure.savefig(path)


def smooth(values: np.ndarray) -> np.ndarray:
    """Returns the mean over each step and its neighbours."""
    return np.array([values[max(0, at - 1) : at + 2].mean() for at in range(len(values))])


if __name__ == "__main__":
    run_cells(__doc__, CELLS, CELLS[:3], result, show, steps=20, episodes=200, folder="curiosity")
