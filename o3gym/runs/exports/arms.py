"""One arm of a stored run, as all export formats read it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import sqrt
from statistics import stdev
from typing import Any

from o3gym.judges.answers import normalise
from o3gym.judges.base import references
from o3gym.judges.spans import true_spans
from o3gym.registry import closest
from o3gym.runs.metrics import ArmMetrics, EpisodeOutcome, measure, task_means
from o3gym.runs.report import planned_episodes
from o3gym.runs.store import PROTOCOL, Run
from o3gym.types import Task, Trajectory


@dataclass(frozen=True)
class ArmRun:
    """One arm of a run: its metrics, and its episodes task by task.

    Attributes:
        run: the stored run.
        label: the arm's label.
        metrics: the arm's metrics in the run's report.
        stderr: standard error of the accuracy over tasks; None for fewer than two scored tasks.
        numbers: group → number of its task: its row in the suite, or its rank among the groups if rows are unknown.
        sizes: group → number of its episodes.
        options: largest number of options of a task.
        tags: names of the tags that at least one task has.
        yes_no: whether every task is a question to be answered with yes or no.
        lines: number of stored lines read for these values; a run that is still being written may have more by now.
    """

    run: Run
    label: str
    metrics: ArmMetrics
    stderr: float | None
    numbers: Mapping[str, int]
    sizes: Mapping[str, int]
    options: int
    tags: frozenset[str]
    yes_no: bool
    lines: int

    @property
    def slug(self) -> str:
        """The label in a form that is safe as a file name."""
        return slug(self.label)

    @property
    def suite(self) -> str:
        """The suite's name in a form that is safe as a file name."""
        return slug(str(self.run.protocol.get("suite_name") or self.run.protocol.get("suite") or "run"))

    @property
    def split(self) -> str:
        """The suite's split."""
        return str(self.run.protocol.get("split", "test"))

    @property
    def created(self) -> datetime:
        """The time at which the run was started, taken from the modification time of its protocol file."""
        return datetime.fromtimestamp((self.run.path / PROTOCOL).stat().st_mtime, UTC)

    @property
    def finished(self) -> bool:
        """Whether the run has all episodes that its protocol requires."""
        return self.metrics.episodes >= (planned_episodes(self.run.protocol) or 0)

    def tasks(self) -> Iterator[list[Trajectory]]:
        """Yields each task's episodes, sorted by sample, as soon as all have been read.

        Only unfinished groups are held in memory; samples of a task are close together in a stored run.
        """
        waiting: dict[str, list[Trajectory]] = {}
        for trajectory in self.run.records(self.lines):
            if trajectory.arm == self.label:
                group = waiting.setdefault(trajectory.group, [])
                group.append(trajectory)
                if len(group) == self.sizes[trajectory.group]:
                    yield sorted(waiting.pop(trajectory.group), key=lambda t: t.sample)


@dataclass
class _Tally:
    """The values of an arm gathered in one pass over the stored episodes."""

    outcomes: list[EpisodeOutcome] = field(default_factory=list)
    rows: dict[str, int | None] = field(default_factory=dict)
    options: int = 0
    tags: set[str] = field(default_factory=set)
    yes_no: bool = True

    def add(self, trajectory: Trajectory) -> None:
        row = trajectory.task.origin.get("index")
        self.outcomes.append(EpisodeOutcome.of(trajectory))
        self.rows[trajectory.group] = row if isinstance(row, int) else None
        self.options = max(self.options, len(trajectory.task.choices))
        self.tags |= {name for name, value in trajectory.task.tags.items() if value}
        truths = set(map(normalise, references(trajectory.task)))
        self.yes_no = self.yes_no and trajectory.task.kind == "free" and len(truths) == 1 and truths <= {"yes", "no"}

    def numbers(self) -> dict[str, int]:
        rows = {group: row for group, row in self.rows.items() if row is not None}
        known = len(set(rows.values())) == len(self.rows)
        return rows if known else {group: place for place, group in enumerate(sorted(self.rows))}


def read_arms(run: Run, label: str = "") -> list[ArmRun]:
    """Reads the arms of a run, sorted by label, or only the arm with the given `label`.

    Raises:
        ValueError: the run has no episodes, or no such arm; the message suggests the closest label.
    """
    tallies: dict[str, _Tally] = {}
    lines = run.line_count()
    for trajectory in run.records(lines):
        tallies.setdefault(trajectory.arm, _Tally()).add(trajectory)
    if not tallies:
        raise ValueError(f"{run.path} has no episodes yet")
    if label and label not in tallies:
        known = ", ".join(sorted(tallies))
        raise ValueError(f'{run.path}: no arm "{label}"{closest(label, tallies)} (it has: {known})')
    return [_arm(run, name, tallies[name], lines) for name in sorted(tallies) if label in ("", name)]


def _arm(run: Run, label: str, tally: _Tally, lines: int) -> ArmRun:
    episodes = sorted(tally.outcomes, key=lambda o: (o.group, o.sample))
    means = list(task_means(episodes).values())
    return ArmRun(
        run=run,
        label=label,
        metrics=measure(label, episodes),
        stderr=stdev(means) / sqrt(len(means)) if len(means) > 1 else None,
        numbers=tally.numbers(),
        sizes=Counter(o.group for o in episodes),
        options=tally.options,
        tags=frozenset(tally.tags),
        yes_no=tally.yes_no,
        lines=lines,
    )


def slug(text: str) -> str:
    """`text` as a safe file name: all but ASCII letters, digits and `. _ = + -` becomes `_`, without leading dots."""
    return re.sub(r"[^A-Za-z0-9._=+-]+", "_", text).lstrip(".") or "_"


def dumps(value: Any, indent: int | None = None) -> str:
    """`value` as JSON with unescaped Unicode; lone surrogates, which strict readers refuse, become literal escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\\\u{ord(found[0]):x}", text)


def hit(trajectory: Trajectory) -> int | None:
    """1 for a correct answer, 0 for a wrong one, None if there is no verdict."""
    return None if trajectory.right is None else int(trajectory.right)


def truth_texts(task: Task) -> list[str]:
    """The accepted answers: a letter, one or several texts, or as JSON the boxes or intervals that are searched for."""
    if task.kind == "box":
        return [json.dumps([list(target.box) for target in task.targets])]
    if task.kind == "span":
        return [json.dumps([list(span) for span in true_spans(task)])]
    return list(references(task)) or [""]


def truth_text(task: Task) -> str:
    """`truth_texts` as one text: a JSON list if there are several."""
    texts = truth_texts(task)
    return texts[0] if len(texts) == 1 else json.dumps(texts)
