"""The difficulty check of questions: solvers try them at first sight, without tools."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from o3gym.bench.definition import Bench
from o3gym.codec import encode
from o3gym.synthesis.files import write_rows
from o3gym.synthesis.questions.rows import QuestionRow
from o3gym.synthesis.selecting import play_tries
from o3gym.synthesis.selection_rules import Tries

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (name of the stage, items done, items in total)."""


def unsolved(
    rows: list[QuestionRow],
    solvers: Mapping[str, Bench],
    most: int,
    out: Path,
    in_flight: int,
    progress: StageProgress,
) -> tuple[list[QuestionRow], Counter[str]]:
    """Runs all solvers on all questions and keeps the difficult ones.

    Args:
        rows: the questions.
        solvers: the benchmark of each solver, without the questions.
        most: a question is kept if at most this many solvers solve it. A solver without a verdict may have solved it.
        out: folder for the questions and the runs.
        in_flight: maximum number of running episodes.
        progress: called with the solver as the stage.

    Returns:
        The questions that are kept, and the number of the others by reason.
    """
    rejected: Counter[str] = Counter()
    if not rows or not solvers:
        return rows, rejected
    file = out / f"proposed-{_digest(rows)}.jsonl"
    write_rows(file, rows)
    tries = [_tries(solver, bench, file, in_flight, progress) for solver, bench in solvers.items()]
    kept = []
    for number, row in enumerate(rows):
        passes = sum(one[number].right for one in tries)
        failed = sum(one[number].failed for one in tries)
        if passes + failed <= most:
            kept.append(row)
        else:
            why = "solved by too many" if passes > most else "a solver failed, so it may be solved by too many"
            rejected[why] += 1
    return kept, rejected


def _tries(solver: str, bench: Bench, file: Path, in_flight: int, progress: StageProgress) -> list[Tries]:
    """Plays all questions of the file with one solver, and returns its tries at each of them.

    Each solver has a run of its own, so that a further solver makes no other repeat its episodes. A run belongs to
    exactly these questions and settings; its name has their hash.
    """
    bench = replace(bench, suite="o3-bench", suite_args={"data": str(file)})
    folder = file.with_name(f"solved-{_digest([file.name, solver, encode(bench)])}.run")
    return list(play_tries(bench, folder, progress, in_flight).values())


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
