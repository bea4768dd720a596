"""The command group `o3gym synth`: what its arguments mean, and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from o3gym.cli.questions import add_questions

if TYPE_CHECKING:
    from o3gym.synthesis.regions import RegionTally

out = Console()
err = Console(stderr=True)

SHOWN = 2_000_000
"""Pixels at which a picture is described, at most: those at which o3gym shows pictures by default."""
THOUGHT = 2048
"""Tokens of a description, which may begin with a thought."""
REASONS = 12
"""Reasons that are told apart: servers and detectors may fail in many words."""


def add_synth(commands: Any) -> None:
    """Add `synth` and its commands to the parser of the command line."""
    group = commands.add_parser("synth", help="make tasks: collages, region searches, and which need a search at all")
    kinds = group.add_subparsers(required=True, metavar="KIND")
    _add_collage(kinds)
    _add_filter(kinds)
    _add_regions(kinds)
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


def _add_regions(kinds: Any) -> None:
    parser = kinds.add_parser("regions", help="region searches: find the layout of pictures, have parts described")
    add = parser.add_argument
    pictures = parser.add_mutually_exclusive_group(required=True)
    pictures.add_argument("--suite", default="", help="suite whose pictures are taken, each once")
    pictures.add_argument("--images", type=Path, metavar="FOLDER", help="folder with pictures, and the folders in it")
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--count", type=_count, default=0, metavar="N", help="pictures, 0 for all (%(default)s)")
    add(
        "--detector",
        default="rapid_layout",
        metavar="D",
        help="rapid_layout[:MODEL], truth, MODULE:CLASS (%(default)s)",
    )
    add("--policy", required=True, metavar="P", help="who describes: openai:MODEL, transformers:MODEL, …")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder to write or go on with, for local:FOLDER",
    )
    add(
        "--max-pixels",
        type=_count,
        default=SHOWN,
        metavar="N",
        help="of a picture as it is described (%(default)s)",
    )
    add("--temperature", type=float, default=1.0, help="sampling temperature (%(default)s)")
    add("--max-tokens", type=_count, default=THOUGHT, help="tokens per reply (%(default)s)")
    add("--base-url", default="", metavar="URL", help="server of an openai:MODEL policy")
    add("--seed", type=int, default=0, help="of sampling (%(default)s)")
    add("--in-flight", type=_count, default=16, help="requests open at once (%(default)s)")
    parser.set_defaults(run=_regions)


def _collage(args: argparse.Namespace) -> None:
    from o3gym.synthesis.collages import INDEX, make_collages, open_collages

    suite = open_collages(args.suite, args.split)
    with _progress() as progress:
        bar = progress.add_task("collages", total=min(args.count, len(suite)))
        tally = make_collages(suite, args.count, args.out, lambda done: progress.update(bar, completed=done))
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
    from o3gym.bench.run import Bench
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


def _regions(args: argparse.Namespace) -> None:
    from o3gym.suites.base import make_suite
    from o3gym.synthesis.collages import INDEX
    from o3gym.synthesis.describing import Describer
    from o3gym.synthesis.detectors.base import make_detector
    from o3gym.synthesis.pages import of_folder, of_suite
    from o3gym.synthesis.regions import LayoutFinder, make_regions
    from o3gym.types import Sampling

    sampling = Sampling(temperature=args.temperature, max_tokens=args.max_tokens, seed=args.seed)
    describer = Describer(args.policy, sampling, args.max_pixels, args.in_flight, args.base_url)
    finder = LayoutFinder(args.detector, make_detector(args.detector))
    pages = of_folder(args.images) if args.images else of_suite(make_suite(args.suite, args.split))
    pages = pages[: args.count or None]
    with _progress() as progress:
        bar = progress.add_task("pictures", total=len(pages))
        tally = make_regions(pages, finder, describer, args.out, lambda done: progress.update(bar, completed=done))
    _say_regions(tally)
    if tally.regions:
        _say(f"suite: local:{args.out / INDEX}")


def _say_regions(tally: RegionTally) -> None:
    _say(f"{tally.regions} regions of {tally.pages} pictures")
    _say(f"{tally.blocks} boxes detected, {tally.parts} of them made {tally.candidates} regions to describe")
    counts = {
        "dropped boxes": tally.dropped,
        "skipped pictures": tally.skipped_pages,
        "skipped regions": tally.skipped,
    }
    for what, reasons in counts.items():
        for reason, count in reasons.most_common(REASONS):
            _say(f"{what}: {count} ({reason})")
        if others := reasons.total() - sum(count for _, count in reasons.most_common(REASONS)):
            _say(f"{what}: {others} (other reasons)")


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
