"""The command line: `o3gym list | bench | compare | export | view | check | train | synth`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from o3gym import registry
from o3gym.cli.synth import add_synth
from o3gym.cli.train import add_train
from o3gym.registry import parse_value
from o3gym.types import Sampling

if TYPE_CHECKING:
    from o3gym.runs.report import Report

KINDS = (
    *("envs", "suites", "dialects", "policies", "controls", "tools", "rewards", "judges", "size_rules", "exports"),
    "detectors",
)
out = Console()
err = Console(stderr=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, 2 for bad input, 130 when stopped by Ctrl-C."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        err.print("stopped; the same command with the same --out goes on from here", highlight=False)
        return 130
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("O3GYM_TRACEBACK"):
            raise
        err.print(f"o3gym: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="o3gym", description="Visual search as Gymnasium environments.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_list(commands)
    _add_bench(commands)
    _add_compare(commands)
    _add_export(commands)
    _add_view(commands)
    _add_check(commands)
    add_train(commands)
    add_synth(commands)
    return parser


def _add_list(commands: Any) -> None:
    parser = commands.add_parser("list", help="what there is: environments, suites, dialects, policies, …")
    for kind in KINDS:
        parser.add_argument(f"--{kind.replace('_', '-')}", action="store_true", help=f"only {kind.replace('_', ' ')}")
    parser.add_argument("--sizes", action="store_true", help="ask the hub how large the downloads of suites are")
    parser.set_defaults(run=_list)


def _add_bench(commands: Any) -> None:
    parser = commands.add_parser("bench", help="run policies on a suite and report")
    add = parser.add_argument
    add("--suite", default="synthetic", help='"synthetic", "local:FILE.jsonl", "NAME?option=value" (%(default)s)')
    add("--split", default="test", help="split of the suite (%(default)s)")
    add("--data", default="", metavar="FOLDER", help="released files of the suite; by default they are downloaded")
    add("--policy", action="append", metavar="P", help='policy, also "P+control"; repeat to compare (oracle)')
    add("--base-url", default="", metavar="URL", help="server of openai:MODEL policies, like http://127.0.0.1:8000/v1")
    add("--dialect", default="", help="wire format; by default what the policy speaks, else qwen3_vl")
    add("--prompt", default="", metavar="FILE", help="a file that replaces the dialect's system prompt")
    add("--episodes", type=_count, default=100, metavar="N", help="tasks to run, 0 for all (%(default)s)")
    add("--turns", type=_counts, default=(6,), metavar="T,T", help="turn budgets; one run, cut at each (6)")
    add("-k", type=_count, default=1, metavar="K", help="samples per task (%(default)s)")
    add("--seed", type=int, default=0, help="draws the tasks and everything random (%(default)s)")
    add("--env", type=_pair, action="append", default=[], metavar="KEY=VALUE", help="argument of the environment")
    add("--sweep", type=_sweep, default={}, metavar="K=V,V;K=V", help="one arm per combination of these arguments")
    add("--reward", default="outcome", help="recipe (%(default)s)")
    add(
        "--judge", default="", help="judge, openai:MODEL for one that asks a model; by default rules that fit each task"
    )
    add("--force-answer", action="store_true", help="allow nothing but an answer in the last turn (choice tasks)")
    add("--temperature", type=float, default=0.0, help="sampling temperature (%(default)s)")
    add("--max-tokens", type=_count, default=1024, help="tokens per reply (%(default)s)")
    add("--in-flight", type=_count, default=16, help="episodes alive at once (%(default)s)")
    add("--out", type=Path, help="run folder; an existing one is continued (runs/SUITE-TIME)")
    add(
        "--shard",
        type=_shard,
        default=(1, 1),
        metavar="I/N",
        help="only part I of N of the tasks, for several machines",
    )
    add(
        "--ray",
        nargs="?",
        const="local",
        default="",
        metavar="ADDRESS",
        help='on a Ray cluster: started here, or "auto" or HOST:PORT to join',
    )
    add("--workers", type=_count, metavar="N", help="processes on the Ray cluster (2)")
    add("--worker-gpus", type=float, metavar="G", help="GPUs of each of them, may be a fraction (0)")
    add("--merge", nargs="+", type=Path, metavar="RUN", help="run nothing: put these runs of one protocol into --out")
    add("--no-view", action="store_true", help="do not write the HTML page")
    parser.set_defaults(run=_bench)


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser("compare", help="two arms of stored runs, task by task")
    parser.add_argument("first", type=Path, help="run folder")
    parser.add_argument("second", type=Path, help="run folder; may be the same")
    parser.add_argument("--arm", default="", help="arm of the first run, where it has several")
    parser.add_argument(
        "--with", default="", dest="other", metavar="ARM", help="arm of the second run; by default the same"
    )
    parser.add_argument("--force", action="store_true", help="also where more than the policies differs")
    parser.set_defaults(run=_compare)


def _add_export(commands: Any) -> None:
    parser = commands.add_parser("export", help="write a stored run as another harness's result files")
    parser.add_argument("folder", type=Path, help="run folder")
    parser.add_argument("--to", required=True, metavar="FORMAT", help=", ".join(registry.EXPORTS))
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder to write, new or empty")
    parser.add_argument("--arm", default="", metavar="LABEL", help="only this arm; by default each in its own folder")
    parser.set_defaults(run=_export)


def _add_view(commands: Any) -> None:
    parser = commands.add_parser("view", help="write the HTML page of a run")
    parser.add_argument("folder", type=Path, help="run folder")
    parser.add_argument("--embed", action="store_true", help="put the thumbnails inside the page: one file to send")
    parser.set_defaults(run=_view)


def _add_check(commands: Any) -> None:
    parser = commands.add_parser("check", help="check this installation, or a plug-in of yours")
    parser.add_argument(
        "plugin", nargs="?", default="", help='"tool:NAME", "suite:local:FILE", "dialect:pkg.mod:Class", …'
    )
    parser.set_defaults(run=_check)


def _list(args: argparse.Namespace) -> None:
    chosen = [kind for kind in KINDS if getattr(args, kind)] or list(KINDS)
    for kind in chosen:
        table = Table(title=kind.replace("_", " "), title_justify="left", box=None, show_header=False, padding=(0, 2))
        for name, about in _rows(kind, args.sizes):
            table.add_row(Text(name), Text(about))  # Text: square brackets are not markup
        out.print(table)


def _rows(kind: str, sizes: bool) -> list[tuple[str, str]]:
    if kind == "envs":
        return [(name, _settings(kwargs)) for name, kwargs in {**registry.ENVS, **registry.RELEASED_ENVS}.items()]
    entries: registry.Registry = getattr(registry, kind.upper())
    if kind == "suites":
        said = {name: (_about(entries[name]), entries[name].about(sizes)) for name in entries}
        return [(name, " ".join(filter(None, both))) for name, both in said.items()]
    return [(name, _about(entries[name])) for name in entries if name != "noop"]


def _settings(kwargs: Any) -> str:
    settings = {**kwargs, **kwargs.get("suite_args", {})}
    return ", ".join(f"{k}={v}" for k, v in settings.items() if k != "suite_args") or "any suite"


def _about(entry: Any) -> str:
    """The first sentence of what an entry says about itself; recipes are values and carry their source instead."""
    text = getattr(entry, "source", None) or entry.__doc__ or ""
    return " ".join(str(text).split("\n\n")[0].split())


def _bench(args: argparse.Namespace) -> None:
    from o3gym.bench.run import Bench, merge_and_report, run

    if args.merge:
        if args.out is None:
            raise ValueError("--merge: name the folder that the runs are put into: --out FOLDER")
        _show_run(merge_and_report(args.merge, args.out), args.out, args.no_view)
        return
    bench = Bench(
        suite=args.suite,
        split=args.split,
        suite_args={"data": args.data} if args.data else {},
        policies=tuple(dict.fromkeys(args.policy or ["oracle"])),
        dialect=args.dialect,
        prompt_file=args.prompt,
        episodes=args.episodes,
        turns=args.turns,
        k=max(1, args.k),
        seed=args.seed,
        env=dict(args.env),
        sweep=args.sweep,
        reward=args.reward,
        judge=args.judge,
        force_answer=args.force_answer,
        sampling=Sampling(temperature=args.temperature, max_tokens=args.max_tokens),
        base_url=args.base_url,
    )
    folder = args.out or Path("runs") / f"{args.suite.split(':')[0].split('?')[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
    with _progress() as progress:
        bars: dict[str, Any] = {}

        def update(arm: str, done: int, total: int) -> None:
            if arm not in bars:
                bars[arm] = progress.add_task(arm, total=total)
            progress.update(bars[arm], completed=done)

        place = _workers(args)
        report = run(bench, folder, in_flight=args.in_flight, progress=update, shard=args.shard, workers=place)
    _show_run(report, folder, args.no_view)


def _workers(args: argparse.Namespace) -> Any:
    """Where the episodes happen."""
    from o3gym.bench.workers import LocalWorkers

    if not args.ray:
        if args.workers is not None or args.worker_gpus is not None:
            raise ValueError("--workers, --worker-gpus: they are of a Ray cluster, add --ray")
        return LocalWorkers
    from o3gym.bench.ray import RayWorkers

    return partial(RayWorkers, address=args.ray, count=max(1, args.workers or 2), gpus=args.worker_gpus or 0.0)


def _show_run(report: Report, folder: Path, no_view: bool) -> None:
    from o3gym.runs.report import rich_table

    out.print(rich_table(report))
    out.print(f"run folder: {folder}   report: {folder / 'report.md'}", highlight=False, soft_wrap=True)
    if not no_view:
        _write_page(folder, embed=False)


def _compare(args: argparse.Namespace) -> None:
    from o3gym.runs.compare import compare

    found = compare(args.first, args.second, args.arm, args.other, args.force)
    table = Table("arm", f"accuracy % ({found.tasks} tasks)", box=None, padding=(0, 2))
    for label, mean in zip((found.first, found.second), found.means, strict=True):
        table.add_row(Text(label), f"{100 * mean:.1f}")
    out.print(table)
    change, low, high = (100 * value for value in (found.difference, found.low, found.high))
    out.print(
        f"difference {change:+.1f} points [{low:+.1f}, {high:+.1f}] (paired bootstrap); "
        f"better on {found.gained} tasks, worse on {found.lost}; {found.left_out} are in one run only",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    for line in found.differing:
        out.print(f"differs: {line}", highlight=False, markup=False, soft_wrap=True)


def _export(args: argparse.Namespace) -> None:
    from o3gym.runs.exports import export_run

    for path in export_run(args.folder, args.to, args.out, args.arm):
        out.print(str(path), highlight=False, markup=False, soft_wrap=True)


def _view(args: argparse.Namespace) -> None:
    _write_page(args.folder, embed=args.embed)


def _write_page(folder: Path, *, embed: bool) -> None:
    from o3gym.bench.run import page

    with _progress() as progress:
        bar = progress.add_task("page", total=None)
        written = page(folder, embed=embed, progress=lambda n, total: progress.update(bar, completed=n, total=total))
    out.print(f"page: {written}", highlight=False, soft_wrap=True)


def _check(args: argparse.Namespace) -> int:
    from o3gym.testing import check

    failures = 0
    for name, problem in check(args.plugin):
        failures += bool(problem)
        out.print(f"[red]failed[/red]  {name}: " if problem else f"[green]ok[/green]      {name}", end="")
        out.print(problem, markup=False, highlight=False, soft_wrap=True)
    return 2 if failures else 0


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err)


def _count(text: str) -> int:
    value = int(text) if text.isdigit() else -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, got {text!r}")
    return value


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(sorted({_count(part) for part in text.split(",")}))
    if counts[0] < 1 or counts[-1] < 2:
        raise argparse.ArgumentTypeError(f"expected budgets from 1 up, the largest at least 2, got {text!r}")
    return counts


def _shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit()):
        raise argparse.ArgumentTypeError(f"expected I/N, two whole numbers, got {text!r}")
    return int(number), int(of)


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    return key.strip(), _value(key.strip(), value)


def _value(key: str, text: str) -> Any:
    """A value of an environment argument; tools are a list joined by "+"."""
    return text.strip().split("+") if key == "tools" else parse_value(text.strip())


def _sweep(text: str) -> dict[str, list[Any]]:
    swept: dict[str, list[Any]] = {}
    for part in filter(None, text.split(";")):
        key, equals, values = part.partition("=")
        if not equals or not values:
            raise argparse.ArgumentTypeError(f"expected KEY=VALUE,VALUE;…, got {part!r}")
        swept[key.strip()] = [_value(key.strip(), value) for value in values.split(",")]
    return swept


if __name__ == "__main__":
    sys.exit(main())
