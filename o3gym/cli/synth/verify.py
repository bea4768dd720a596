"""`o3gym synth verify`: measures verifiers of traces on right chains with planted errors."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from o3gym.cli.console import named_progress, say
from o3gym.cli.values import (
    Subcommands,
    positive_number_argument,
    real_number_argument,
    seed_argument,
    whole_number_argument,
)

if TYPE_CHECKING:
    from o3gym.synthesis.asking import AskedPolicy
    from o3gym.synthesis.traces.verification import VerificationPlan, VerificationRecipe


def add_synth_verify(kinds: Subcommands) -> None:
    """Adds `verify` to the commands of `o3gym synth`."""
    about = "plant known errors into the right episodes of a run, and count how many of them verifiers find"
    parser = kinds.add_parser("verify", help=about, description=about)
    _add_chains(parser)
    _add_judge(parser)
    parser.set_defaults(run=_verify)


def _add_chains(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("chains", type=Path, metavar="RUN", help="run folder; its right episodes with at least one look are used")
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder for all results; resumed if it exists")
    add("--arm", default="", help="arm of the run, if it has several")
    add("--count", type=whole_number_argument, default=0, metavar="N", help="right episodes, 0 for all (%(default)s)")
    add("--kind", action="append", default=[], metavar="K", help="kind of error; repeatable (all kinds)")
    add("--seed", type=seed_argument, default=0, help="seed of the errors and of the judge's sampling (%(default)s)")
    add("--dry-run", action="store_true", help="print the number of errors and the price of the judge, and stop")


def _add_judge(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("judge").add_argument
    add("--judge", default="", metavar="P", help="policy that is measured besides the rules, like openai:MODEL")
    add("--base-url", default="", metavar="URL", help="server of an openai:MODEL judge")
    add("--tool-rubric", type=Path, metavar="FILE", help="file that replaces the rubric for a look")
    add("--answer-rubric", type=Path, metavar="FILE", help="file that replaces the rubric for an answer")
    add(
        "--max-pixels",
        type=positive_number_argument,
        default=1_000_000,
        metavar="N",
        help="maximum pixels of a picture that the judge sees (%(default)s)",
    )
    add("--temperature", type=real_number_argument, default=0.0, help="sampling temperature (%(default)s)")
    add("--max-tokens", type=positive_number_argument, default=1024, help="tokens per reply (%(default)s)")
    add("--in-flight", type=positive_number_argument, default=16, help="requests open at the same time (%(default)s)")
    add("--retry", action="store_true", help="repeat the requests that failed before")


def _verify(args: argparse.Namespace) -> None:
    from o3gym.synthesis.traces.verification import PLANTED_RUN, plan_verification, verify_run

    recipe = _recipe(args)
    plan = plan_verification(args.chains, recipe)
    if args.dry_run:
        _say_price(plan, recipe)
        return
    with named_progress() as progress:
        report = verify_run(plan, recipe, args.out, progress, retry=args.retry)
    _say_counts(report)
    _say_table(report["table"])
    say(f"report: {args.out}/report.json   to look at: o3gym view {args.out / PLANTED_RUN}")


def _recipe(args: argparse.Namespace) -> VerificationRecipe:
    from o3gym.synthesis.asking import check_base_url
    from o3gym.synthesis.traces.judging import ANSWER_RUBRIC, TOOL_RUBRIC, read_rubric
    from o3gym.synthesis.traces.planting import PLANTED
    from o3gym.synthesis.traces.verification import VerificationRecipe

    check_base_url(args.base_url, [args.judge] if args.judge else [])
    return VerificationRecipe(
        kinds=tuple(args.kind) or tuple(PLANTED),
        count=args.count,
        arm=args.arm,
        seed=args.seed,
        judge=_judge(args) if args.judge else None,
        tool_rubric=read_rubric("tool", args.tool_rubric) if args.tool_rubric else TOOL_RUBRIC,
        answer_rubric=read_rubric("answer", args.answer_rubric) if args.answer_rubric else ANSWER_RUBRIC,
        in_flight=args.in_flight,
    )


def _judge(args: argparse.Namespace) -> AskedPolicy:
    from o3gym.sampling import Sampling
    from o3gym.synthesis.asking import AskedPolicy

    sampling = Sampling(temperature=args.temperature, max_tokens=args.max_tokens, seed=args.seed)
    return AskedPolicy(args.judge, sampling, args.max_pixels, args.in_flight, args.base_url)


def _say_price(plan: VerificationPlan, recipe: VerificationRecipe) -> None:
    from o3gym.synthesis.asking import ReplyLedger
    from o3gym.synthesis.journal import Journal
    from o3gym.synthesis.traces.verification import JUDGE_REPLIES, verification_price

    say(f"{len(plan.chains):>6} right chains")
    for kind, count in plan.counts.items():
        say(f"{count:>6} {kind}")
    with TemporaryDirectory() as folder, Journal(Path(folder) / JUDGE_REPLIES) as journal:
        prices = verification_price(plan, recipe, ReplyLedger(journal))
    for name, price in zip(("expected", "at most"), prices, strict=True):
        say(f"{name}:")
        for line in price.lines():
            say(f"  {line}")


def _say_counts(report: Mapping[str, Any]) -> None:
    say(f"{report['chains']} right chains, {sum(report['planted'].values())} with a planted error")
    for reason, count in report["left_out"].items():
        say(f"left out: {count} episodes ({reason})")
    for kind, count in report["no_place"].items():
        say(f"no place for it: {count} chains ({kind})")
    for kind, reasons in report["astray"].items():
        for reason, count in reasons.items():
            say(f"not as planned: {count} chains ({kind}: {reason})")


def _say_table(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Prints a Markdown table of the shares that are flagged, in per cent."""
    columns = list(next(iter(table.values())))
    say("\nFlagged, % [95%] of the number of chains that count:\n")
    say(f"| | {' | '.join(columns)} |")
    say(f"|---|{'---|' * len(columns)}")
    for kind, row in table.items():
        say(f"| {kind} | {' | '.join(_cell(row[name]) for name in columns)} |")
    say("")


def _cell(caught: Mapping[str, Any]) -> str:
    failed = f", {caught['failed']} failed" if caught["failed"] else ""
    if caught["share"] is None:
        return f"–{failed}"
    share, low, high = (f"{100 * caught[name]:.0f}" for name in ("share", "low", "high"))
    return f"{share} [{low}, {high}] of {caught['of']}{failed}"
