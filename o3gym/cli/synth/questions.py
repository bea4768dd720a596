"""`o3gym synth questions`: generates questions for human review, and writes the suite of the accepted ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from o3gym.cli.console import named_progress, say
from o3gym.cli.values import (
    Subcommands,
    positive_number_argument,
    real_number_argument,
    seed_argument,
    whole_number_argument,
)

if TYPE_CHECKING:
    from o3gym.synthesis.questions.making import QuestionRecipe, QuestionTally


def add_synth_questions(kinds: Subcommands) -> None:
    """Adds `questions` to the commands of `o3gym synth`."""
    parser = kinds.add_parser("questions", help="make questions about several parts of a picture, for human review")
    _add_policies(parser)
    _add_questions(parser)
    _add_requests(parser)
    parser.set_defaults(run=_questions)


def _add_policies(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder for all results; resumed if it exists")
    add("--layouts", metavar="FILE.jsonl", help='pictures with layouts, or "synthetic?family=chart&n=20"')
    add("--captioner", metavar="P", help="policy that describes and transcribes each layout")
    add("--writer", metavar="P", help="policy that writes questions from the captions")
    add(
        "--solver",
        action="append",
        default=[],
        metavar="P",
        help="policy that tries questions without tools; repeatable",
    )
    add("--base-url", default="", metavar="URL", help="server of openai:MODEL policies, like http://127.0.0.1:8000/v1")
    add("--judge", default="", metavar="SPEC", help="judge of the solvers' answers (by default rules, as in bench)")


def _add_questions(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--solved",
        type=whole_number_argument,
        metavar="N",
        help="keep questions that at most N solvers solve (all but one)",
    )
    add(
        "--count",
        type=positive_number_argument,
        default=5,
        metavar="N",
        help="questions requested per picture (%(default)s)",
    )
    add(
        "--min-layouts",
        type=positive_number_argument,
        default=2,
        metavar="N",
        help="skip pictures with fewer layouts (%(default)s)",
    )
    add("--subset", default="chart", help="chart or map, for pictures whose row does not say (%(default)s)")
    add("--with-picture", action="store_true", help="show the writer the picture as well")
    add("--caption-prompt", type=Path, metavar="FILE", help="file with a prompt that replaces the captioner's")
    add("--question-prompt", type=Path, metavar="FILE", help="file with a prompt that replaces the writer's")


def _add_requests(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--max-pixels",
        type=positive_number_argument,
        default=2_000_000,
        help="pixels shown to captioner and writer (%(default)s)",
    )
    add(
        "--temperature",
        type=real_number_argument,
        default=0.0,
        help="sampling temperature of all policies (%(default)s)",
    )
    add("--max-tokens", type=positive_number_argument, default=8192, help="tokens per reply (%(default)s)")
    add("--seed", type=seed_argument, default=0, help="seed of all sampling and shuffling (%(default)s)")
    add("--in-flight", type=positive_number_argument, default=16, help="requests open at the same time (%(default)s)")
    add("--retry", action="store_true", help="repeat the requests that failed before")
    add("--reviewed", type=Path, metavar="FILE.csv", help="write the suite of the questions that this review keeps")


def _questions(args: argparse.Namespace) -> None:
    if args.reviewed is not None:
        _finish(args)
    else:
        _make(args)


def _finish(args: argparse.Namespace) -> None:
    from o3gym.synthesis.questions.making import finish_questions

    tally = finish_questions(args.out, args.reviewed, args.seed)
    say(f"{tally.kept} questions kept of {tally.proposed} candidates")
    _say_reasons(tally)
    say(f"suite: o3-bench:{args.out}")


def _make(args: argparse.Namespace) -> None:
    from o3gym.synthesis.questions.making import CANDIDATES, PAGE_FILE, TABLE, make_questions
    from o3gym.synthesis.questions.sheets import open_sheets

    for name in ("layouts", "captioner", "writer"):
        if not getattr(args, name):
            raise ValueError(f"--{name}: expected one, unless --reviewed is given")
    recipe = _recipe(args)
    sheets = open_sheets(args.layouts, args.out, args.subset)
    with named_progress() as progress:
        tally = make_questions(sheets, recipe, args.out, progress, retry=args.retry)
    say(f"{tally.kept} questions kept of {tally.proposed} proposed about {tally.pictures} pictures")
    _say_reasons(tally)
    if tally.kept:
        say(f"to review: {args.out / PAGE_FILE}, marks go into {args.out / TABLE}")
        say(f"suite before the review: o3-bench:{args.out / CANDIDATES}")


def _recipe(args: argparse.Namespace) -> QuestionRecipe:
    from o3gym.sampling import Sampling
    from o3gym.synthesis.asking import LEAST_PIXELS, AskedPolicy
    from o3gym.synthesis.questions.making import QuestionRecipe
    from o3gym.synthesis.questions.prompts import CAPTION, QUESTIONS, read_prompt

    if args.max_pixels < LEAST_PIXELS:
        raise ValueError(f"--max-pixels: expected {LEAST_PIXELS} or more, got {args.max_pixels}")
    sampling = Sampling(temperature=args.temperature, max_tokens=args.max_tokens, seed=args.seed)
    return QuestionRecipe(
        captioner=AskedPolicy(args.captioner, sampling, args.max_pixels, args.in_flight),
        writer=AskedPolicy(args.writer, sampling, args.max_pixels, args.in_flight),
        solvers=tuple(args.solver),
        solved=max(len(args.solver) - 1, 0) if args.solved is None else args.solved,
        count=args.count,
        layouts=args.min_layouts,
        picture=args.with_picture,
        seed=args.seed,
        caption_prompt=read_prompt("caption", args.caption_prompt) if args.caption_prompt else CAPTION,
        question_prompt=read_prompt("questions", args.question_prompt) if args.question_prompt else QUESTIONS,
        base_url=args.base_url,
        judge=args.judge,
    )


def _say_reasons(tally: QuestionTally) -> None:
    for reason, count in (+tally.rejected).most_common():
        say(f"rejected questions: {count} ({reason})")
    for reason, count in (+tally.skipped).most_common():
        say(f"skipped: {count} {reason}")
    if tally.error:
        say(f"the first error: {tally.error}; with --retry what failed is asked again")
