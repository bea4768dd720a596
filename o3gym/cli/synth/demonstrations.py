"""`o3gym synth demonstrations`: has a teacher imitate exemplars on new tasks and keeps its right episodes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from o3gym.cli.console import named_progress, say
from o3gym.cli.episodes import add_episode_options
from o3gym.cli.values import (
    Subcommands,
    key_value_argument,
    positive_number_argument,
    whole_number_argument,
)
from o3gym.cli.view import write_run_page

if TYPE_CHECKING:
    from o3gym.bench.definition import Bench
    from o3gym.synthesis.traces.demonstrations import DemonstrationReport

NO_EXEMPLARS = "none"
"""The value of `--exemplars` for a teacher that sees the system prompt alone."""


def add_synth_demonstrations(kinds: Subcommands) -> None:
    """Adds `demonstrations` to the commands of `o3gym synth`."""
    about = "have a teacher imitate exemplars on new tasks, and keep its right episodes as training data"
    parser = kinds.add_parser("demonstrations", help=about, description=about)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder to write; an existing one is resumed")
    add("--dry-run", action="store_true", help="print what the teacher would cost, and ask it nothing")
    add("--no-view", action="store_true", help="write no HTML page of the run")
    _add_teacher(parser)
    _add_selection(parser)
    add_episode_options(parser, temperature=1.0)
    parser.set_defaults(run=_demonstrations)


def _add_teacher(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("teacher and tasks")
    add = group.add_argument
    add("--policy", action="append", required=True, metavar="P", help="teacher; repeatable")
    add(
        "--exemplars",
        default="trial_and_error",
        metavar="FILE",
        help='file of exemplars, the name of ours, or "none" (%(default)s)',
    )
    add("--prompt", default="", metavar="FILE", help="file with a system prompt that replaces the dialect's")
    add("--suite", default="synthetic", help="suite (%(default)s)")
    add("--split", default="train", help="split of the suite (%(default)s)")
    add("--episodes", type=whole_number_argument, default=100, metavar="N", help="tasks, 0 for all (%(default)s)")
    add("--k", type=positive_number_argument, default=4, metavar="K", help="tries per task (%(default)s)")
    add("--turns", type=positive_number_argument, metavar="T", help="turn budget (the suite's recommendation)")
    add(
        "--env",
        type=key_value_argument,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the environment, like max_pixels=400000; repeatable",
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("selection of episodes", "only right ones are kept, and of duplicates the first")
    add = group.add_argument
    add("--min-looks", type=whole_number_argument, default=1, metavar="N", help="fewest looks (%(default)s)")
    add("--max-turns", type=whole_number_argument, default=0, metavar="N", help="most turns, 0 for any (%(default)s)")
    add(
        "--per-task",
        type=whole_number_argument,
        default=0,
        metavar="N",
        help="most episodes of a task, 0 for any (%(default)s)",
    )
    add("--no-refusals", action="store_true", help="drop episodes in which a call was refused")
    add("--no-thoughts", action="store_true", help="keep episodes that have turns without a thought, too")


def _demonstrations(args: argparse.Namespace) -> int:
    from o3gym.synthesis.traces.demonstrations import TEACHER_RUN, make_demonstrations
    from o3gym.synthesis.traces.sieve import Sieve

    bench = _bench_of(args)
    sieve = Sieve(
        min_looks=args.min_looks,
        max_turns=args.max_turns,
        refusals=not args.no_refusals,
        per_task=args.per_task,
        thoughts=not args.no_thoughts,
    )
    if args.dry_run:
        _show_price(bench)
        return 0
    with named_progress() as progress:
        report = make_demonstrations(bench, sieve, args.out, progress, args.in_flight)
    _show(report, args.out)
    if not args.no_view:
        write_run_page(args.out / TEACHER_RUN, embed=False)
    # As for a benchmark, a teacher with nothing but failures is a failure of the command.
    return int(any(arm.only_failures for arm in report.bench.arms))


def _bench_of(args: argparse.Namespace) -> Bench:
    from o3gym.bench.definition import Bench
    from o3gym.sampling import Sampling

    return Bench(
        suite=args.suite,
        split=args.split,
        policies=tuple(dict.fromkeys(args.policy)),
        dialect=args.dialect,
        prompt_file=args.prompt,
        exemplars="" if args.exemplars == NO_EXEMPLARS else args.exemplars,
        episodes=args.episodes,
        turns=() if args.turns is None else (args.turns,),
        k=args.k,
        seed=args.seed,
        env=dict(args.env),
        judge=args.judge,
        base_url=args.base_url,
        sampling=Sampling(temperature=args.temperature, max_tokens=args.max_tokens),
    )


def _show_price(bench: Bench) -> None:
    from o3gym.synthesis.traces.pricing import price

    for name, cost in zip(("expected", "at most"), price(bench), strict=True):
        say(f"{name}:")
        for line in cost.lines():
            say(f"  {line}")


def _show(report: DemonstrationReport, out: Path) -> None:
    from o3gym.synthesis.traces.writing import COLD_START, KEPT_RUN, SHARE_GPT

    say(f"{report.played} episodes of {report.tasks} tasks, {report.kept} kept of {report.tasks_kept} tasks")
    for reason, count in report.rejected.most_common():
        say(f"rejected: {count} ({reason})")
    for line in report.diversity.lines():
        say(line)
    if report.prompt_tokens:
        say(f"tokens    {report.prompt_tokens:,} in prompts, {report.completion_tokens:,} in replies")
    if report.kept:
        for source in (f"run:{out / KEPT_RUN}", f"mini_o3:{out / COLD_START}", f"sharegpt:{out / SHARE_GPT}"):
            say(f"data      {source}")
