"""Runs experiments that consist of cells: resumable trainings, each run once, with its result kept in a JSON file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch


def run_cells(
    doc: str | None,
    cells: Sequence[Any],
    default: Sequence[Any],
    result: Callable[[Any, argparse.Namespace], dict[str, Any]],
    show: Callable[[Mapping[str, Any], Path], None],
    *,
    steps: int,
    episodes: int,
    folder: str,
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """Reads the command line, runs the cells that it names, and shows the results of all cells run so far.

    Args:
        doc: docstring of the script.
        cells: all cells, each with a `name`.
        default: the cells that run if none is named.
        result: runs a cell with the parsed arguments and returns its result.
        show: prints and draws the results; the figure lies beside their file.
        steps: default of `--steps`.
        episodes: default of `--episodes`.
        folder: default output folder, in `runs`.
        options: adds further options of the script.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {cell.name: cell for cell in cells}
    out = Path("runs") / folder
    parser.add_argument("--cells", nargs="+", choices=[*known, "all"], default=[cell.name for cell in default])
    parser.add_argument("--steps", type=int, default=steps, help="steps of reinforcement per cell")
    parser.add_argument("--episodes", type=int, default=episodes, help="episodes per evaluation")
    parser.add_argument("--threads", type=int, default=2, help="torch's number of threads")
    parser.add_argument("--out", type=Path, default=out, help="folder of the models and runs")
    parser.add_argument(
        "--results", type=Path, default=out / "results.json", help="file of the results; the figure is saved beside it"
    )
    options(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = json.loads(args.results.read_text("utf-8")) if args.results.is_file() else {}
    named = known if "all" in args.cells else args.cells
    missing = [name for name in known if name in named and name not in results]
    for name, found in results.items():
        if missing and found["episodes"] != args.episodes:
            parser.error(
                f"--episodes {args.episodes}: {name} in {args.results} has {found['episodes']}, and cells are compared "
                f"task by task; expected --episodes {found['episodes']} or another --results"
            )
    for name in missing:
        results[name] = result(known[name], args)
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(results) + "\n", "utf-8")
    show(results, args.results)
