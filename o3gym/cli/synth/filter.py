"""`o3gym synth filter`: selects the tasks that a policy rarely solves without tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from o3gym.cli.console import progress_bar, say
from o3gym.cli.values import Subcommands, range_argument, whole_number_argument

if TYPE_CHECKING:
    from o3gym.bench.run import Bench


def add_synth_filter(kinds: Subcommands) -> None:
    """Adds `filter` to the commands of `o3gym synth`."""
    parser = kinds.add_parser("filter", help="select the tasks that a policy fails without tools in k tries")
    _add_selection(parser)
    _add_policy(parser)
    parser.set_defaults(run=_filter)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--suite", default="collage", help="suite (%(default)s)")
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--policy", required=True, metavar="P", help="policy; it has no tools and sees only the first view")
    add("--k", type=whole_number_argument, default=3, metavar="K", help="tries per task (%(default)s)")
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


def _add_policy(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--episodes", type=whole_number_argument, default=0, metavar="N", help="tasks to try, 0 for all (%(default)s)")
    add("--temperature", type=float, default=1.0, help="sampling temperature (%(default)s)")
    add("--max-tokens", type=whole_number_argument, default=1024, help="tokens per reply (%(default)s)")
    add("--dialect", default="", help="wire format (by default the policy's own, else qwen3_vl)")
    add(
        "--judge", default="", metavar="SPEC", help="judge, like openai:MODEL (by default the rules that fit each task)"
    )
    add("--base-url", default="", metavar="URL", help="server of an openai:MODEL policy")
    add("--seed", type=int, default=0, help="seed of the choice of tasks and of all sampling (%(default)s)")
    add("--in-flight", type=whole_number_argument, default=16, help="episodes that run at the same time (%(default)s)")


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
    from o3gym.bench.run import Bench
    from o3gym.synthesis.difficulty import CONTROL
    from o3gym.types import Sampling

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
