"""Experiments made of cells: trainings that can be stopped, each run once, its result kept in a file of JSON."""

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
) -> None:
    """Read the command line, run the cells that it asks for, and show the results of all that have been run.

    Args:
        doc: of the script.
        cells: all of them, each with a `name`.
        default: those that are run where none are named.
        result: runs a cell, given the arguments.
        show: prints and draws results; the figure lies beside their file.
        steps: default of the argument.
        episodes: the same.
        folder: name of the one in `runs`, by default.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {cell.name: cell for cell in cells}
    out = Path("runs") / folder
    parser.add_argument("--cells", nargs="+", choices=[*known, "all"], default=[cell.name for cell in default])
    parser.add_argument("--steps", type=int, default=steps, help="of reinforcement, a cell")
    parser.add_argument("--episodes", type=int, default=episodes, help="of an evaluation")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--out", type=Path, default=out, help="folder of models and runs")
    parser.add_argument("--results", type=Path, default=out / "results.json", help="figure beside it")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = json.loads(args.results.read_text("utf-8")) if args.results.is_file() else {}
    named = known if "all" in args.cells else args.cells
    asked = [name for name in known if name in named and name not in results]
    for name, found in results.items():
        if asked and found["episodes"] != args.episodes:
            parser.error(
                f"--episodes {args.episodes}: {name} in {args.results} has {found['episodes']}, and cells are compared "
                f"task by task; expected --episodes {found['episodes']} or another --results"
            )
    for name in asked:
        results[name] = result(known[name], args)
        args.results.parent.mkdir(parents=True, exist_ok=True)
        args.results.write_text(json.dumps(results) + "\n", "utf-8")
    show(results, args.results)
