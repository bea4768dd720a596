"""`o3gym check`: checks the installation or a plug-in."""

from __future__ import annotations

import argparse

from rich.text import Text

from o3gym.cli.console import out, say
from o3gym.cli.values import Subcommands


def add_check(commands: Subcommands) -> None:
    """Adds `check` to the commands of `o3gym`."""
    parser = commands.add_parser("check", help="check this installation or a plug-in")
    parser.add_argument(
        "plugin", nargs="?", default="", help='"tool:NAME", "suite:local:FILE", "dialect:pkg.mod:Class", …'
    )
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from o3gym.testing import check

    failures = 0
    for name, problem in check(args.plugin):
        failures += bool(problem)
        out.print(Text("failed", "red") if problem else Text("ok", "green"), end="")
        say(f"  {name}: {problem}" if problem else f"      {name}")
    return 2 if failures else 0
