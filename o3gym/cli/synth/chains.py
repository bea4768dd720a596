"""`o3gym synth chains`: has a teacher write observe-reason-act chains, verifies them, and keeps what passes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from o3gym.cli.console import named_progress, say
from o3gym.cli.episodes import add_episode_options
from o3gym.cli.values import Subcommands, key_value_argument, positive_number_argument, whole_number_argument
from o3gym.cli.view import write_run_page

if TYPE_CHECKING:
    from o3gym.bench.definition import Bench
    from o3gym.synthesis.asking import AskedPolicy
    from o3gym.synthesis.traces.chains import ChainRecipe, ChainReport


def add_synth_chains(kinds: Subcommands) -> None:
    """Adds `chains` to the commands of `o3gym synth`."""
    about = "have a teacher observe, reason and act in Simple-o3's tools, and keep the chains that are verified"
    parser = kinds.add_parser("chains", help=about, description=about)
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder to write; an existing one is resumed")
    add("--dry-run", action="store_true", help="print what teacher and judge would cost, and ask them nothing")
    add("--no-view", action="store_true", help="write no HTML page of the run")
    _add_chain_teacher(parser)
    _add_verification(parser)
    add_episode_options(parser, temperature=1.0)
    parser.set_defaults(run=_chains, dialect="simple_o3")


def _add_chain_teacher(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("teacher and tasks").add_argument
    add("--policy", default="observer", metavar="P", help="teacher (%(default)s, which is scripted)")
    add("--prompt", default="", metavar="FILE", help="file with a system prompt that replaces ours for the teacher")
    add(
        "--focus",
        choices=("draw", "crop"),
        default="draw",
        help="what focus_area shows: the picture with the box drawn on it, or a crop (%(default)s)",
    )
    add("--suite", default="synthetic", help="suite (%(default)s)")
    add("--split", default="train", help="split of the suite (%(default)s)")
    add("--episodes", type=whole_number_argument, default=100, metavar="N", help="tasks, 0 for all (%(default)s)")
    add("--k", type=positive_number_argument, default=1, metavar="K", help="tries per task (%(default)s)")
    add("--turns", type=positive_number_argument, default=6, metavar="T", help="turn budget (%(default)s)")
    add(
        "--env",
        type=key_value_argument,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the environment, like tools=reuse+zoom+answer; repeatable",
    )


def _add_verification(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "verification", "rules compare calls with words and answers with the truth; --judge replaces the latter"
    )
    add = group.add_argument
    add(
        "--judge-steps",
        default="",
        metavar="P",
        help="policy that is asked about the calls whose words the rules cannot compare, like openai:MODEL",
    )
    add("--rubric", type=Path, metavar="FILE", help="file that replaces the prompt of the judge of steps")
    add(
        "--judge-pixels",
        type=positive_number_argument,
        default=1_000_000,
        metavar="N",
        help="maximum pixels of a picture that the judge of steps sees (%(default)s)",
    )
    add("--min-looks", type=whole_number_argument, default=1, metavar="N", help="fewest calls (%(default)s)")
    add(
        "--per-task",
        type=whole_number_argument,
        default=1,
        metavar="N",
        help="most chains of a task, 0 for any (%(default)s)",
    )
    add("--no-refusals", action="store_true", help="drop chains in which a call was refused")


def _chains(args: argparse.Namespace) -> int:
    from o3gym.synthesis.traces.chains import chain_price, make_chains
    from o3gym.synthesis.traces.demonstrations import TEACHER_RUN

    recipe = _chain_recipe(args)
    if args.dry_run:
        for asked, prices in chain_price(recipe).items():
            for name, cost in zip(("expected", "at most"), prices, strict=True):
                say(f"{asked}, {name}:")
                for line in cost.lines():
                    say(f"  {line}")
        return 0
    with named_progress() as progress:
        report = make_chains(recipe, args.out, progress, args.in_flight)
    _say_chains(report, args.out)
    if not args.no_view:
        write_run_page(args.out / TEACHER_RUN, embed=False)
    return int(any(arm.only_failures for arm in report.bench.arms))


def _chain_recipe(args: argparse.Namespace) -> ChainRecipe:
    from o3gym.synthesis.traces.chains import ChainRecipe
    from o3gym.synthesis.traces.judging import TOOL_RUBRIC, read_rubric
    from o3gym.synthesis.traces.sieve import Sieve

    return ChainRecipe(
        bench=_teacher_bench(args),
        sieve=Sieve(args.min_looks, refusals=not args.no_refusals, per_task=args.per_task),
        judge=_step_judge(args) if args.judge_steps else None,
        rubric=read_rubric("tool", args.rubric) if args.rubric else TOOL_RUBRIC,
    )


def _teacher_bench(args: argparse.Namespace) -> Bench:
    from o3gym.bench.definition import Bench
    from o3gym.sampling import Sampling
    from o3gym.synthesis.asking import asks_server
    from o3gym.synthesis.traces.chains import teacher_prompt

    bench = Bench(
        suite=args.suite,
        split=args.split,
        policies=(args.policy,),
        dialect=args.dialect,
        prompt_file=args.prompt,
        episodes=args.episodes,
        turns=(args.turns,),
        k=args.k,
        seed=args.seed,
        env={**dict(args.env), "focus": args.focus},
        judge=args.judge,
        base_url=args.base_url if asks_server(args.policy) else "",
        sampling=Sampling(temperature=args.temperature, max_tokens=args.max_tokens),
    )
    return bench if args.prompt else teacher_prompt(bench, args.out)


def _step_judge(args: argparse.Namespace) -> AskedPolicy:
    from o3gym.sampling import Sampling
    from o3gym.synthesis.asking import AskedPolicy

    sampling = Sampling(temperature=0.0, max_tokens=args.max_tokens, seed=args.seed)
    return AskedPolicy(args.judge_steps, sampling, args.judge_pixels, args.in_flight, args.base_url)


def _say_chains(report: ChainReport, out: Path) -> None:
    from o3gym.synthesis.traces.chains import FLAT, LEFT_OUT, OBSERVED
    from o3gym.synthesis.traces.writing import KEPT_RUN

    say(f"{report.played:>6} episodes")
    say(f"{report.kept:>6} kept as chains")
    for reason, count in report.rejected.most_common():
        say(f"{count:>6} rejected: {reason}")
    for reason, count in report.open.most_common():
        say(f"{count:>6} open: {reason} failed; the same command asks again")
    if report.untold:
        say(f"{report.untold:>6} of {report.looks} kept looks have words that no rule can compare with the region")
    for line in report.diversity.lines():
        if not line.startswith("patterns"):  # a picture with a box drawn on it would count as a step back
            say(line)
    if report.rejected or report.open:
        say(f"reasons   {out / LEFT_OUT}")
    if report.kept:
        say(f"data      run:{out / KEPT_RUN}")
        say(f"data      sharegpt:{out / FLAT}?observed={OBSERVED}")
