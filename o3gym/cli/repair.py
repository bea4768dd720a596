"""`o3gym repair`: sets damaged lines of a run, a journal or a verdict cache aside."""

from __future__ import annotations

import argparse
from pathlib import Path

from o3gym.cli.console import say
from o3gym.cli.values import Subcommands


def add_repair(commands: Subcommands) -> None:
    """Adds `repair` to the commands of `o3gym`."""
    parser = commands.add_parser("repair", help="set damaged lines of a run, a journal or a verdict cache aside")
    parser.add_argument("path", type=Path, metavar="RUN", help="run folder, or file of a journal or of verdicts")
    parser.set_defaults(run=_repair)


def _repair(args: argparse.Namespace) -> None:
    from o3gym.runs.repair import repair

    done = repair(args.path)
    for line in done.damaged:
        say(f"line {line.number}: {line.reason}; it was about {line.key or 'something that cannot be read'}")
    if not done.damaged:
        say(f"{done.record}: none of the {done.lines} lines is damaged")
        return
    say(f"{len(done.damaged)} of {done.lines} lines were moved to {done.aside}")
    say("What they held is missing now; the command that wrote it asks for it again.")
