"""`o3gym view`: writes the HTML page of a stored run."""

from __future__ import annotations

import argparse
from pathlib import Path

from o3gym.cli.console import progress_bar, say
from o3gym.cli.values import Subcommands


def add_view(commands: Subcommands) -> None:
    """Adds `view` to the commands of `o3gym`."""
    parser = commands.add_parser("view", help="write the HTML page of a run")
    parser.add_argument("folder", type=Path, help="run folder")
    parser.add_argument("--embed", action="store_true", help="embed the thumbnails, so that the page is a single file")
    parser.set_defaults(run=_view)


def _view(args: argparse.Namespace) -> None:
    write_run_page(args.folder, embed=args.embed)


def write_run_page(folder: Path, *, embed: bool) -> None:
    """Writes the HTML page of the run in `folder` and prints its path. `embed`: put the thumbnails into the page."""
    from o3gym.bench.run import page

    with progress_bar() as bars:
        task = bars.add_task("page", total=None)
        path = page(folder, embed=embed, progress=lambda done, total: bars.update(task, completed=done, total=total))
    say(f"page: {path}")
