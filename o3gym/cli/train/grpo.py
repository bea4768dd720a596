"""`o3gym train grpo`: reinforcement training by group relative policy optimisation."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from o3gym.cli.console import err, say
from o3gym.cli.train.recipes import add_recipe_command, log_step, print_dry_run, training_folder, training_progress
from o3gym.cli.values import Subcommands

LOG_LABELS = {
    "reward": "reward",
    "turns": "turns",
    "over_turn": "over",
    "valid_calls": "valid",
    "kl": "kl",
    "entropy": "entropy",
    "tokens_per_second": "tokens/s",
    "seconds/rollout": "s rollout",
    "seconds/logprobs": "s logprobs",
    "seconds/update": "s update",
}
"""The logged values that are displayed, in order, with their short labels."""


def add_train_grpo(kinds: Subcommands) -> None:
    """Adds `grpo` to the commands of `o3gym train`."""
    recipes = "mini_o3, insight_o3, deepeyes, pixel_reasoner, thyme, tiny, tiny_coder"
    add_recipe_command(kinds, "grpo", "reinforce rewarded behaviour, by a recipe", recipes, _grpo)


def _grpo(args: argparse.Namespace) -> None:
    from o3gym.train.grpo.recipe import load_grpo
    from o3gym.train.grpo.run import grpo_arithmetic, train_grpo

    recipe = load_grpo(args.recipe, args.set)
    if args.dry_run:
        print_dry_run(recipe, grpo_arithmetic(recipe))
        return
    folder = training_folder(args)
    with training_progress() as bars:
        task = bars.add_task("steps", total=recipe.steps, logs="")
        latest: dict[str, float] = {}

        def update(step: int, steps: int, logs: Mapping[str, float]) -> None:
            latest.update(logs)
            bars.update(task, completed=step, logs=_rollout_logs(latest))
            if "reward" in logs:
                log_step(f"{step}/{steps}  {_rollout_logs(latest)}")

        try:
            train_grpo(recipe, folder, update)
        except KeyboardInterrupt:
            say(f"The training was stopped and saved. To resume it, add --out {folder}.", err)
            raise
    say(f"model: {folder}")


def _rollout_logs(logs: Mapping[str, float]) -> str:
    return "  ".join(f"{label} {logs[name]:.3g}" for name, label in LOG_LABELS.items() if name in logs)
