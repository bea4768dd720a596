"""Selection of the tasks that need a search, by pass@k of a policy without tools."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o3gym.bench.definition import Bench
from o3gym.bench.run import BenchProgress, run
from o3gym.runs.store import open_run
from o3gym.synthesis.files import write_rows
from o3gym.types import Task, Trajectory, Verdict

CONTROL = "no_tool"
"""The policy's control: it has no tools and sees only the first view."""


@dataclass(frozen=True)
class Filter:
    """Keeps tasks with `low` to `high` correct answers in `k` tries.

    InSight-o3 drops a task after any success in three tries (appendix C.1): k = 3, low = high = 0.
    """

    k: int = 3
    low: int = 0
    high: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= self.k or self.k < 1:
            raise ValueError(f"keep: expected 0 ≤ LOW ≤ HIGH ≤ k = {self.k}, got {self.low}..{self.high}")

    def row(self, task: Task, verdicts: Iterable[Verdict]) -> dict[str, Any]:
        """Builds the row of a task.

        A try without a verdict may have been right or wrong; the task is kept only if it is kept in both cases.
        """
        found = list(verdicts)
        passes = found.count("correct")
        failed = len(found) - passes - found.count("wrong")  # no verdict: the judge or the policy's server failed
        kept = self.low <= passes and passes + failed <= self.high
        row = {"id": task.id, "passes": passes, "k": self.k, "rate": passes / self.k, "kept": kept}
        return {**row, **({"failed": failed} if failed else {})}


def write_filter(
    bench: Bench, keep: Filter, out: Path, progress: BenchProgress | None = None, in_flight: int = 16
) -> int:
    """Runs a policy without tools on a suite and writes a row for each task: id, passes, k, rate, kept.

    The run is stored in a folder next to the file, `FILE.run`. Resumable: the same call continues a stopped one.

    Args:
        bench: suite, seed, sampling, and one policy under the control `CONTROL`; `k` must equal `keep.k`.
        keep: the filter.
        out: the file, one JSON object per line, in the order of the suite; `collage?only=FILE` reads it.
        progress: see `o3gym.bench.run.BenchProgress`.
        in_flight: maximum number of running episodes.

    Returns:
        The number of tasks that are kept.
    """
    folder = out.with_name(f"{out.name}.run")
    run(bench, folder, progress=progress, in_flight=in_flight)
    rows = [keep.row(task, verdicts) for task, verdicts in _verdicts(open_run(folder).records())]
    write_rows(out, rows)
    return sum(row["kept"] for row in rows)


def _verdicts(trajectories: Iterable[Trajectory]) -> list[tuple[Task, list[Verdict]]]:
    """Returns each task with its verdicts, in the order of the suite; a run has episodes in the order they ended."""
    tasks: dict[str, Task] = {}
    verdicts: dict[str, list[Verdict]] = {}
    for trajectory in trajectories:
        tasks[trajectory.task.id] = trajectory.task
        verdicts.setdefault(trajectory.task.id, []).append(trajectory.verdict)
    ordered = sorted(tasks.values(), key=lambda task: (task.origin.get("index", 0), task.id))
    return [(task, verdicts[task.id]) for task in ordered]
