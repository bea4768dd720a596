"""`o3gym train`: the group of the training commands."""

from __future__ import annotations

from o3gym.cli.train.export import add_train_export
from o3gym.cli.train.grpo import add_train_grpo
from o3gym.cli.train.planning import add_train_planning
from o3gym.cli.train.sft import add_train_sft
from o3gym.cli.values import Subcommands


def add_train(commands: Subcommands) -> None:
    """Adds `train` and its subcommands to the commands of `o3gym`."""
    group = commands.add_parser("train", help="train a model on demonstrations or by reinforcement")
    kinds = group.add_subparsers(required=True, metavar="KIND")
    for add in (add_train_sft, add_train_grpo, add_train_planning, add_train_export):
        add(kinds)
