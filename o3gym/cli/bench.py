"""`o3gym bench`: runs policies on a suite and reports their scores."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from o3gym.cli.console import named_progress, out, say
from o3gym.cli.episodes import add_episode_options
from o3gym.cli.values import (
    Subcommands,
    key_value_argument,
    positive_number_argument,
    real_number_argument,
    shard_argument,
    sweep_argument,
    timestamped_folder,
    turn_budgets_argument,
    whole_number_argument,
)
from o3gym.cli.view import write_run_page
from o3gym.sampling import Sampling

if TYPE_CHECKING:
    from o3gym.bench.definition import Bench
    from o3gym.runs.report import Report


def add_bench(commands: Subcommands) -> None:
    """Adds `bench` to the commands of `o3gym`."""
    parser = commands.add_parser("bench", help="run policies on a suite and report the results")
    _add_tasks_and_policies(parser)
    add_episode_options(parser, temperature=0.0)
    _add_episodes(parser)
    _add_scoring(parser)
    _add_execution(parser)
    parser.set_defaults(run=_bench)


def _add_tasks_and_policies(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--suite", default="synthetic", help='"synthetic", "local:FILE.jsonl", "NAME?option=value" (%(default)s)')
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--data", default="", metavar="FOLDER", help="released files of the suite (by default they are downloaded)")
    add("--policy", action="append", metavar="P", help='policy or "P+control"; repeat it to compare policies (oracle)')
    add("--prompt", default="", metavar="FILE", help="file with a system prompt that replaces the dialect's")
    add("--exemplars", default="", metavar="FILE", help='exemplars to show first: a file, or "trial_and_error" (none)')


def _add_episodes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--episodes", type=whole_number_argument, default=100, metavar="N", help="tasks to run, 0 for all (%(default)s)"
    )
    add(
        "--turns",
        type=turn_budgets_argument,
        default=(),
        metavar="T,T",
        help="turn budgets; episodes run once, at the largest, and are cut at the others (the suite's recommendation, "
        "which is 6 for most)",
    )
    add(
        "--strict",
        action="store_true",
        help="stop at the first bad row of the suite (by default, up to 5%% are skipped)",
    )
    add(
        "--window",
        type=positive_number_argument,
        metavar="P",
        help="rounds whose pictures stay in the dialogue, besides those at the start (all)",
    )
    add("-k", type=positive_number_argument, default=1, metavar="K", help="samples per task (%(default)s)")
    add(
        "--code-temperature",
        type=real_number_argument,
        metavar="T",
        help="sampling temperature inside of code, for dialects that mark it (that of the text)",
    )
    add(
        "--repetition-penalty",
        type=real_number_argument,
        default=1.0,
        metavar="R",
        help="penalty on tokens that occur in the dialogue already, above 1 to avoid them (%(default)s)",
    )
    add(
        "--env",
        type=key_value_argument,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the environment, like max_pixels=400000 or tools=crop+zoom+answer; repeatable",
    )
    add(
        "--sweep",
        type=sweep_argument,
        default={},
        metavar="K=V,V;K=V",
        help="run one arm per combination of these arguments, like focus=crop,draw;tools=answer,crop+answer; window is "
        "one of them, with null for all rounds",
    )


def _add_scoring(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--reward", default="outcome", help="reward recipe (%(default)s)")
    add("--force-answer", action="store_true", help="allow only an answer in the last turn (choice tasks)")


def _add_execution(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, help="run folder; an existing run is resumed (runs/SUITE-TIME)")
    add(
        "--shard",
        type=shard_argument,
        default=(1, 1),
        metavar="I/N",
        help="run only part I of N of the tasks, to use several machines",
    )
    add(
        "--ray",
        nargs="?",
        const="local",
        default="",
        metavar="ADDRESS",
        help='run on a Ray cluster: a new local one, or "auto" or HOST:PORT to join one',
    )
    add("--workers", type=positive_number_argument, metavar="N", help="worker processes on the Ray cluster (2)")
    add("--worker-gpus", type=real_number_argument, metavar="G", help="GPUs per worker process, may be a fraction (0)")
    add("--merge", nargs="+", type=Path, metavar="RUN", help="run nothing; merge runs of the same protocol into --out")
    add("--no-view", action="store_true", help="write neither the HTML page nor its thumbnails")
    add(
        "--no-retry",
        action="store_true",
        help="keep stored failures (by default, episodes with an error are played and failed verdicts judged again)",
    )


def _bench(args: argparse.Namespace) -> int:
    if args.merge:
        return _merge(args)
    from o3gym.bench.run import run

    bench = _bench_of(args)
    folder = args.out or timestamped_folder(args.suite.split(":")[0].split("?")[0])
    with named_progress() as progress:
        workers = _workers(args)
        report = run(
            bench,
            folder,
            in_flight=args.in_flight,
            progress=progress,
            shard=args.shard,
            thumbnails=not args.no_view,
            retry=not args.no_retry,
            workers=workers,
        )
    return _show_run(report, folder, args.no_view)


def _merge(args: argparse.Namespace) -> int:
    from o3gym.bench.run import merge_and_report

    if args.out is None:
        raise ValueError("--merge: expected --out FOLDER, the folder to merge the runs into")
    return _show_run(merge_and_report(args.merge, args.out), args.out, args.no_view)


def _bench_of(args: argparse.Namespace) -> Bench:
    from o3gym.bench.definition import Bench

    return Bench(
        suite=args.suite,
        split=args.split,
        suite_args={"data": args.data} if args.data else {},
        policies=tuple(dict.fromkeys(args.policy or ["oracle"])),
        dialect=args.dialect,
        prompt_file=args.prompt,
        exemplars=args.exemplars,
        episodes=args.episodes,
        strict=args.strict,
        turns=args.turns,
        k=args.k,
        seed=args.seed,
        env=dict(args.env),
        sweep=args.sweep,
        reward=args.reward,
        judge=args.judge,
        force_answer=args.force_answer,
        window=args.window,
        sampling=Sampling(
            temperature=args.temperature,
            max_tokens=args.max_tokens,
            repetition_penalty=args.repetition_penalty,
            code_temperature=args.code_temperature,
        ),
        base_url=args.base_url,
    )


def _workers(args: argparse.Namespace) -> Callable[..., Any]:
    """Returns the factory of the workers that run the episodes: in this process, or on a Ray cluster."""
    from o3gym.bench.workers import LocalWorkers

    if not args.ray:
        if args.workers is not None or args.worker_gpus is not None:
            raise ValueError("--workers, --worker-gpus: these apply to a Ray cluster only; add --ray")
        return LocalWorkers
    from o3gym.bench.ray import RayWorkers

    return partial(RayWorkers, address=args.ray, count=args.workers or 2, gpus=args.worker_gpus or 0.0)


def _show_run(report: Report, folder: Path, no_view: bool) -> int:
    """Prints the report and writes the page. Returns the exit code: 1 if an arm has nothing but failures."""
    from o3gym.runs.report import rich_table

    out.print(rich_table(report))
    say(f"run folder: {folder}   report: {folder / 'report.md'}")
    if not no_view:
        write_run_page(folder, embed=False)
    return int(any(arm.only_failures for arm in report.arms))
