"""VITAL's clip tool in miniature: does a clip tool help to find a moment in a film, at equal frames seen?

VITAL (arXiv 2508.04416) lets a model ask for a clip of a video before it answers, and reports a higher temporal IoU
with the tool than without it.

Here a lamp is on for a moment of a film, and the question asks when. With the tool (`clips`), the built-in watcher is
shown 16 frames of the film, watches the chapter that the question names more closely, and then the moment itself.
Without it (`overview`), it is shown as many evenly spaced frames at once as faultless searches with clips see on
average in a film of that length, and answers from its notes. Both are taught with the same number of steps from the
same weights, and are then reinforced with VITAL's reward, format and IoU. The cell `faultless` calculates what watchers
that make no mistake reach on the same films.

    pip install "o3gym[train,figures]"
    python examples/vital_in_miniature.py --cells all --out runs/films --results runs/films/vital.json

A stopped cell resumes where it was, and a finished cell is not run again. `docs/vital.json` holds everything that the
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
from films import (
    FRAMES,
    LENGTHS,
    MAX_TOKENS,
    TURNS,
    add_start,
    answer_iou,
    draw_lengths,
    faultless_searches,
    film_suite,
    iou_axes,
    over_seeds,
    search_iou,
    teach,
    watch_films,
    written_gain,
)
from rich.console import Console
from rich.table import Table

from o3gym.policies.tiny.film import TinyFilm
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.grpo.run import train_grpo

REINFORCED_LENGTH = 120
"""Length in seconds of the films of the reinforcement."""
STAGES = {"sft": "after imitation", "grpo": "after reinforcement"}
COLOURS = {"clips": "tab:blue", "overview": "tab:orange"}
SETS = (*((length,) for length in LENGTHS), LENGTHS)
"""The lengths that are compared, each by itself and then all together."""
out = Console(markup=False, emoji=False, width=160)


@dataclass(frozen=True)
class Cell:
    """A model with or without clips, taught or reinforced as well, and its evaluation; or the calculation."""

    arm: str
    stage: str = "sft"
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell, for example "clips-sft-0"."""
        return self.arm if self.arm == "faultless" else f"{self.arm}-{self.stage}-{self.seed}"


CELLS = (
    Cell("faultless"),
    *(Cell(arm, stage, seed) for seed in range(3) for stage in STAGES for arm in COLOURS),
)


def reinforce(cell: Cell, model: Path, folder: Path, args: argparse.Namespace) -> Path:
    """Reinforces a model, unless that is done already. Returns the folder of the reinforced one."""
    settings = {
        "model": str(model),
        "freeze": '["vision"]',  # as in VITAL
        "dialect": TinyFilm.dialect,
        "sight": "o3gym.policies.tiny.frame_size:frame_size",
        "reward": "vital",
        "over_turn_masking": "false",  # as in VITAL's code
        "max_tokens": MAX_TOKENS,
        "prompts": 4,
        "seed": cell.seed,
        "steps": args.steps,
        "threads": args.threads,
        "env.suite": "synthetic_video",
        "env.suite_args": json.dumps(film_suite(REINFORCED_LENGTH)),
        "env.max_turns": TURNS,
        "env.min_pixels": TinyFilm.env["min_pixels"],
    }
    if cell.arm == "overview":
        settings |= {"env.control": "no_tool", "env.overview_frames": FRAMES[REINFORCED_LENGTH]}
    recipe = load_grpo("tiny", [f"{key}={value}" for key, value in settings.items()])
    return train_grpo(recipe, folder, lambda step, steps, logs: _print_log(cell, step, steps, logs))


def _print_log(cell: Cell, step: int, steps: int, logs: Mapping[str, float]) -> None:
    if "reward" in logs:
        shown = "  ".join(f"{key} {logs[key]:.2f}" for key in ("reward", "turns", "answered"))
        out.print(f"{cell.name}  {step}/{steps}  {shown}", highlight=False)


def evaluate(cell: Cell, model: Path, episodes: int) -> dict[str, Any]:
    """Returns, by length, the IoU of every film, the mean number of frames, and the share of films with an answer."""
    played = {length: watch_films(cell.arm, model, length, episodes) for length in LENGTHS}
    return {
        str(length): {
            "iou": [round(answer_iou(trajectory), 4) for trajectory in films],
            "frames": sum(len(trajectory.views) for trajectory in films) / len(films),
            "answered": sum(trajectory.span is not None for trajectory in films) / len(films),
        }
        for length, films in played.items()
    }


def faultless(episodes: int) -> dict[str, Any]:
    """Returns the IoU and the frames of watchers without mistakes, in the form of the other results, by arm."""
    found: dict[str, Any] = {"cell": "faultless", "episodes": episodes}
    for arm in COLOURS:
        searches = {length: faultless_searches(arm, length, episodes) for length in LENGTHS}
        found[arm] = {
            str(length): {
                "iou": [round(search_iou(search), 4) for search in films],
                "frames": sum(len(search.views) for search in films) / len(films),
            }
            for length, films in searches.items()
        }
    return found


def result(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the result of a cell."""
    if cell.arm == "faultless":
        return faultless(args.episodes)
    model = teach(cell.arm, cell.seed, args)
    if cell.stage == "grpo":
        model = reinforce(cell, model, args.out / f"reinforced-{cell.arm}-{cell.seed}", args)
    steps = args.steps if cell.stage == "grpo" else 0
    return {"cell": cell.name, "episodes": args.episodes, "steps": steps, "films": evaluate(cell, model, args.episodes)}


def iou(results: Mapping[str, Any], arm: str, stage: str, lengths: Sequence[int]) -> np.ndarray:
    """Returns the IoU of every film of some lengths, the mean over the seeds; float (films,).

    The stage "faultless" is the calculation.
    """
    cells = [results["faultless"][arm]] if stage == "faultless" else _films(results, arm, stage)
    return np.concatenate([over_seeds([cell[str(length)]["iou"] for cell in cells]) for length in lengths])


def _films(results: Mapping[str, Any], arm: str, stage: str) -> list[Mapping[str, Any]]:
    """Returns the results of an arm by length, one for each seed that was run."""
    names = [cell.name for cell in CELLS if (cell.arm, cell.stage) == (arm, stage)]
    return [results[name]["films"] for name in names if name in results]


def arms_of(results: Mapping[str, Any], stage: str) -> list[str]:
    """Returns the arms that have results in a stage."""
    return [arm for arm in COLOURS if (arm in results.get(stage, ())) or _films(results, arm, stage)]


def show(results: Mapping[str, Any], target: Path) -> None:
    """Prints the tables and the comparisons, and draws the figure."""
    table = Table("temporal IoU", *(f"{length} s" for length in LENGTHS), "all", box=None, padding=(0, 1))
    for stage in ("faultless", *STAGES):
        for arm in arms_of(results, stage):
            table.add_row(f"{arm}, {stage}", *_row(results, arm, stage))
    for name, found in results.items():
        if name != "faultless":
            means = [np.mean(found["films"][str(n)]["iou"]) for n in LENGTHS]
            table.add_row(f"  {name}", *(f"{mean:.3f}" for mean in (*means, np.mean(means))))
    out.print(table)
    for name, found in results.items():
        for key in ("frames", "answered") if name != "faultless" else ():
            shown = " ".join(f"{found['films'][str(n)][key]:.2f}" for n in LENGTHS)
            out.print(f"{name}: {key} {shown}", highlight=False)
    compare(results)
    draw(results, target.with_suffix(".png"))


def _row(results: Mapping[str, Any], arm: str, stage: str) -> list[str]:
    return [f"{iou(results, arm, stage, some).mean():.3f}" for some in SETS]


def compare(results: Mapping[str, Any]) -> None:
    """Prints how much higher the IoU is with clips than without, and after reinforcement than before."""
    pairs = [(("clips", stage), ("overview", other)) for stage in STAGES for other in (stage, "faultless")]
    pairs += [((arm, "grpo"), (arm, "sft")) for arm in COLOURS]
    for first, second in pairs:
        if all(arm in arms_of(results, stage) for arm, stage in (first, second)):
            for some in SETS:
                where = f"{some[0]} s" if len(some) == 1 else "all lengths"
                gain = written_gain(*(iou(results, arm, stage, some) for arm, stage in (first, second)))
                out.print(f"{', '.join(first)} − {', '.join(second)}, {where}: {gain}", highlight=False)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draws IoU over length after imitation and after reinforcement; faultless watchers are dotted."""
    figure, panels = iou_axes("With and without clips, at equal frames seen", len(STAGES))
    for axes, (stage, when) in zip(panels, STAGES.items(), strict=True):
        axes.set_title(when, fontsize=10)
        for arm in arms_of(results, stage):
            draw_lengths(axes, arm, {n: iou(results, arm, stage, [n]) for n in LENGTHS}, color=COLOURS[arm])
        for arm in arms_of(results, "faultless"):
            means = [iou(results, arm, "faultless", [n]).mean() for n in LENGTHS]
            axes.plot(LENGTHS, means, ":", color=COLOURS[arm], label=f"{arm}, faultless")
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path)


if __name__ == "__main__":
    run_cells(__doc__, CELLS, CELLS[:3], result, show, steps=6, episodes=20, folder="vital", options=add_start)
