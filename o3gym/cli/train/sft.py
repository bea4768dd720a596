"""`o3gym train sft`: supervised fine-tuning on demonstrations."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from rich.progress import TaskID

from o3gym.cli.console import say
from o3gym.cli.train.recipes import add_recipe_command, log_step, print_dry_run, training_folder, training_progress
from o3gym.cli.values import Subcommands


def add_train_sft(kinds: Subcommands) -> None:
    """Adds `sft` to the commands of `o3gym train`."""
    recipes = "mini_o3, simple_o3, pixel_reasoner, tiny"
    add_recipe_command(kinds, "sft", "fine-tune a model on demonstrations, by a recipe", recipes, _sft)


def _sft(args: argparse.Namespace) -> None:
    from o3gym.train.recipe import load_recipe
    from o3gym.train.sft.run import sft_arithmetic, train_sft

    recipe = load_recipe(args.recipe, args.set)
    if args.dry_run:
        print_dry_run(recipe, sft_arithmetic(recipe))
        return
    folder = training_folder(args)
    with training_progress() as bars:
        tasks: dict[int, TaskID] = {}

        def update(stage: int, step: int, steps: int, logs: Mapping[str, float]) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(f"stage {stage}", total=steps, logs="")
            bars.update(tasks[stage], completed=step)
            if "loss" in logs:
                bars.update(tasks[stage], logs=_step_logs(logs))
                log_step(f"stage {stage}  {step}/{steps}  {_step_logs(logs)}")

        train_sft(recipe, folder, update)
    say(f"model: {folder}")


def _step_logs(logs: Mapping[str, float]) -> str:
    return f"loss {logs['loss']:.4f}  token accuracy {logs.get('mean_token_accuracy', float('nan')):.3f}"
