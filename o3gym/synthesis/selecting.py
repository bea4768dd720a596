"""Plays tasks with the arms of a selection, and writes which of them are kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from o3gym.append_log import write_whole
from o3gym.bench.definition import Bench, TaskDraw
from o3gym.bench.run import BenchProgress, run
from o3gym.codec import encode
from o3gym.policies.base import split_control
from o3gym.runs.store import open_run
from o3gym.suites.base import SelectedTasks
from o3gym.synthesis.asking import asks_server, check_base_url
from o3gym.synthesis.files import write_rows
from o3gym.synthesis.selection_rules import Selection, TaskForm, Tries, target_share
from o3gym.types import Task, Trajectory

SELECTED_FILE, REPORT_FILE, ARM_RUNS = "selected.jsonl", "report.json", "runs"
"""The files and the folder of runs that `select` writes."""
QUARTILES = (0.25, 0.5, 0.75)


@dataclass
class SelectionReport:
    """What became of the tasks.

    Attributes:
        suite, split: the suite.
        selection: which tasks are kept.
        drawn: number of tasks drawn from the suite.
        skipped: number of bad rows that were passed over while drawing.
        form: number of tasks without the required form, by flaw. They were not played.
        outcomes: number of the other tasks that are kept, dropped and unsure. An unsure task would be kept or dropped
            depending on tries that failed.
        patterns: number of tasks for each (pattern of every arm, outcome).
        failures: number of failed tries of each arm.
        unanswered: number of wrong tries of each arm that ended without an answer.
        unlooked: number of tries of each arm in which nothing was looked at.
        shares: quartiles of the share of its picture that the smallest target of a task covers, by outcome.
        runs: run folder of each arm, relative to the folder of the selection.
    """

    suite: str
    split: str
    selection: Selection
    drawn: int = 0
    skipped: int = 0
    form: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=lambda: Counter(kept=0, dropped=0, unsure=0))
    patterns: Counter[tuple[tuple[str, ...], str]] = field(default_factory=Counter)
    failures: dict[str, int] = field(default_factory=dict)
    unanswered: dict[str, int] = field(default_factory=dict)
    unlooked: dict[str, int] = field(default_factory=dict)
    shares: dict[str, list[float]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)

    @property
    def has_failed_arm(self) -> bool:
        """Whether every try of some arm failed."""
        played = sum(self.outcomes.values()) * self.selection.k
        return played > 0 and played in self.failures.values()

    def to_json(self) -> dict[str, Any]:
        """Returns the report as JSON values; patterns become a list, the most frequent first."""
        values = {key: dict(v) if isinstance(v, dict) else v for key, v in vars(self).items()}
        values["selection"] = encode(self.selection)
        patterns = [
            {"arms": dict(zip(self.runs, words, strict=True)), "outcome": outcome, "tasks": count}
            for (words, outcome), count in self.patterns.most_common()
        ]
        return {**values, "patterns": patterns}


@dataclass(frozen=True)
class FormBench(Bench):
    """A benchmark that plays only those of its drawn tasks that have a form.

    Attributes:
        form: the form; part of the protocol if it restricts anything.
    """

    form: TaskForm = field(default=TaskForm(), metadata={"json": "if set"})

    def draw(self) -> TaskDraw:
        """The tasks that have the form, and the rows that were skipped."""
        return self._eligible

    @cached_property  # a form may need the sizes of all pictures
    def _eligible(self) -> TaskDraw:
        drawn, suite = super().draw(), self.open_suite()
        tasks = ((index, group) for index, group in drawn.tasks if not self.form.flaw(suite.task(index)))
        return replace(drawn, tasks=tuple(tasks))


@dataclass(frozen=True)
class DrawnTask:
    """A task that was drawn from a suite.

    Attributes:
        task: the task.
        index: its index in the suite; where the suite is a list (`only`), its index in the whole suite.
        flaw: why it does not have the form that is asked for, or "".
    """

    task: Task
    index: int
    flaw: str = ""

    def row(self) -> dict[str, Any]:
        """Returns the beginning of the row of the task."""
        return {"id": self.task.id, "index": self.index, "kind": self.task.kind}


def select(
    bench: Bench, selection: Selection, out: Path, progress: BenchProgress | None = None, in_flight: int = 16
) -> SelectionReport:
    """Plays the drawn tasks of a suite with each arm of a selection, and writes which of them are kept.

    In the folder, `selected.jsonl` has a row for every drawn task, in the order of the suite; the option `only` of all
    suites reads it. `report.json` has the report, and `runs` has one run folder per arm. Resumable: the same call
    continues a stopped one, and with a further arm only that arm is played.

    Args:
        bench: suite, number of tasks, seed, judge, dialect and sampling. Policies and k are those of the selection.
        selection: which tasks are kept.
        out: the folder.
        progress: see `o3gym.bench.run.BenchProgress`.
        in_flight: maximum number of running episodes.

    Raises:
        ValueError, TypeError: an argument is wrong; raised before any episode starts.
        RunError: a run folder in `out` holds a run with other settings, or is locked by another process.
    """
    drawn = draw_tasks(bench, selection)
    benches = arm_benches(bench, selection, drawn)
    for arm_bench in benches.values():  # a mistake in the last arm must show before the first one plays for hours
        arm_bench.protocol()
    report = SelectionReport(bench.suite, bench.split, selection, len(drawn), len(bench.draw().bad))
    tries: dict[str, Mapping[str, Tries]] = {}
    for arm, arm_bench in benches.items():
        report.runs[arm] = f"{ARM_RUNS}/{_folder_name(arm)}"
        tries[arm] = play_tries(arm_bench, out / report.runs[arm], progress, in_flight)
    rows = [_row(each, selection, tries) for each in drawn]
    _count(report, rows, tries)
    write_rows(out / SELECTED_FILE, rows)
    write_whole(out / REPORT_FILE, (json.dumps(report.to_json(), indent=2) + "\n").encode())
    return report


def draw_tasks(bench: Bench, selection: Selection) -> list[DrawnTask]:
    """Returns the tasks of a benchmark in the order of its suite, each with the flaw of its form."""
    suite = bench.open_suite()
    indices: Sequence[int] = suite.indices if isinstance(suite, SelectedTasks) else range(len(suite))
    places = sorted(place for place, _ in bench.draw().tasks)
    tasks: Iterator[tuple[int, Task]] = ((place, suite[place]) for place in places)
    return [DrawnTask(task, indices[place], selection.form.flaw(task)) for place, task in tasks]


def arm_benches(bench: Bench, selection: Selection, drawn: Sequence[DrawnTask]) -> dict[str, Bench]:
    """Returns the benchmark of each arm, which plays the tasks that have the form; none if no task has it."""
    arms = [rule.arm for rule in selection.rules]
    check_base_url(bench.base_url, map(_policy, arms))
    if drawn and all(each.flaw for each in drawn):
        return {}
    settings = {each.name: getattr(bench, each.name) for each in fields(bench)}
    of_form = FormBench(**{**settings, "k": selection.k, "form": selection.form})
    return {
        arm: replace(of_form, policies=(arm,), base_url=bench.base_url if asks_server(_policy(arm)) else "")
        for arm in arms
    }


def play_tries(
    bench: Bench, folder: Path, progress: BenchProgress | None = None, in_flight: int = 16
) -> dict[str, Tries]:
    """Plays a benchmark with one arm, and returns the tries of each task by its id, in the order of the suite."""
    run(bench, folder, progress=progress, in_flight=in_flight)
    played: dict[str, list[Trajectory]] = {}
    for trajectory in open_run(folder).records():
        played.setdefault(trajectory.task.id, []).append(trajectory)
    return {task: Tries.of(played.get(task, ())) for _, task in sorted(bench.draw().tasks)}


def _policy(arm: str) -> str:
    return split_control(arm)[0]


def _folder_name(arm: str) -> str:
    """The name of an arm's run folder: its spec if it is short and may be a file name, otherwise with its hash."""
    name = re.sub(r"[^\w.+-]+", "-", arm, flags=re.ASCII)[:60]
    return name if name == arm else f"{name}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"


def _row(each: DrawnTask, selection: Selection, tries: Mapping[str, Mapping[str, Tries]]) -> dict[str, Any]:
    share = target_share(each.task)
    row = {**each.row(), **({} if share is None else {"target_share": share})}
    if each.flaw:
        return {**row, "kept": False, "outcome": f"form: {each.flaw}"}
    found = {arm: by_task[each.task.id] for arm, by_task in tries.items()}
    outcome = selection.outcome(found.values())
    return {**row, "kept": outcome == "kept", "outcome": outcome, "arms": {arm: asdict(t) for arm, t in found.items()}}


def _count(
    report: SelectionReport, rows: Sequence[Mapping[str, Any]], tries: Mapping[str, Mapping[str, Tries]]
) -> None:
    """Fills in what the rows say."""
    shares: dict[str, list[float]] = {}
    for row in rows:
        outcome: str = row["outcome"]
        if "arms" not in row:
            report.form[outcome.removeprefix("form: ")] += 1
            continue
        report.outcomes[outcome] += 1
        report.patterns[tuple(by_task[row["id"]].pattern for by_task in tries.values()), outcome] += 1
        if "target_share" in row:
            shares.setdefault(outcome, []).append(row["target_share"])
    report.shares = {outcome: [float(q) for q in np.quantile(s, QUARTILES)] for outcome, s in sorted(shares.items())}
    for arm, by_task in tries.items():
        report.failures[arm] = sum(found.failed for found in by_task.values())
        report.unanswered[arm] = sum(found.unanswered for found in by_task.values())
        report.unlooked[arm] = sum(found.tries - found.looked for found in by_task.values())
