"""The command group `o3gym train`: what its arguments mean, and what it prints."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from o3gym.train.recipe import TrainingRecipe

FORMATS = ("mini_o3", "sharegpt")
out = Console()
err = Console(stderr=True)


def add_train(commands: Any) -> None:
    """Add `train_sft` and its commands to the parser of the command line."""
    group = commands.add_parser("train", help="train a model: on demonstrations, or by reinforcement")
    kinds = group.add_subparsers(required=True, metavar="KIND")
    sft = "mini_o3, simple_o3, pixel_reasoner, tiny"
    _add_training(kinds, "sft", "imitate demonstrations, by a recipe", sft, _sft)
    grpo = "mini_o3, insight_o3, deepeyes, pixel_reasoner, thyme, tiny"
    _add_training(kinds, "grpo", "reinforce what was rewarded, by a recipe", grpo, _grpo)
    _add_export(kinds)


def _add_training(kinds: Any, kind: str, about: str, recipes: str, run: Callable[[argparse.Namespace], None]) -> None:
    """Add a command that runs a recipe."""
    parser = kinds.add_parser(kind, help=about)
    parser.add_argument("recipe", help=f"name ({recipes}) or a .toml file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe; repeatable")
    parser.add_argument(
        "--out", type=Path, help=f"folder of the model; a stopped training goes on (runs/{kind}-NAME-TIME)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the resolved recipe and what it amounts to")
    parser.set_defaults(run=run, kind=kind)


def _add_export(kinds: Any) -> None:
    parser = kinds.add_parser(
        "export", help="write the correct episodes of a run as demonstrations in a released format"
    )
    parser.add_argument("folder", metavar="RUN", help="run folder")
    parser.add_argument(
        "--format", required=True, choices=FORMATS, help="mini_o3: parquet; sharegpt: JSON and pictures"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.set_defaults(run=_export)


def _sft(args: argparse.Namespace) -> None:
    from o3gym.train.recipe import load_recipe
    from o3gym.train.sft.run import sft_arithmetic, train_sft

    recipe = load_recipe(args.recipe, args.set)
    if args.dry_run:
        _print(recipe, sft_arithmetic(recipe))
        return
    folder = _folder(args)
    with Progress(*COLUMNS, console=err) as progress:
        bars: dict[int, Any] = {}

        def update(stage: int, step: int, steps: int, logs: Mapping[str, float]) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(f"stage {stage}", total=steps, logs="")
            progress.update(bars[stage], completed=step)
            if "loss" in logs:
                progress.update(bars[stage], logs=_short(logs))
                _told(f"stage {stage}  {step}/{steps}  {_short(logs)}")

        train_sft(recipe, folder, update)
    out.print(f"model: {folder}", highlight=False, soft_wrap=True)


def _grpo(args: argparse.Namespace) -> None:
    from o3gym.train.grpo.recipe import load_grpo
    from o3gym.train.grpo.run import grpo_arithmetic, train_grpo

    recipe = load_grpo(args.recipe, args.set)
    if args.dry_run:
        _print(recipe, grpo_arithmetic(recipe))
        return
    folder = _folder(args)
    with Progress(*COLUMNS, console=err) as progress:
        bar = progress.add_task("steps", total=recipe.steps, logs="")
        shown: dict[str, float] = {}

        def update(step: int, steps: int, logs: Mapping[str, float]) -> None:
            shown.update(logs)
            progress.update(bar, completed=step, logs=_rollout(shown))
            if "reward" in logs:
                _told(f"{step}/{steps}  {_rollout(shown)}")

        try:
            train_grpo(recipe, folder, update)
        except KeyboardInterrupt:
            err.print(f"stopped and saved; go on with --out {folder}", highlight=False, soft_wrap=True)
            raise
    out.print(f"model: {folder}", highlight=False, soft_wrap=True)


def _told(line: str) -> None:
    """Print it where no bar can be drawn: standard error is a file or a pipe."""
    if not err.is_terminal:
        err.print(line, highlight=False, soft_wrap=True)


def _print(recipe: TrainingRecipe, arithmetic: Any) -> None:
    from o3gym.train.recipe import as_json

    out.print_json(json.dumps({"recipe": as_json(recipe), "arithmetic": arithmetic}))


def _folder(args: argparse.Namespace) -> Path:
    named: Path | None = args.out
    return named or Path("runs") / f"{args.kind}-{Path(args.recipe).stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def _rollout(logs: Mapping[str, float]) -> str:
    """The last values of what a rollout and its updates are watched by."""
    names = {"reward": "reward", "turns": "turns", "over_turn": "over", "valid_calls": "valid", "kl": "kl"}
    names |= {"entropy": "entropy", "tokens_per_second": "tokens/s"}
    names |= {f"seconds/{phase}": f"s {phase}" for phase in ("rollout", "logprobs", "update")}
    return "  ".join(f"{short} {logs[name]:.3g}" for name, short in names.items() if name in logs)


COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.fields[logs]}"),
)


def _short(logs: Mapping[str, float]) -> str:
    return f"loss {logs['loss']:.4f}  token accuracy {logs.get('mean_token_accuracy', float('nan')):.3f}"


def _export(args: argparse.Namespace) -> None:
    from o3gym.train.data.sources import RunSource

    source = RunSource(args.folder)
    if args.format == "mini_o3":
        pass
    else:
        from o3gym.train.data.sharegpt import export_sharegpt
    rows = export_sharegpt(source, args.out)
    left = f", {source.rejected} that are not correct left out" if source.rejected else ""
    out.print(f"{rows} demonstrations: {args.out}{left}", highlight=False, soft_wrap=True)
