"""`o3gym synth select`: selects tasks by what policies get right and wrong, and by their form."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from rich.table import Table

from o3gym.cli.console import named_progress, out, say
from o3gym.cli.episodes import add_episode_options
from o3gym.cli.values import (
    Subcommands,
    key_value_argument,
    positive_number_argument,
    range_argument,
    whole_number_argument,
)
from o3gym.cli.view import write_run_page
from o3gym.types import TaskKind

if TYPE_CHECKING:
    from o3gym.bench.definition import Bench
    from o3gym.synthesis.selecting import SelectionReport
    from o3gym.synthesis.selection_rules import Selection


class AskedRule(NamedTuple):
    """A rule as it is given on the command line: an arm, and how many tries must be right; "" for a range."""

    arm: str
    words: str
    low: int = 0
    high: int = 0


def add_synth_select(kinds: Subcommands) -> None:
    """Adds `select` to the commands of `o3gym synth`."""
    parser = kinds.add_parser("select", help="select the tasks that policies get right, wrong, or sometimes right")
    add = parser.add_argument
    add("--suite", default="synthetic", help="suite (%(default)s)")
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--episodes", type=whole_number_argument, default=0, metavar="N", help="tasks to try, 0 for all (%(default)s)")
    _add_rules(parser)
    _add_form(parser)
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder to write; an existing one is resumed")
    add("--dry-run", action="store_true", help="print what the arms would ask for, and play nothing")
    add("--no-view", action="store_true", help="write no HTML pages of the runs")
    add(
        "--turns",
        type=positive_number_argument,
        metavar="T",
        help="turn budget (the suite's recommendation)",
    )
    add(
        "--env",
        type=key_value_argument,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument of the environment, like max_pixels=400000; repeatable",
    )
    add("--force-answer", action="store_true", help="allow only an answer in the last turn (choice tasks)")
    add_episode_options(parser, temperature=1.0)
    parser.set_defaults(run=_select)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "arms", 'policies, or "P+control" such as P+no_tool and P+oracle_crop; repeatable, a task must fulfil all rules'
    )
    for names, word, meaning in (
        (("--wrong", "--alone"), "wrong", "gets wrong in every try"),
        (("--right", "--with"), "right", "gets right in every try"),
        (("--mixed",), "mixed", "gets right in some tries and wrong in others"),
    ):
        rule = partial(_rule_argument, word)
        group.add_argument(
            *names, action="append", dest="rules", type=rule, default=[], metavar="P", help=f"keep what P {meaning}"
        )
    group.add_argument(
        "--passes",
        action="append",
        dest="rules",
        type=_passes_argument,
        metavar="P=LOW..HIGH",
        help="keep what P gets right in this number of tries",
    )
    group.add_argument(
        "--k", type=positive_number_argument, default=3, metavar="K", help="tries per task and arm (%(default)s)"
    )


def _add_form(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("form of the tasks", "others are neither played nor kept")
    group.add_argument("--kind", action="append", default=[], choices=get_args(TaskKind), help="kind, repeatable (all)")
    for name, which in (("--min-side", "shortest"), ("--max-side", "longest")):
        text = f"{which} side of a picture in pixels (any)"
        group.add_argument(name, type=whole_number_argument, default=0, metavar="PX", help=text)


def _rule_argument(word: str, text: str) -> AskedRule:
    return AskedRule(text, word)


def _passes_argument(text: str) -> AskedRule:
    """Parses "P=LOW..HIGH", where the spec of the policy may contain "=" as well."""
    arm, _, band = text.rpartition("=")
    try:
        low, high = range_argument(band)
    except argparse.ArgumentTypeError:
        arm = ""
    if not arm:
        raise argparse.ArgumentTypeError(f"expected P=LOW..HIGH, a policy and a number of correct tries, got {text!r}")
    return AskedRule(arm, "", low, high)


def _select(args: argparse.Namespace) -> int:
    from o3gym.synthesis.selecting import SELECTED_FILE, select

    bench, selection = _bench_of(args), _selection_of(args)
    if args.dry_run:
        _show_price(bench, selection)
        return 0
    with named_progress() as progress:
        report = select(bench, selection, args.out, progress, args.in_flight)
    _show(report)
    say(f"{report.outcomes['kept']} tasks kept: {args.out / SELECTED_FILE}")
    for folder in () if args.no_view else report.runs.values():
        write_run_page(args.out / folder, embed=False)
    # As for a benchmark, an arm with nothing but failures is a failure of the command.
    return int(report.has_failed_arm)


def _selection_of(args: argparse.Namespace) -> Selection:
    from o3gym.synthesis.selection_rules import ArmRule, Selection, TaskForm

    bands = {"wrong": (0, 0), "right": (args.k, args.k), "mixed": (1, args.k - 1)}
    if args.k == 1 and any(rule.words == "mixed" for rule in args.rules):
        raise ValueError("--mixed: expected --k 2 or more, because one try cannot be right and wrong")
    rules = tuple(ArmRule(rule.arm, *bands.get(rule.words, (rule.low, rule.high))) for rule in args.rules)
    return Selection(rules, args.k, TaskForm(tuple(args.kind), args.min_side, args.max_side))


def _bench_of(args: argparse.Namespace) -> Bench:
    from o3gym.bench.definition import Bench
    from o3gym.sampling import Sampling

    return Bench(
        suite=args.suite,
        split=args.split,
        dialect=args.dialect,
        episodes=args.episodes,
        turns=() if args.turns is None else (args.turns,),
        env=dict(args.env),
        force_answer=args.force_answer,
        seed=args.seed,
        judge=args.judge,
        base_url=args.base_url,
        sampling=Sampling(temperature=args.temperature, max_tokens=args.max_tokens),
    )


def _show_price(bench: Bench, selection: Selection) -> None:
    from o3gym.synthesis.selecting import arm_benches, draw_tasks
    from o3gym.synthesis.traces.pricing import Price, price

    drawn = draw_tasks(bench, selection)
    prices = [price(arm) for arm in arm_benches(bench, selection, drawn).values()]
    eligible = sum(not each.flaw for each in drawn)
    say(f"{len(drawn)} tasks drawn, {eligible} to play with {len(selection.rules)} arms, {selection.k} tries each")
    for name, number in (("expected", 0), ("at most", 1)):
        say(f"{name}:")
        for line in sum((each[number] for each in prices), Price()).lines():
            say(f"  {line}")


def _show(report: SelectionReport) -> None:
    """Prints the patterns, and what was left out."""
    table = Table("", *report.runs, "tasks") if report.runs else Table("", "tasks")
    for (words, outcome), count in report.patterns.most_common():
        table.add_row(outcome, *words, str(count))
    out.print(table)
    for flaw, count in report.form.most_common():
        say(f"{count} tasks not played: {flaw}")
    if report.skipped:
        say(f"{report.skipped} bad rows of the suite skipped")
    for arm in report.runs:
        if failed := report.failures[arm]:
            say(f"{failed} tries of {arm} failed; the same command tries them again")
        if silent := report.unanswered[arm]:
            say(f"{silent} tries of {arm} ended without an answer and count as wrong, see --force-answer")
    for outcome, (low, middle, high) in report.shares.items():
        share = f"{middle:.3%} of its picture (median; quartiles {low:.3%} and {high:.3%})"
        say(f"{outcome}: the smallest target of a task covers {share}")
