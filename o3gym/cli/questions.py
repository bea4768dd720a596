"""`o3gym synth questions`: what its arguments mean, and what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from o3gym.synthesis.questions.making import QuestionRecipe, QuestionTally

out = Console()
err = Console(stderr=True)


def add_questions(kinds: Any) -> None:
    """Add the command to the parser of `o3gym synth`."""
    parser = kinds.add_parser("questions", help="questions that need several parts of a picture, for people to review")
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="where everything is kept; the same one goes on")
    add("--layouts", metavar="FILE.jsonl", help='pictures with layouts, or "synthetic?family=chart&n=20"')
    add("--captioner", metavar="P", help="policy that describes and reads each layout")
    add("--writer", metavar="P", help="policy that writes questions from that")
    add("--solver", action="append", default=[], metavar="P", help="policy that tries them without tools; repeat it")
    add("--solved", type=int, metavar="N", help="keep what at most N solvers solve (all but one)")
    add("--count", type=int, default=5, metavar="N", help="questions asked for per picture (%(default)s)")
    add("--min-layouts", type=int, default=2, metavar="N", help="skip pictures with fewer (%(default)s)")
    add("--subset", default="chart", help="chart or map, of pictures whose row does not say (%(default)s)")
    add("--with-picture", action="store_true", help="show the writer the picture, too")
    add("--caption-prompt", type=Path, metavar="FILE", help="your text in place of ours")
    add("--question-prompt", type=Path, metavar="FILE", help="your text in place of ours")
    add("--max-pixels", type=int, default=2_000_000, help="pixels of what captioner and writer see (%(default)s)")
    add("--temperature", type=float, default=0.0, help="sampling temperature of all policies (%(default)s)")
    add("--max-tokens", type=int, default=8192, help="tokens per reply (%(default)s)")
    add("--seed", type=int, default=0, help="of everything random (%(default)s)")
    add("--in-flight", type=int, default=16, help="requests open at once (%(default)s)")
    add("--retry", action="store_true", help="ask again what failed before")
    add("--reviewed", type=Path, metavar="FILE.csv", help="write the suite of what people kept, by their marks")
    parser.set_defaults(run=_questions)


def _questions(args: argparse.Namespace) -> None:
    if args.reviewed is not None:
        _finish(args)
    else:
        _make(args)


def _finish(args: argparse.Namespace) -> None:
    from o3gym.synthesis.questions.making import finish_questions

    tally = finish_questions(args.out, args.reviewed, args.seed)
    _say(f"{tally.kept} questions kept of {tally.proposed} candidates")
    _reasons(tally)
    _say(f"suite: o3-bench:{args.out}")


def _make(args: argparse.Namespace) -> None:
    from o3gym.synthesis.questions.making import CANDIDATES, PAGE_FILE, TABLE, make_questions
    from o3gym.synthesis.questions.sheets import open_sheets

    for name in ("layouts", "captioner", "writer"):
        if not getattr(args, name):
            raise ValueError(f"--{name}: expected one (only with --reviewed none is needed)")
    recipe = _recipe(args)
    sheets = open_sheets(args.layouts, args.out, args.subset)
    with Progress(console=err) as bars:
        shown: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in shown:
                shown[stage] = bars.add_task(stage)
            bars.update(shown[stage], completed=done, total=total)

        tally = make_questions(sheets, recipe, args.out, progress, retry=args.retry)
    _say(f"{tally.kept} questions kept of {tally.proposed} proposed about {tally.pictures} pictures")
    _reasons(tally)
    if tally.kept:
        _say(f"to review: {args.out / PAGE_FILE}, marks go into {args.out / TABLE}")
        _say(f"suite before the review: o3-bench:{args.out / CANDIDATES}")


def _recipe(args: argparse.Namespace) -> QuestionRecipe:
    from o3gym.synthesis.questions.asking import LEAST_PIXELS, AskedPolicy
    from o3gym.synthesis.questions.making import QuestionRecipe
    from o3gym.synthesis.questions.prompts import CAPTION, QUESTIONS, read_prompt
    from o3gym.types import Sampling

    for name, least in (("max_pixels", LEAST_PIXELS), ("max_tokens", 1), ("in_flight", 1)):
        if getattr(args, name) < least:
            raise ValueError(f"--{name.replace('_', '-')}: expected {least} or more, got {getattr(args, name)}")
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
    )


def _reasons(tally: QuestionTally) -> None:
    for reason, count in (+tally.rejected).most_common():
        _say(f"rejected questions: {count} ({reason})")
    for reason, count in (+tally.skipped).most_common():
        _say(f"skipped: {count} {reason}")
    if tally.error:
        _say(f"the first error: {tally.error}; with --retry what failed is asked again")


def _say(text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)
