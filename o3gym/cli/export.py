"""`o3gym export`: converts a stored run to the result files of another evaluation harness."""

from __future__ import annotations

import argparse
from pathlib import Path

from o3gym import registry
from o3gym.cli.console import say
from o3gym.cli.values import Subcommands


def add_export(commands: Subcommands) -> None:
    """Adds `export` to the commands of `o3gym`."""
    parser = commands.add_parser("export", help="write a stored run as the result files of another harness")
    add = parser.add_argument
    add("folder", type=Path, help="run folder")
    add("--to", required=True, metavar="FORMAT", help=", ".join(registry.EXPORTS))
    add("--out", required=True, type=Path, metavar="FOLDER", help="folder to write, new or empty")
    add("--arm", default="", metavar="LABEL", help="export only this arm (by default each arm has its own folder)")
    parser.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> None:
    from o3gym.runs.exports import export_run

    for path in export_run(args.folder, args.to, args.out, args.arm):
        say(str(path))
