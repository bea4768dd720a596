"""`o3gym synth collage`: lays out collages, counts the rejected ones and writes the others."""

from __future__ import annotations

import argparse
from pathlib import Path

from o3gym.cli.console import progress_bar, say
from o3gym.cli.values import Subcommands, positive_number_argument


def add_synth_collage(kinds: Subcommands) -> None:
    """Adds `collage` to the commands of `o3gym synth`."""
    parser = kinds.add_parser("collage", help="lay out collages, and report how many were rejected or skipped")
    add = parser.add_argument
    add("--suite", default="collage", help='"collage", "collage:local:FILE.jsonl?tiles=4-6", … (%(default)s)')
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--count", type=positive_number_argument, default=100, metavar="N", help="number of collages (%(default)s)")
    add("--out", type=Path, metavar="FOLDER", help="folder for PNGs and index.jsonl, to open as local:FOLDER (none)")
    parser.set_defaults(run=_collage)


def _collage(args: argparse.Namespace) -> None:
    from o3gym.synthesis.collages import INDEX, make_collages, open_collages

    suite = open_collages(args.suite, args.split)
    with progress_bar() as bars:
        task = bars.add_task("collages", total=min(args.count, len(suite)))
        tally = make_collages(suite, args.count, args.out, lambda done: bars.update(task, completed=done))
    rate = f"{100 * tally.accepted / tally.tried:.1f}%" if tally.tried else "–"
    say(f"{tally.accepted} collages of {tally.tried} canvases: acceptance rate {rate}")
    for reason, count in tally.rejected.most_common():
        say(f"rejected canvases: {count} ({reason})")
    if tally.given_up:
        say(f"targets given up: {tally.given_up}")
    for reason, count in tally.skipped.most_common():
        say(f"skipped tasks of the source: {count} ({reason})")
    if args.out is not None:
        say(f"suite: local:{args.out / INDEX}")
