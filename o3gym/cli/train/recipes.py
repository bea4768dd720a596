"""What the trainings of `o3gym train` share: their arguments, the dry run and the display of progress."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress, TextColumn, TimeRemainingColumn

from o3gym.cli.console import err, out, progress_bar, say
from o3gym.cli.values import Subcommands, timestamped_folder

if TYPE_CHECKING:
    from o3gym.train.recipe import TrainingRecipe


def add_recipe_command(
    kinds: Subcommands, kind: str, about: str, recipes: str, run: Callable[[argparse.Namespace], None]
) -> None:
    """Adds a command that trains by a recipe.

    Args:
        kinds: the subcommands of `o3gym train`.
        kind: name of the command.
        about: help text of the command.
        recipes: names of the recipes that come with the package, for the help text.
        run: function that carries out the command.
    """
    parser = kinds.add_parser(kind, help=about)
    add = parser.add_argument
    add("recipe", help=f"name of a recipe ({recipes}) or a .toml file")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key of the recipe; repeatable")
    add("--out", type=Path, help=f"model folder; an interrupted training is resumed (runs/{kind}-NAME-TIME)")
    add("--dry-run", action="store_true", help="print the resolved recipe and its batch arithmetic, and do not train")
    parser.set_defaults(run=run, kind=kind)


def print_dry_run(recipe: TrainingRecipe, arithmetic: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Prints a resolved recipe and its batch arithmetic as JSON."""
    from o3gym.train.recipe import as_json

    out.print_json(json.dumps({"recipe": as_json(recipe), "arithmetic": arithmetic}))


def training_folder(args: argparse.Namespace) -> Path:
    """Returns `--out`, or a new folder named after the kind of training, the recipe and the time."""
    return args.out or timestamped_folder(f"{args.kind}-{Path(args.recipe).stem}")


def training_progress() -> Progress:
    """Builds a progress display with the remaining time and the latest logs (the field `logs` of each task)."""
    return progress_bar(TimeRemainingColumn(), TextColumn("{task.fields[logs]}", markup=False))


def log_step(line: str) -> None:
    """Prints a line of logs if standard error is a file or a pipe, where no progress bar is drawn."""
    if not err.is_terminal:
        say(line, err)
