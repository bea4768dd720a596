"""`o3gym synth regions`: detects the layout of pictures and has parts of it described as targets of a search."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from o3gym.cli.console import progress_bar, say
from o3gym.cli.values import (
    Subcommands,
    positive_number_argument,
    real_number_argument,
    seed_argument,
    whole_number_argument,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from o3gym.synthesis.asking import AskedPolicy
    from o3gym.synthesis.detectors.base import Page
    from o3gym.synthesis.regions import RegionTally

DESCRIBED_PIXELS = 2_000_000
"""Maximum pixels of a picture as the describing policy sees it: the size at which environments show pictures."""
DESCRIPTION_TOKENS = 2048
"""Token limit of a description; the reply may begin with a thought."""
REASONS_SHOWN = 12
"""Number of reasons printed one by one; failing servers and detectors can produce any number of messages."""


def add_synth_regions(kinds: Subcommands) -> None:
    """Adds `regions` to the commands of `o3gym synth`."""
    parser = kinds.add_parser("regions", help="make region searches: detect layouts and have their parts described")
    _add_pictures(parser)
    _add_describer(parser)
    parser.set_defaults(run=_regions)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    pictures = parser.add_mutually_exclusive_group(required=True)
    pictures.add_argument("--suite", default="", help="suite whose pictures are used, each once")
    pictures.add_argument("--images", type=Path, metavar="FOLDER", help="folder with pictures, searched recursively")
    add = parser.add_argument
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--count", type=whole_number_argument, default=0, metavar="N", help="pictures, 0 for all (%(default)s)")
    add(
        "--detector",
        default="rapid_layout",
        metavar="D",
        help="rapid_layout[:MODEL], truth, MODULE:CLASS (%(default)s)",
    )


def _add_describer(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--policy", required=True, metavar="P", help="policy that describes: openai:MODEL, transformers:MODEL, …")
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder to write or resume, to open as local:FOLDER")
    add(
        "--max-pixels",
        type=positive_number_argument,
        default=DESCRIBED_PIXELS,
        metavar="N",
        help="maximum pixels of the picture that the policy sees (%(default)s)",
    )
    add("--temperature", type=real_number_argument, default=1.0, help="sampling temperature (%(default)s)")
    add(
        "--max-tokens", type=positive_number_argument, default=DESCRIPTION_TOKENS, help="tokens per reply (%(default)s)"
    )
    add("--base-url", default="", metavar="URL", help="server of an openai:MODEL policy")
    add("--seed", type=seed_argument, default=0, help="seed of all sampling (%(default)s)")
    add("--in-flight", type=positive_number_argument, default=16, help="requests open at the same time (%(default)s)")


def _regions(args: argparse.Namespace) -> None:
    from o3gym.synthesis.collages import INDEX
    from o3gym.synthesis.detectors.base import make_detector
    from o3gym.synthesis.regions import LayoutFinder, make_regions

    describer = _describer(args)
    finder = LayoutFinder(args.detector, make_detector(args.detector))
    pages = _pages(args)
    with progress_bar() as bars:
        task = bars.add_task("pictures", total=len(pages))
        tally = make_regions(pages, finder, describer, args.out, lambda done: bars.update(task, completed=done))
    _say_tally(tally)
    if tally.regions:
        say(f"suite: local:{args.out / INDEX}")


def _describer(args: argparse.Namespace) -> AskedPolicy:
    from o3gym.sampling import Sampling
    from o3gym.synthesis.asking import AskedPolicy

    sampling = Sampling(temperature=args.temperature, max_tokens=args.max_tokens, seed=args.seed)
    return AskedPolicy(args.policy, sampling, args.max_pixels, args.in_flight, args.base_url)


def _pages(args: argparse.Namespace) -> Sequence[Page]:
    from o3gym.suites.base import make_suite
    from o3gym.synthesis.pages import of_folder, of_suite

    pages = of_folder(args.images) if args.images else of_suite(make_suite(args.suite, args.split))
    return pages[: args.count or None]


def _say_tally(tally: RegionTally) -> None:
    say(f"{tally.regions} regions of {tally.pages} pictures")
    say(f"{tally.blocks} boxes detected, {tally.parts} of them made {tally.candidates} regions to describe")
    counts = {
        "dropped boxes": tally.dropped,
        "skipped pictures": tally.skipped_pages,
        "skipped regions": tally.skipped,
    }
    for what, reasons in counts.items():
        shown = reasons.most_common(REASONS_SHOWN)
        for reason, count in shown:
            say(f"{what}: {count} ({reason})")
        if others := reasons.total() - sum(count for _, count in shown):
            say(f"{what}: {others} (other reasons)")
