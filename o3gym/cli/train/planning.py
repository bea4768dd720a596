"""`o3gym train planning`: training of visual planners."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from o3gym.cli.console import say
from o3gym.cli.train.recipes import add_recipe_command, log_step, print_dry_run, training_folder, training_progress
from o3gym.cli.values import Subcommands

PLANNING_LABELS = {
    "loss": "loss",
    "reward": "reward",
    "invalid": "invalid",
    "kl": "kl",
    "entropy": "entropy",
    "val/exact": "exact",
    "val/progress": "progress",
    "seconds": "s step",
}
"""The logged values that are displayed, in order, with their short labels."""


def add_train_planning(kinds: Subcommands) -> None:
    """Adds `planning` to the commands of `o3gym train`."""
    recipes = "vprl_init, vpft, vprl, tiny_vprl_init, tiny_vpft, tiny_vprl, tiny_plan_words"
    add_recipe_command(kinds, "planning", "train a visual planner, by a recipe", recipes, _planning)


def _planning(args: argparse.Namespace) -> None:
    from o3gym.train.planning.recipe import load_planning
    from o3gym.train.planning.run import planning_arithmetic, train_planner

    recipe = load_planning(args.recipe, args.set)
    if args.dry_run:
        print_dry_run(recipe, planning_arithmetic(recipe))
        return
    folder = training_folder(args)
    with training_progress() as bars:
        task = bars.add_task("steps", total=recipe.steps or None, logs="")

        def update(step: int, steps: int, logs: Mapping[str, float]) -> None:
            bars.update(task, completed=step, total=steps)
            if logs:
                line = "  ".join(f"{label} {logs[name]:.3g}" for name, label in PLANNING_LABELS.items() if name in logs)
                bars.update(task, logs=line)
                log_step(f"{step}/{steps}  {line}")

        train_planner(recipe, folder, update)
    say(f"model: {folder}")
