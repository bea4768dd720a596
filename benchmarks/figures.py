"""Shared by the benchmarks: timing two callables alternately, and a table of figures that can be written as JSON."""

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
    """One measured number, its goal, and whether it meets the goal."""

    name: str
    value: float
    unit: str
    goal: str
    met: bool


def in_turn(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Returns the median seconds of two callables, timed as A B A B … so that a machine's drift affects both alike."""
    first(), second()  # warm-up
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for slot, call in zip(times, (first, second), strict=True):
            start = time.perf_counter()
            call()
            slot.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def show(title: str, figures: list[Figure], parser: argparse.ArgumentParser | None = None) -> None:
    """Prints the table and, with `--json FILE`, writes the figures. `parser` holds the benchmark's own options."""
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
