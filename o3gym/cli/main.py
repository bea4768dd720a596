"""Entry point and parser of `o3gym COMMAND`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from o3gym import __version__
from o3gym.cli.bench import add_bench
from o3gym.cli.check import add_check
from o3gym.cli.compare import add_compare
from o3gym.cli.console import err, say
from o3gym.cli.export import add_export
from o3gym.cli.listing import add_list
from o3gym.cli.repair import add_repair
from o3gym.cli.synth.group import add_synth
from o3gym.cli.train.group import add_train
from o3gym.cli.view import add_view


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Errors that a user can cause are printed as one line; with `O3GYM_TRACEBACK` set they are raised instead.

    Args:
        argv: the arguments after the program's name; by default those of this process.

    Returns:
        The exit code: 0 for success, 1 for a benchmark with an arm that has nothing but failures, 2 for bad input or a
        failed check, 130 after Ctrl-C.

    Raises:
        SystemExit: after `--help`, `--version` or a usage error, as argparse does.
    """
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        say("Stopped. To resume, run the same command with the same --out.", err)
        return 130
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("O3GYM_TRACEBACK"):
            raise
        say(f"o3gym: {error}", err, style="red")
        return 2


class _ExactParser(argparse.ArgumentParser):
    """A parser that accepts no abbreviated options, nor do the parsers of its commands, which have the same class.

    With abbreviations, a new option can change the meaning of a command that somebody has written down.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser with every command. The parsed arguments have `run`, the function that carries them out."""
    parser: argparse.ArgumentParser = _ExactParser(prog="o3gym", description="Visual search as Gymnasium environments.")
    parser.add_argument("--version", action="version", version=f"o3gym {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_list, add_bench, add_compare, add_export, add_view, add_repair, add_check, add_train, add_synth):
        add(commands)
    return parser
