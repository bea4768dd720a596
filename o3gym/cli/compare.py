"""`o3gym compare`: the difference between two arms of stored runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from o3gym.cli.console import out, say
from o3gym.cli.values import Subcommands

if TYPE_CHECKING:
    from o3gym.runs.compare import Comparison


def add_compare(commands: Subcommands) -> None:
    """Adds `compare` to the commands of `o3gym`."""
    parser = commands.add_parser("compare", help="compare two arms of stored runs task by task")
    add = parser.add_argument
    add("first", type=Path, help="run folder")
    add("second", type=Path, help="run folder; may be the same")
    add("--arm", default="", help="arm of the first run, if it has several")
    add("--with", default="", dest="other", metavar="ARM", help="arm of the second run (by default the same label)")
    add("--force", action="store_true", help="compare even if the runs differ in more than their policies")
    parser.set_defaults(run=_compare)


def _left_out(result: Comparison) -> str:
    """Says which tasks are in none of the numbers, and why."""
    reasons = ((result.failed, "failed or never judged in at least one arm"), (result.left_out, "in one run only"))
    said = "; ".join(f"{count} {reason}" for count, reason in reasons if count)
    return f"; left out: {said}" if said else ""


def _compare(args: argparse.Namespace) -> None:
    from o3gym.runs.compare import compare

    result = compare(args.first, args.second, args.arm, args.other, args.force)
    table = Table("arm", f"accuracy % ({result.tasks} tasks)", box=None, padding=(0, 2))
    for label, mean in zip((result.first, result.second), result.means, strict=True):
        table.add_row(Text(label), f"{100 * mean:.1f}")
    out.print(table)
    change, low, high = (100 * value for value in (result.difference, result.low, result.high))
    say(
        f"difference {change:+.1f} points [{low:+.1f}, {high:+.1f}] (paired bootstrap); "
        f"better on {result.gained} tasks, worse on {result.lost}{_left_out(result)}"
    )
    for line in result.differing:
        say(f"differs: {line}")
