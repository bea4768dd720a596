"""The command group `o3gym synth`: what its arguments mean, and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from o3gym.synthesis.questions.command import add_questions

out = Console()
err = Console(stderr=True)


def add_synth(commands: Any) -> None:
    """Add `synth` and its commands to the parser of the command line."""
    group = commands.add_parser("synth", help="make tasks out of others: collages, and those that need a search")
    kinds = group.add_subparsers(required=True, metavar="KIND")
    _add_collage(kinds)
    _add_filter(kinds)
    add_questions(kinds)


def _add_collage(kinds: Any) -> None:
    parser = kinds.add_parser("collage", help="lay out collages, count what is rejected and skipped, write them")
    add = parser.add_argument
    add("--suite", default="collage", help='"collage", "collage:local:FILE.jsonl?tiles=4-6", … (%(default)s)')
    add("--split", default="test", help="split (%(default)s)")
    add("--count", type=_count, default=100, metavar="N", help="how many (%(default)s)")
    add("--out", type=Path, metavar="FOLDER", help="write index.jsonl and PNGs, for local:FOLDER; by default nothing")
    parser.set_defaults(run=_collage)


def _add_filter(kinds: Any) -> None:
    parser = kinds.add_parser("filter", help="which tasks a policy fails without a search, in k tries")
    add = parser.add_argument
    add("--suite", default="collage", help="suite (%(default)s)")
    add("--split", default="test", help="split (%(default)s)")
    add("--policy", required=True, metavar="P", help="policy; it gets the picture at first sight and no tools")
    add("--k", type=_count, default=3, metavar="K", help="tries (%(default)s)")
    add("--keep", type=_range, default=(0, 0), metavar="LOW..HIGH", help="how many of them may be correct (0)")
    add("--out", type=Path, required=True, metavar="FILE.jsonl", help="file to write; FILE.jsonl.run holds the run")
    add("--episodes", type=_count, default=0, metavar="N", help="tasks, 0 for all (%(default)s)")
    add("--temperature", type=float, default=1.0, help="sampling temperature (%(default)s)")
    add("--max-tokens", type=_count, default=1024, help="tokens per reply (%(default)s)")
    add("--dialect", default="", help="wire format; by default what the policy speaks, else qwen3_vl")
    add("--judge", default="", help="judge; by default rules that fit each task")
    add("--base-url", default="", metavar="URL", help="server of an openai:MODEL policy")
    add("--seed", type=int, default=0, help="draws the tasks and everything random (%(default)s)")
    add("--in-flight", type=_count, default=16, help="episodes alive at once (%(default)s)")
    parser.set_defaults(run=_filter)


def _collage(args: argparse.Namespace) -> None:
    from o3gym.synthesis.collages import INDEX, make, open_collages

    suite = open_collages(args.suite, args.split)
    with _progress() as progress:
        bar = progress.add_task("collages", total=min(args.count, len(suite)))
        tally = make(suite, args.count, args.out, lambda done: progress.update(bar, completed=done))
    rate = f"{100 * tally.accepted / tally.tried:.1f}%" if tally.tried else "–"
    _say(f"{tally.accepted} collages of {tally.tried} canvases: acceptance rate {rate}")
    for reason, count in tally.rejected.most_common():
        _say(f"rejected canvases: {count} ({reason})")
    if tally.given_up:
        _say(f"targets given up: {tally.given_up}")
    for reason, count in tally.skipped.most_common():
        _say(f"skipped tasks of the source: {count} ({reason})")
    if args.out is not None:
        _say(f"suite: local:{args.out / INDEX}")


def _filter(args: argparse.Namespace) -> None:
    from o3gym.bench import Bench
    from o3gym.synthesis.difficulty import CONTROL, Filter, write_filter
    from o3gym.types import Sampling

    keep = Filter(args.k, *args.keep)
    bench = Bench(
        suite=args.suite,
        split=args.split,
        policies=(f"{args.policy}+{CONTROL}",),
        dialect=args.dialect,
        episodes=args.episodes,
        k=keep.k,
        seed=args.seed,
        judge=args.judge,
        base_url=args.base_url,
        sampling=Sampling(temperature=args.temperature, max_tokens=args.max_tokens),
    )
    with _progress() as progress:
        bar = progress.add_task(args.policy, total=None)
        kept = write_filter(
            bench,
            keep,
            args.out,
            lambda _, done, total: progress.update(bar, completed=done, total=total),
            args.in_flight,
        )
    _say(f"{kept} tasks kept: {args.out}")


def _say(text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    )


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, got {text!r}")
    return int(text)


def _range(text: str) -> tuple[int, int]:
    low, dots, high = text.partition("..")
    if not low.isdigit() or (dots and not high.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a number of correct tries or LOW..HIGH, got {text!r}")
    return int(low), int(high or low)
