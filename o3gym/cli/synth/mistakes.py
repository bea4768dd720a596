"""`o3gym synth mistakes`: inserts mistakes and their corrections into the right episodes of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from o3gym.cli.console import progress_bar, say
from o3gym.cli.values import (
    Subcommands,
    positive_number_argument,
    range_argument,
    real_number_argument,
    seed_argument,
    whole_number_argument,
)

if TYPE_CHECKING:
    from o3gym.synthesis.asking import AskedPolicy
    from o3gym.synthesis.traces.mistake_drafts import MistakeRecipe
    from o3gym.synthesis.traces.mistakes import MistakeTally

KIND_NAMES = {"region": "wrong region", "size": "too large region", "time": "wrong time"}
"""The kinds of mistakes by the names that the command line uses."""
SHOWN_PIXELS = 1_000_000
"""Default of the maximum pixels of a picture that the teacher sees."""


def add_synth_mistakes(kinds: Subcommands) -> None:
    """Adds `mistakes` to the commands of `o3gym synth`."""
    about = "insert wrong looks, with the correction after them, into the right episodes of a run"
    parser = kinds.add_parser("mistakes", help=about, description=about)
    add = parser.add_argument
    add("runs", type=Path, metavar="RUN", help="run folder")
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder to write or resume")
    add("--dry-run", action="store_true", help="print counts and the price of the teacher, and write nothing")
    add("--seed", type=seed_argument, default=0, help="seed of all choices and of the teacher's sampling (%(default)s)")
    _add_mistakes(parser)
    _add_selection(parser)
    _add_teacher(parser)
    parser.set_defaults(run=_mistakes)


def _add_mistakes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("mistakes")
    add = group.add_argument
    add(
        "--mistakes",
        type=range_argument,
        default=(1, 1),
        metavar="LOW..HIGH",
        help="mistakes in an episode; 0 only selects episodes (1)",
    )
    add("--kind", action="append", choices=list(KIND_NAMES), help="kind of mistake, may be repeated (all)")
    add(
        "--place",
        choices=["last", "any"],
        default="last",
        help="before the last look, so that the last two turns are right, or before any look (%(default)s)",
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("selection of episodes")
    add = group.add_argument
    add(
        "--right",
        choices=["answer", "all-dimensions"],
        default="answer",
        help="what must be right; all-dimensions also needs each dimension of a comparison of videos (%(default)s)",
    )
    add("--min-looks", type=whole_number_argument, default=1, metavar="N", help="fewest looks (%(default)s)")
    add("--max-turns", type=whole_number_argument, default=0, metavar="N", help="most turns, 0 for any (%(default)s)")
    add("--per-task", type=whole_number_argument, default=0, metavar="N", help="most episodes of a task, 0 for any (0)")


def _add_teacher(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("teacher")
    add = group.add_argument
    add("--policy", default="", metavar="P", help="policy that writes the corrections (the words of the rules)")
    add("--prompt", type=Path, metavar="FILE", help="text that replaces the prompt to the teacher")
    add("--base-url", default="", metavar="URL", help="server of an openai:MODEL policy")
    add("--temperature", type=real_number_argument, default=1.0, help="sampling temperature (%(default)s)")
    add("--max-tokens", type=positive_number_argument, default=1024, help="tokens per reply (%(default)s)")
    add(
        "--max-pixels",
        type=positive_number_argument,
        default=SHOWN_PIXELS,
        metavar="N",
        help="maximum pixels of the picture that the teacher sees (%(default)s)",
    )
    add("--in-flight", type=positive_number_argument, default=16, help="requests open at the same time (%(default)s)")


def _mistakes(args: argparse.Namespace) -> None:
    recipe = _recipe(args)
    if args.dry_run:
        _say_price(args.runs, recipe, args.out)
        return
    tally = _made(args, recipe)
    _say_tally(tally)
    if tally.kept:
        say(f"run: {args.out / 'kept'}")


def _made(args: argparse.Namespace, recipe: MistakeRecipe) -> MistakeTally:
    from o3gym.synthesis.traces.mistakes import make_mistakes

    if recipe.teacher is None:
        return make_mistakes(args.runs, recipe, args.out)
    with progress_bar() as bars:
        task = bars.add_task("corrections", total=None)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        return make_mistakes(args.runs, recipe, args.out, update)


def _recipe(args: argparse.Namespace) -> MistakeRecipe:
    from o3gym.synthesis.traces.mistake_drafts import MistakeRecipe
    from o3gym.synthesis.traces.sieve import Sieve
    from o3gym.synthesis.traces.teacher_words import CORRECTION_PROMPT, check_prompt

    prompt = check_prompt(args.prompt.read_text("utf-8"), str(args.prompt)) if args.prompt else CORRECTION_PROMPT
    named = args.kind or list(KIND_NAMES)
    return MistakeRecipe(
        low=args.mistakes[0],
        high=args.mistakes[1],
        kinds=tuple(kind for name, kind in KIND_NAMES.items() if name in named),
        place=args.place,
        seed=args.seed,
        sieve=Sieve(args.min_looks, args.max_turns, per_task=args.per_task, right=args.right),
        teacher=_teacher(args),
        prompt=prompt,
    )


def _teacher(args: argparse.Namespace) -> AskedPolicy | None:
    from o3gym.sampling import Sampling
    from o3gym.synthesis.asking import AskedPolicy, check_base_url

    check_base_url(args.base_url, [args.policy] if args.policy else [])
    if not args.policy:
        return None
    sampling = Sampling(temperature=args.temperature, max_tokens=args.max_tokens, seed=args.seed)
    return AskedPolicy(args.policy, sampling, args.max_pixels, args.in_flight, args.base_url)


def _say_price(folder: Path, recipe: MistakeRecipe, out: Path) -> None:
    from o3gym.synthesis.traces.mistakes import price_mistakes

    tally, expected, most = price_mistakes(folder, recipe, out)
    _say_tally(tally)
    if recipe.teacher is None:
        say("no policy is asked")
        return
    for name, price in (("expected", expected), ("at most", most)):
        say(f"{name}:")
        for line in price.lines():
            say(f"  {line}")


def _say_tally(tally: MistakeTally) -> None:
    say(f"{tally.played} episodes, {tally.kept} kept")
    for what, counts in (("mistakes", tally.mistakes), ("rejected", tally.rejected), ("unusable", tally.unusable)):
        for reason, count in counts.most_common():
            say(f"{what}: {count} ({reason})")
