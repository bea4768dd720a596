"""Which tasks are hard enough to be worth a search: pass@k of a policy that may not look closer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o3gym.bench.run import Bench, BenchProgress, run
from o3gym.runs.store import open_run
from o3gym.synthesis.files import write_rows
from o3gym.types import Task, Trajectory, Verdict

CONTROL = "no_tool"
"""Of the policy: the picture as it is shown at first must do."""


@dataclass(frozen=True)
class Filter:
    """Tasks are kept whose correct answers in `k` tries number from `low` to `high`.

    InSight-o3 has three tries and removes a task at any success (appendix C.1): k = 3, low = high = 0.
    """

    k: int = 3
    low: int = 0
    high: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= self.k or self.k < 1:
            raise ValueError(f"keep: expected 0 ≤ LOW ≤ HIGH ≤ k = {self.k}, got {self.low}..{self.high}")

    def row(self, task: Task, verdicts: Iterable[Verdict]) -> dict[str, Any]:
        """What the file says of a task. A try without a verdict may be either, so the task must be kept both ways."""
        found = list(verdicts)
        passes = found.count("correct")
        failed = len(found) - passes - found.count("wrong")  # the judge or the policy's server
        kept = self.low <= passes and passes + failed <= self.high
        row = {"id": task.id, "passes": passes, "k": self.k, "rate": passes / self.k, "kept": kept}
        return {**row, **({"failed": failed} if failed else {})}


def write_filter(
    bench: Bench, keep: Filter, out: Path, progress: BenchProgress | None = None, in_flight: int = 16
) -> int:
    """Run a policy without tools on a suite and write a row for each task: id, passes, k, rate, kept.

    The run is a folder beside the file, `FILE.run`; the same call goes on where it was stopped.

    Args:
        bench: suite, policy (one, without a control), seed and sampling; `k` is the filter's.
        keep: which tasks are kept.
        out: the file, one JSON object a line, in the order of the suite; `collage?only=FILE` reads it.
        progress: see `o3gym.bench.run.BenchProgress`.
        in_flight: episodes alive at once.

    Returns:
        How many tasks are kept.
    """
    folder = out.with_name(f"{out.name}.run")
    run(bench, folder, progress=progress, in_flight=in_flight)
    rows = [keep.row(task, verdicts) for task, verdicts in _tries(open_run(folder).records())]
    write_rows(out, rows)
    return sum(row["kept"] for row in rows)


def _tries(trajectories: Iterable[Trajectory]) -> list[tuple[Task, list[Verdict]]]:
    """Each task with its verdicts; by number, since a run has episodes as they ended."""
    tasks: dict[str, Task] = {}
    verdicts: dict[str, list[Verdict]] = {}
    for trajectory in trajectories:
        tasks[trajectory.task.id] = trajectory.task
        verdicts.setdefault(trajectory.task.id, []).append(trajectory.verdict)
    ordered = sorted(tasks.values(), key=lambda task: (task.origin.get("index", 0), task.id))
    return [(task, verdicts[task.id]) for task in ordered]
