"""What every benchmark here shares: timing two things in turn, and a table of figures that can be written as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured number, what it should be, and whether it is."""

    name: str
    value: float
    unit: str
    goal: str
    met: bool


def in_turn(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of two callables, timed A B A B … so that a drifting machine hits both."""
    first(), second()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for slot, call in zip(times, (first, second), strict=True):
            start = time.perf_counter()
            call()
            slot.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def show(title: str, figures: list[Figure], parser: argparse.ArgumentParser | None = None) -> None:
    """Print the table; with `--json FILE` on the command line also write the figures. `parser` has further options."""
    parser = parser or argparse.ArgumentParser(description=title)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    target = parser.parse_args().json
    table = Table(title=title, title_justify="left")
    for column in ("figure", "value", "goal", "met"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:,.3g} {figure.unit}", figure.goal, "yes" if figure.met else "NO")
    Console(width=110).print(table)
    if target is not None:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        target.write_text(json.dumps({"machine": machine, "figures": [asdict(f) for f in figures]}, indent=2) + "\n")
