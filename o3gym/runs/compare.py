"""Two stored runs, task by task: by how much one is better, and whether they may be compared at all.

Accuracies of two runs on the same tasks are not independent: most tasks are easy or hard for both. So the difference is
taken per task, and its interval is of those differences. And a difference says something about two policies only where
everything else was the same, which the protocols tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from o3gym.registry import closest
from o3gym.runs.metrics import EpisodeOutcome, bootstrap_interval, by_arm, episode_outcomes, task_means
from o3gym.runs.store import Run, differences, open_run

OF_POLICY = ("policies", "arms", "dialect", "prompt_file", "prompt_sha256", "packages", "base_url", "sweep")
"""Keys of a protocol that belong to what is compared, or to the machine."""
OF_ARM = ("control", "tools", "size_rule")
"""Arguments of the environment that belong to a policy: a control, and what its wire format can express."""
WHERE = ("data",)
"""Options of a suite that say where its files are, which changes nothing."""


class Incomparable(ValueError):  # noqa: N818 - the name says it
    """Two runs differ in more than their policies; the message names in what."""


@dataclass(frozen=True)
class Comparison:
    """The second run's arm against the first one's, on the tasks that both have scored.

    Attributes:
        first, second: labels of the arms.
        tasks: how many both have scored.
        left_out: how many only one of them has.
        means: accuracy of each on these tasks, 0..1.
        difference: second minus first, and `low`, `high`: its 95% interval (paired bootstrap over tasks); it has no
            width where the difference is the same on every task.
        gained, lost: tasks that the second solves more often, and less often.
        differing: in what else the runs differ, as "key: here, there".
    """

    first: str
    second: str
    tasks: int
    left_out: int
    means: tuple[float, float]
    difference: float
    low: float
    high: float
    gained: int
    lost: int
    differing: tuple[str, ...] = ()


def compare(first: str | Path, second: str | Path, arm: str = "", other: str = "", force: bool = False) -> Comparison:
    """Compare an arm of one run with an arm of another (or of the same).

    Args:
        first: run folder.
        second: run folder; may be the same.
        arm: label of the first run's arm; may be left out where it has only one.
        other: label of the second's; also where it is called the same.
        force: compare runs that differ in more than their policies; what differs is in the result.

    Raises:
        RunError: a folder is no run.
        Incomparable: they differ, or have no scored task in common.
        ValueError: no such arm.
    """
    runs = (open_run(first), open_run(second))
    parts = [by_arm(episode_outcomes(run.records())) for run in runs]
    mine = _label(runs[0], parts[0], arm)
    theirs = _label(runs[1], parts[1], other or (arm if arm in parts[1] else ""))
    found = differences(_comparable(runs[0], mine), _comparable(runs[1], theirs))
    differing = tuple(f"{path}: {here}, {there}" for path, here, there in found)
    if differing and not force:
        raise Incomparable(f"these runs differ in more than their policies: {'; '.join(differing)} (--force compares)")
    return _paired((mine, theirs), task_means(parts[0][mine]), task_means(parts[1][theirs]), differing)


def _comparable(run: Run, label: str) -> dict[str, Any]:
    """What must be the same: the protocol without the policy, and the arm's environment without what is its own."""
    protocol = {key: value for key, value in run.protocol.items() if key not in OF_POLICY}
    env = {key: value for key, value in run.protocol.get("arms", {}).get(label, {}).items() if key not in OF_ARM}
    for place in (protocol, env):
        place["suite_args"] = {k: v for k, v in place.get("suite_args", {}).items() if k not in WHERE}
    return {**protocol, "env": env}


def _label(run: Run, arms: Mapping[str, Sequence[EpisodeOutcome]], label: str) -> str:
    known = ", ".join(arms)
    if not label and len(arms) == 1:
        return next(iter(arms))
    if label not in arms:
        asked = f'no arm "{label}"{closest(label, arms)}' if label else "several arms, name one"
        raise ValueError(f"{run.path}: {asked} (it has: {known})")
    return label


def _paired(
    labels: tuple[str, str], first: Mapping[str, float], second: Mapping[str, float], differing: tuple[str, ...]
) -> Comparison:
    common = sorted(first.keys() & second.keys())
    if not common:
        raise Incomparable("the two have no scored task in common")
    gaps = [second[task] - first[task] for task in common]
    low, high = bootstrap_interval(gaps)
    return Comparison(
        first=labels[0],
        second=labels[1],
        tasks=len(common),
        left_out=len(first.keys() ^ second.keys()),
        means=(fmean(first[task] for task in common), fmean(second[task] for task in common)),
        difference=fmean(gaps),
        low=low,
        high=high,
        gained=sum(gap > 0 for gap in gaps),
        lost=sum(gap < 0 for gap in gaps),
        differing=differing,
    )
