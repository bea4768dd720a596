"""`o3gym synth filter`: selects the tasks that a policy rarely solves without tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from o3gym.cli.console import progress_bar, say
from o3gym.cli.episodes import add_episode_options
from o3gym.cli.values import Subcommands, positive_number_argument, range_argument, whole_number_argument

if TYPE_CHECKING:
    from o3gym.bench.definition import Bench


def add_synth_filter(kinds: Subcommands) -> None:
    """Adds `filter` to the commands of `o3gym synth`."""
    parser = kinds.add_parser("filter", help="select the tasks that a policy fails without tools in k tries")
    _add_selection(parser)
    add_episode_options(parser, temperature=1.0)
    parser.set_defaults(run=_filter)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--suite", default="collage", help="suite (%(default)s)")
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--policy", required=True, metavar="P", help="policy; it has no tools and sees only the first view")
    add("--k", type=positive_number_argument, default=3, metavar="K", help="tries per task (%(default)s)")
    add(
        "--keep",
        type=range_argument,
        default=(0, 0),
        metavar="LOW..HIGH",
        help="keep tasks with this number of correct tries (0)",
    )
    add(
        "--out", type=Path, required=True, metavar="FILE.jsonl", help="file to write; the run is kept in FILE.jsonl.run"
    )
    add("--episodes", type=whole_number_argument, default=0, metavar="N", help="tasks to try, 0 for all (%(default)s)")


def _filter(args: argparse.Namespace) -> None:
    from o3gym.synthesis.difficulty import Filter, write_filter

    keep = Filter(args.k, *args.keep)
    bench = _bench_of(args, keep.k)
    with progress_bar() as bars:
        task = bars.add_task(args.policy, total=None)

        def update(_arm: str, done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        kept = write_filter(bench, keep, args.out, update, args.in_flight)
    say(f"{kept} tasks kept: {args.out}")


def _bench_of(args: argparse.Namespace, k: int) -> Bench:
    from o3gym.bench.definition import Bench
    from o3gym.sampling import Sampling
    from o3gym.synthesis.difficulty import CONTROL

    return Bench(
        suite=args.suite,
        split=args.split,
        policies=(f"{args.policy}+{CONTROL}",),
        dialect=args.dialect,
        episodes=args.episodes,
        k=k,
        seed=args.seed,
        judge=args.judge,
        base_url=args.base_url,
        sampling=Sampling(temperature=args.temperature, max_tokens=args.max_tokens),
    )
