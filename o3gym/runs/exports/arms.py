"""One arm of a stored run, as the writers of all formats read it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from math import sqrt
from statistics import stdev
from typing import Any

from o3gym.judges.base import references
from o3gym.registry import closest
from o3gym.runs.metrics import ArmMetrics, EpisodeOutcome, measure, task_means
from o3gym.runs.store import PROTOCOL, Run
from o3gym.types import Task, Trajectory


@dataclass(frozen=True)
class ArmRun:
    """One arm: its numbers, and its episodes task by task.

    Attributes:
        run: the stored run that holds it.
        label: of the arm.
        metrics: what the run's report says of it.
        stderr: standard error of the accuracy over tasks; None below two scored tasks.
        numbers: number of each group's task: its row in the suite, or its place in the order of ids where rows are
            not known.
        sizes: how many episodes each group has.
        options: largest number of options of a task.
        read: how many lines of the run all this is from; a run that is still written has more by now.
    """

    run: Run
    label: str
    metrics: ArmMetrics
    stderr: float | None
    numbers: Mapping[str, int]
    sizes: Mapping[str, int]
    options: int
    read: int

    @property
    def slug(self) -> str:
        """The label as a file name."""
        return slug(self.label)

    @property
    def suite(self) -> str:
        """Name of the suite as a file name."""
        return slug(str(self.run.protocol.get("suite_name") or self.run.protocol.get("suite") or "run"))

    @property
    def split(self) -> str:
        """Split of the suite."""
        return str(self.run.protocol.get("split", "test"))

    @property
    def created(self) -> datetime:
        """When the run was begun, as far as its folder tells."""
        return datetime.fromtimestamp((self.run.path / PROTOCOL).stat().st_mtime, UTC)

    @property
    def finished(self) -> bool:
        """Whether all episodes that the protocol asks for are there."""
        items = int(self.run.protocol.get("items", 0))
        tasks = min(int(self.run.protocol.get("episodes", 0)) or items, items)
        return self.metrics.episodes >= tasks * int(self.run.protocol.get("k", 1))

    def tasks(self) -> Iterator[list[Trajectory]]:
        """Each task's episodes by sample, as soon as all are read: siblings lie close together in a run."""
        waiting: dict[str, list[Trajectory]] = {}
        for trajectory in islice(self.run.records(), self.read):
            if trajectory.arm == self.label:
                group = waiting.setdefault(trajectory.group, [])
                group.append(trajectory)
                if len(group) == self.sizes[trajectory.group]:
                    yield sorted(waiting.pop(trajectory.group), key=lambda t: t.sample)


@dataclass
class _Tally:
    """What one pass over the lines gathers of an arm."""

    outcomes: list[EpisodeOutcome] = field(default_factory=list)
    rows: dict[str, int | None] = field(default_factory=dict)
    options: int = 0

    def add(self, trajectory: Trajectory) -> None:
        row = trajectory.task.origin.get("index")
        self.outcomes.append(EpisodeOutcome.of(trajectory))
        self.rows[trajectory.group] = row if isinstance(row, int) else None
        self.options = max(self.options, len(trajectory.task.choices))

    def numbers(self) -> dict[str, int]:
        rows = {group: row for group, row in self.rows.items() if row is not None}
        known = len(set(rows.values())) == len(self.rows)
        return rows if known else {group: place for place, group in enumerate(sorted(self.rows))}


def read_arms(run: Run, label: str = "") -> list[ArmRun]:
    """The arms of a run by label, or only the one called `label`.

    Raises:
        ValueError: there are no episodes, or no such arm; the message gives the closest.
    """
    tallies: dict[str, _Tally] = {}
    read = 0
    for read, trajectory in enumerate(run.records(), 1):  # noqa: B007 - the count is wanted
        tallies.setdefault(trajectory.arm, _Tally()).add(trajectory)
    if not tallies:
        raise ValueError(f"{run.path} has no episodes yet")
    if label and label not in tallies:
        known = ", ".join(sorted(tallies))
        raise ValueError(f'{run.path}: no arm "{label}"{closest(label, tallies)} (it has: {known})')
    return [_arm(run, name, tallies[name], read) for name in sorted(tallies) if label in ("", name)]


def _arm(run: Run, label: str, tally: _Tally, read: int) -> ArmRun:
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
        read=read,
    )


def slug(text: str) -> str:
    """`text` as a file name: anything but letters, digits and `. _ = + -` becomes `_`, and no leading dot."""
    return re.sub(r"[^A-Za-z0-9._=+-]+", "_", text).lstrip(".") or "_"


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON with its text as it is; a lone surrogate, which strict readers refuse, becomes the text of its escape."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\\\u{ord(found[0]):x}", text)


def hit(trajectory: Trajectory) -> int | None:
    """1 for a right answer, 0 for a wrong one, None where there is no verdict."""
    return None if trajectory.right is None else int(trajectory.right)


def truth_texts(task: Task) -> list[str]:
    """What counts as right: a letter, one or several texts, or the boxes of a region search as JSON."""
    if task.kind == "box":
        return [json.dumps([list(target.box) for target in task.targets])]
    return list(references(task)) or [""]


def truth_text(task: Task) -> str:
    """`truth_texts` as one text: a JSON list where there are several."""
    found = truth_texts(task)
    return found[0] if len(found) == 1 else json.dumps(found)
