"""`o3gym train export`: converts the correct episodes of a run to demonstrations in a published format."""

from __future__ import annotations

import argparse
from pathlib import Path

from o3gym.cli.console import say
from o3gym.cli.values import Subcommands

DEMONSTRATION_FORMATS = ("mini_o3", "sharegpt")


def add_train_export(kinds: Subcommands) -> None:
    """Adds `export` to the commands of `o3gym train`."""
    parser = kinds.add_parser("export", help="write the correct episodes of a run as demonstrations")
    add = parser.add_argument
    add("folder", metavar="RUN", help="run folder")
    add(
        "--format",
        required=True,
        choices=DEMONSTRATION_FORMATS,
        help="mini_o3: a parquet file; sharegpt: a JSON file and pictures",
    )
    add("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.set_defaults(run=_export)


def _export(args: argparse.Namespace) -> None:
    from o3gym.train.data.sources import RunSource

    if args.format == "mini_o3":
        from o3gym.train.data.cold_start import export_cold_start as export
    else:
        from o3gym.train.data.sharegpt import export_sharegpt as export
    source = RunSource(args.folder)
    rows = export(source, args.out)
    rejected = f", {source.rejected} that are not correct left out" if source.rejected else ""
    say(f"{rows} demonstrations: {args.out}{rejected}")
