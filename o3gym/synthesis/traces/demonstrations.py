"""Makes demonstrations as Mini-o3 made its cold start: a teacher imitates a few exemplars on new tasks.

The teacher sees the exemplars as earlier dialogue and plays several episodes per task with real tools. Those that end
right, and are neither degenerate nor duplicates, become a data set.

Source: Mini-o3 (arXiv 2509.07969). Its exemplars and prompts were not released; see `o3gym.bench.exemplars` for ours.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from o3gym.append_log import write_whole
from o3gym.bench.definition import Bench
from o3gym.bench.exemplars.reading import read_exemplars
from o3gym.bench.run import BenchProgress, run
from o3gym.codec import encode
from o3gym.runs.report import Report
from o3gym.runs.store import open_run
from o3gym.synthesis.traces.diversity import Diversity, diversity
from o3gym.synthesis.traces.sieve import Sieve, sift
from o3gym.synthesis.traces.writing import DataSet
from o3gym.types import Source, Trajectory

TEACHER_RUN, DEMONSTRATION_REPORT = "run", "report.json"
"""The folder of the teacher's run, and the file of the report, in the folder of the data set."""
OWN_TASK = "the task of an exemplar"
"""The reason for which an episode on a task of an exemplar is rejected: its solution is part of the prompt."""


@dataclass
class DemonstrationReport:
    """What became of a teacher's episodes.

    Attributes:
        bench: the report of the teacher's run.
        tasks: number of tasks.
        played: number of episodes.
        kept: number of episodes in the data set.
        tasks_kept: number of tasks with an episode in the data set.
        rejected: numbers of the others by reason.
        diversity: of the episodes that are kept.
        prompt_tokens, completion_tokens: what the teacher's server stated, over all replies.
    """

    bench: Report
    tasks: int = 0
    played: int = 0
    kept: int = 0
    tasks_kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    diversity: Diversity = field(default_factory=Diversity)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; nothing in it depends on when or in how many pieces the run was played."""
        names = ("tasks", "played", "kept", "tasks_kept", "prompt_tokens", "completion_tokens")
        counts = {name: getattr(self, name) for name in names}
        return {**counts, "rejected": dict(sorted(self.rejected.items())), "diversity": self.diversity.to_json()}


def make_demonstrations(
    bench: Bench,
    sieve: Sieve,
    out: Path,
    progress: BenchProgress | None = None,
    in_flight: int = 16,
) -> DemonstrationReport:
    """Plays a teacher's episodes, sifts them and writes the data set and its report.

    The teacher's run is resumed if it exists; the data set is written anew from the whole run, in the order of tasks
    and samples, so an interrupted call and its repetition make the same data set as one call.

    Args:
        bench: the tasks, the teachers, their exemplars and the number of tries per task.
        sieve: which episodes are kept.
        out: the folder: the run in `run`, the data set (see `DataSet`) and `report.json`.
        progress: see `o3gym.bench.run.BenchProgress`.
        in_flight: maximum number of running episodes.
    """
    report = DemonstrationReport(run(bench, out / TEACHER_RUN, progress=progress, in_flight=in_flight))
    stored = open_run(out / TEACHER_RUN)
    shown = _shown_before(bench)
    episodes: list[Trajectory] = []
    for trajectory in in_task_order(stored):
        report.played += 1
        _add_usage(report, trajectory)
        if (trajectory.task.sources, trajectory.task.question) in shown:
            report.rejected[OWN_TASK] += 1
        else:
            episodes.append(trajectory)
    kept, rejected = sift(episodes, sieve)
    report.rejected += rejected
    report.tasks = len({entry[1] for entry in stored.stored()})
    report.tasks_kept = len({trajectory.group for trajectory in kept})
    made = {"command": "demonstrations", "sieve": encode(sieve)}
    report.kept = DataSet(out).write(map(without_token_ids, kept), stored.protocol, made)
    report.diversity = diversity(kept)
    write_whole(out / DEMONSTRATION_REPORT, (json.dumps(report.to_json(), indent=2) + "\n").encode())
    return report


def _shown_before(bench: Bench) -> set[tuple[tuple[Source, ...], str]]:
    """The pictures and questions of the exemplars."""
    exemplars = read_exemplars(bench.exemplars) if bench.exemplars else ()
    return {(exemplar.task.sources, exemplar.task.question) for exemplar in exemplars}


def in_task_order(episodes: Iterable[Trajectory]) -> Iterator[Trajectory]:
    """The episodes in the order of tasks and samples. A run has them in the order in which they ended."""
    return iter(sorted(episodes, key=lambda t: (t.task.origin.get("index", 0), t.group, t.sample, t.arm)))


def _add_usage(report: DemonstrationReport, trajectory: Trajectory) -> None:
    for turn in trajectory.turns:
        if turn.reply.usage is not None:
            report.prompt_tokens += turn.reply.usage.prompt_tokens
            report.completion_tokens += turn.reply.usage.completion_tokens
    for child in trajectory.children:
        _add_usage(report, child)


def without_token_ids(trajectory: Trajectory) -> Trajectory:
    """The episode without token ids: those of its prompts hold the exemplars, which are no part of a demonstration."""
    turns = (
        replace(turn, reply=replace(turn.reply, token_ids=None, logprobs=None, new_prompt_ids=None, code=()))
        for turn in trajectory.turns
    )
    return replace(trajectory, turns=tuple(turns), children=tuple(map(without_token_ids, trajectory.children)))
