"""`o3gym synth thyme`: writes the episodes of a run with code as rows in the form of Thyme's released data."""

from __future__ import annotations

import argparse
from pathlib import Path

from o3gym.cli.console import say
from o3gym.cli.values import Subcommands


def add_synth_thyme(kinds: Subcommands) -> None:
    """Adds `thyme` to the commands of `o3gym synth`."""
    about = "write the episodes of a run with code as rows in the form of Thyme's supervised data"
    parser = kinds.add_parser("thyme", help=about, description=about)
    add = parser.add_argument
    add("runs", type=Path, metavar="RUN", help="run folder, of episodes in the dialect thyme")
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder to write, to train on as thyme:FOLDER")
    add("--dry-run", action="store_true", help="print the counts and write nothing; no policy is asked in either case")
    parser.set_defaults(run=_thyme)


def _thyme(args: argparse.Namespace) -> None:
    from o3gym.synthesis.traces.thyme_rows import thyme_rows, write_thyme_rows

    tally = thyme_rows(args.runs, None) if args.dry_run else write_thyme_rows(args.runs, args.out)
    say(f"{tally.played} episodes, {tally.kept} rows")
    for split, count in tally.rows.most_common():
        say(f"{split}: {count}")
    for reason, count in tally.rejected.most_common():
        say(f"rejected: {count} ({reason})")
    if tally.replaced:
        say(f"rows with U+FFFD in place of lone surrogates: {tally.replaced}")
    if tally.kept and not args.dry_run:
        say(f"data: thyme:{args.out}")
