"""Visual planning in miniature: does a planner that draws learn more from rewards than from optimal paths?

VPRL (arXiv 2505.11409) trains a model that draws the next state of a small world. It is first taught random walks, so
that it draws all kinds of moves, and is then reinforced: of ten drawings of the next state, those are preferred that
come closer to the goal. Its authors compare it with supervised training on optimal paths (VPFT), and with a language
model that is taught to write the plan in words; VPRL is best in all three worlds.

Here a transformer of 159,040 parameters draws the states of a world as one token per cell. All planners
start from the same one, which was taught random walks (`walks`); then it is taught optimal paths (`vpft`), to write the
rest of the plan in words from the same states (`words`), or it is reinforced (`vprl`); `vprl_vpft` reinforces what VPFT
has taught. All of them have the same layouts to learn from, and are tested, greedily, on the same layouts of the test
split. Measured: exact match (the goal in the optimal number of moves, none of them invalid), progress (the share of the
optimal path before the first move that comes no closer), and invalid moves.

A cell is one training. Each is saved and can be resumed.

    python examples/planning_in_miniature.py                    # the lake, one seed: about 20 minutes on two cores
    python examples/planning_in_miniature.py --cells all        # three worlds, three seeds
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cells import run_cells
from matplotlib.figure import Figure
from PIL import Image
from rich.table import Table

from o3gym.cli.console import out
from o3gym.policies.planner.model import load_planner
from o3gym.runs.intervals import bootstrap_interval
from o3gym.train.planning.evaluation import evaluate_planner
from o3gym.train.planning.recipe import load_planning
from o3gym.train.planning.run import train_planner
from o3gym.train.record import RECORD
from o3gym.worlds import WORLDS, World, draw_world, read_move
from o3gym.worlds.base import BLOCKED

RECIPES = {
    "walks": ("tiny_vprl_init", ""),
    "words": ("tiny_plan_words", "walks"),
    "vpft": ("tiny_vpft", "walks"),
    "vprl": ("tiny_vprl", "walks"),
    "vprl_vpft": ("tiny_vprl", "vpft"),
}
"""The recipe of each arm, and the arm whose planner it starts from."""
LONGER_WALKS = {"minibehaviour": {"walk_length": 40, "steps": 3000}}
"""Settings of the random walks in worlds where walks of the usual 8 moves hardly ever show some kind of move.

In MiniBehaviour, a walk has to find the printer before it can pick it up, and the table before it can drop it. A
planner that has hardly seen these moves draws them badly, is punished for them, and unlearns them.
"""
COLOURS = {
    "walks": "tab:gray",
    "words": "tab:purple",
    "vpft": "tab:blue",
    "vprl": "tab:red",
    "vprl_vpft": "tab:orange",
}
MEASURES = {"exact": "exact match", "progress": "progress", "invalid": "invalid moves"}
SEEDS = range(3)
PAIRS = (("vprl", "vpft"), ("vprl_vpft", "vpft"), ("vprl", "words"), ("vpft", "words"), ("vprl", "walks"))
"""Arms that are compared with each other."""
STRIP_PLANS, STRIP_SIDE, STRIP_MOVES = 20, 64, 14
"""Number of plans on a sheet, pixels per side of a state on it, and the largest number of moves shown."""


@dataclass(frozen=True)
class Cell:
    """A training of one arm in one world."""

    world: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """The name of the cell and of its folder."""
        return f"{self.world}-{self.arm}-{self.seed}"


CELLS = [Cell(world, arm, seed) for world in WORLDS for seed in SEEDS for arm in RECIPES]


def train_cell(cell: Cell, args: argparse.Namespace) -> Path:
    """Trains the cell's planner and the one that it starts from, unless that is done already. Returns its folder."""
    name, before = RECIPES[cell.arm]
    settings: dict[str, Any] = {"world": cell.world, "seed": cell.seed, "threads": args.threads}
    if cell.arm == "walks":
        settings |= LONGER_WALKS.get(cell.world, {})
    if before:
        settings["model"] = train_cell(Cell(cell.world, before, cell.seed), args)
    if args.steps and cell.arm.startswith("vprl"):
        settings["steps"] = args.steps
    recipe = load_planning(name, [f"{key}={value}" for key, value in settings.items()])
    return train_planner(recipe, args.out / cell.name, lambda step, steps, logs: _print_log(cell, step, steps, logs))


def _print_log(cell: Cell, step: int, steps: int, logs: Mapping[str, float]) -> None:
    if logs:
        shown = "  ".join(f"{key} {logs[key]:.3f}" for key in ("loss", "reward", "invalid") if key in logs)
        out.print(f"{cell.name}  {step}/{steps}  {shown}", highlight=False)


def tested_layouts(world: str, count: int) -> list[World]:
    """Layouts of the test split, as many of each level; the same ones for all cells of a world."""
    levels = WORLDS[world].levels
    return [draw_world(world, seed, levels[seed % len(levels)], "test") for seed in range(count)]


def result(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the result of a cell: how it solves each tested layout, and the course of its training."""
    folder = train_cell(cell, args)
    planner, worlds = load_planner(folder), tested_layouts(cell.world, args.episodes)
    scores = evaluate_planner(planner, worlds)
    if cell.arm == "vprl":
        save_sheet(folder, cell.world, args.results.parent / f"{cell.name}.png")
    curves = json.loads((folder / RECORD).read_text("utf-8"))["curves"]
    return {
        "cell": cell.name,
        "episodes": args.episodes,
        "parameters": planner.model.num_parameters(),
        "level": [world.level for world in worlds],
        "moves": [world.optimal_length for world in worlds],
        "exact": [int(score.exact) for score in scores],
        "progress": [round(score.progress, 4) for score in scores],
        "invalid": [score.invalid for score in scores],
        "training": {key: curves[key] for key in ("step", "reward", "invalid") if key in curves},
    }


def chosen(results: Mapping[str, Any], world: str, arm: str) -> list[dict[str, Any]]:
    """Returns the results of an arm in a world, one per seed."""
    names = [Cell(world, arm, seed).name for seed in SEEDS]
    return [results[name] for name in names if name in results]


def per_layout(cells: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """Returns the mean of a measure over seeds, for each layout: float (layouts,).

    Invalid moves are given as a share of the optimal number of moves, which is as many as a planner may make.
    """
    values: np.ndarray = np.mean([cell[key] for cell in cells], axis=0)
    return values / np.array(cells[0]["moves"]) if key == "invalid" else values


def written_mean(values: np.ndarray) -> str:
    """Writes a mean in per cent with its bootstrap interval over layouts."""
    low, high = bootstrap_interval(values.tolist())
    return f"{100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def show(results: Mapping[str, Any], target: Path) -> None:
    """Prints the tables and the comparisons of the arms, and draws the figure."""
    for world in worlds_of(results):
        out.print(_measures_table(results, world))
        out.print(_levels_table(results, world))
        for arm, other in PAIRS:
            first, second = chosen(results, world, arm), chosen(results, world, other)
            if first and second:
                gains = [f"{MEASURES[key]} {written_mean(_difference(first, second, key))}" for key in MEASURES]
                out.print(f"{world}: {arm} − {other}, points: {', '.join(gains)}", highlight=False)
    draw(results, target.with_suffix(".png"))


def worlds_of(results: Mapping[str, Any]) -> list[str]:
    """Returns the worlds of which there are results."""
    return [world for world in WORLDS if any(chosen(results, world, arm) for arm in RECIPES)]


def _difference(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    difference: np.ndarray = per_layout(first, key) - per_layout(second, key)
    return difference


def _measures_table(results: Mapping[str, Any], world: str) -> Table:
    table = Table(world, "seeds", *(f"{name}, %" for name in MEASURES.values()), box=None, padding=(0, 1))
    for arm in RECIPES:
        if cells := chosen(results, world, arm):
            table.add_row(arm, str(len(cells)), *(written_mean(per_layout(cells, key)) for key in MEASURES))
            for cell, exact in zip(cells, _seed_means(cells), strict=True):
                table.add_row(f"  {cell['cell']}", "", f"{exact:.1f}")
    return table


def _seed_means(cells: Sequence[Mapping[str, Any]]) -> list[float]:
    return [100 * float(np.mean(cell["exact"])) for cell in cells]


def _levels_table(results: Mapping[str, Any], world: str) -> Table:
    levels = WORLDS[world].levels
    table = Table("exact match, %", *(f"level {level}" for level in levels), box=None, padding=(0, 1))
    for arm in RECIPES:
        if cells := chosen(results, world, arm):
            exact, level = per_layout(cells, "exact"), np.array(cells[0]["level"])
            table.add_row(arm, *(f"{100 * exact[level == one].mean():.1f}" for one in levels))
    return table


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draws, for each world, exact match of all arms and invalid candidates over the steps; thin lines are seeds."""
    worlds = worlds_of(results)
    figure = Figure(figsize=(3.5 * len(worlds), 5.6), dpi=150, layout="constrained")
    panels = figure.subplots(2, len(worlds), squeeze=False)
    for world, bars, lines in zip(worlds, *panels, strict=True):
        _draw_bars(results, world, bars)
        _draw_courses(results, world, lines)
    panels[0, 0].set_ylabel("exact match, %")
    panels[1, 0].set_ylabel("invalid candidates, %")
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _draw_bars(results: Mapping[str, Any], world: str, axes: Any) -> None:
    for place, arm in enumerate(RECIPES):
        if cells := chosen(results, world, arm):
            exact = per_layout(cells, "exact")
            low, high = bootstrap_interval(exact.tolist())
            axes.bar(place, 100 * exact.mean(), color=COLOURS[arm], alpha=0.7)
            axes.vlines(place, 100 * low, 100 * high, color="black", linewidth=1)
            axes.plot([place] * len(cells), _seed_means(cells), "k.", markersize=4)
    axes.set_xticks(range(len(RECIPES)), RECIPES, rotation=30, fontsize=8)
    axes.set(title=world, ylim=(0, 100))


def _draw_courses(results: Mapping[str, Any], world: str, axes: Any) -> None:
    for arm in ("vprl", "vprl_vpft"):
        cells = chosen(results, world, arm)
        courses = [cell["training"] for cell in cells]
        for course in courses:
            axes.plot(course["step"], 100 * np.array(course["invalid"], float), COLOURS[arm], alpha=0.25, linewidth=1)
        if courses:
            mean = 100 * np.mean([course["invalid"] for course in courses], axis=0)
            axes.plot(courses[0]["step"], mean, COLOURS[arm], linewidth=2, label=arm)
    axes.set(xlabel="steps", ylim=(0, None))
    if axes.lines:
        axes.legend(frameon=False, fontsize=8)


def drawn_plans(folder: Path, world: str, count: int) -> Iterator[tuple[World, list[np.ndarray]]]:
    """Yields tested layouts with the start and what the planner draws after it, one picture per move.

    A drawing that shows no valid move is the last one.
    """
    planner = load_planner(folder)
    for layout in tested_layouts(world, count):
        state, pictures = layout.start, [layout.render(layout.start)]
        while not layout.goal(state) and len(pictures) <= layout.optimal_length:
            tokens = torch.tensor(planner.tokenizer.encode(layout.render(state)[None]))
            picture = planner.picture_of(planner.sample(tokens).tokens[0].tolist())
            if picture is None:
                break
            pictures.append(picture)
            move, state, _ = read_move(layout, state, picture)
            if move == BLOCKED:
                break
        yield layout, pictures


def save_sheet(folder: Path, world: str, path: Path) -> None:
    """Saves the first plans of a planner as a sheet of picture strips, one row per layout."""
    gap = 4
    side = STRIP_SIDE + gap
    sheet = Image.new("RGB", (side * (STRIP_MOVES + 1) + gap, side * STRIP_PLANS + gap), "white")
    for row, (_, pictures) in enumerate(drawn_plans(folder, world, STRIP_PLANS)):
        for column, picture in enumerate(pictures):
            small = Image.fromarray(picture).resize((STRIP_SIDE, STRIP_SIDE), Image.Resampling.BOX)
            sheet.paste(small, (gap + column * side, gap + row * side))
    sheet.save(path, optimize=True)


if __name__ == "__main__":
    # Without --steps, reinforcement takes as many steps as its recipe says.
    run_cells(__doc__, CELLS, CELLS[: len(RECIPES)], result, show, steps=0, episodes=400, folder="planning")
