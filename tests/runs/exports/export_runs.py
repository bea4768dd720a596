"""Runs to export: a real one of two scripted policies, and a small one with every verdict."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.runs.report import Report
from o3gym.types import Reply, Trajectory, Turn
from tests.runs import sample_run

BEGUN = 1_800_000_000
"""2027-01-15, 08:00 UTC: when the small run was begun."""


@cache
def benched(k: int = 2) -> tuple[Path, Report]:
    """A stored run of oracle and random on six synthetic tasks, and its report."""
    folder = Path(mkdtemp()) / "run"
    bench = Bench(
        suite="synthetic?family=hidden+attribute&difficulty=easy&pixels=200000",
        policies=("oracle", "random"),
        episodes=6,
        turns=(4,),
        k=k,
        env={"max_pixels": 60_000, "min_pixels": 1_000},
    )
    return folder, run(bench, folder)


def mixed() -> list[Trajectory]:
    """Two tasks with two samples each: one right and one wrong, one failed and one that stopped with an error."""
    broken = sample_run.episode(1, sample=1, verdict="failed", turns=1, stop="error")
    reply = Reply("", finish="error", error="no route to host")
    broken = dataclasses.replace(broken, turns=(Turn(reply, broken.turns[0].parsed),), answer="")
    return [
        sample_run.episode(0, turns=2),
        sample_run.episode(1, verdict="failed", turns=2),
        sample_run.episode(0, sample=1, verdict="wrong", turns=2),
        broken,
    ]


def small(folder: Path) -> Path:
    """The mixed episodes, stored."""
    sample_run.stored(folder, mixed())
    os.utime(folder / "run.json", (BEGUN, BEGUN))
    return folder


def table(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    """The rows of a table, read as other programs do."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a jsonl file."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
