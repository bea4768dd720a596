"""Paired comparison of two stored runs, and the check that they are comparable.

The accuracies of two runs on the same tasks are correlated, because most tasks are easy or hard for both policies. A
paired comparison therefore takes the difference per task and computes the interval of those differences. A difference
is evidence about the policies only if everything else was the same, which the protocols show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from o3gym.registry import closest
from o3gym.runs.intervals import bootstrap_interval
from o3gym.runs.metrics import EpisodeOutcome, by_arm, episode_outcomes, task_means
from o3gym.runs.store import Run, open_run, protocol_differences

OF_POLICY = (
    *("policies", "arms", "dialect", "prompt_file", "prompt_sha256", "packages", "base_url", "sweep", "sandboxes"),
)
"""Protocol keys that may differ, because they belong to the compared policies or to the machine."""
OF_ARM = ("control", "tools", "size_rule", "time_rule", "code_rule", "on_void")
"""Environment arguments that may differ, because they belong to a policy: its control and its dialect's abilities."""
WHERE = ("data",)
"""Suite options that may differ, because they only locate the files."""


class Incomparable(ValueError):  # noqa: N818 - the name needs no suffix
    """Raised for two runs that differ in more than their policies; the message lists the differences."""


@dataclass(frozen=True)
class Comparison:
    """An arm of the second run compared with an arm of the first, on the tasks that both have scored.

    Attributes:
        first, second: labels of the arms.
        tasks: number of tasks scored in both arms.
        left_out: number of tasks that only one of the runs has played.
        failed: number of tasks that both have played, but whose episodes failed, or were never judged, in at least one.
        means: accuracy of the first and the second arm on the common tasks, 0..1.
        difference: mean over tasks of second minus first.
        low, high: 95% interval of `difference` (paired bootstrap over tasks). It has zero width if the difference is
            the same on every task.
        gained, lost: number of tasks that the second arm solves more often, and less often.
        differing: other differences between the runs, as "key: value of the first, value of the second".
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
    failed: int = 0
    differing: tuple[str, ...] = ()


def compare(first: str | Path, second: str | Path, arm: str = "", other: str = "", force: bool = False) -> Comparison:
    """Compares an arm of one run with an arm of another run, or of the same run.

    Args:
        first: folder of the first run.
        second: folder of the second run; may be the same folder.
        arm: label of the first run's arm; "" if the run has only one.
        other: label of the second run's arm; "" for `arm` if the run has it, or for its only arm.
        force: whether to compare runs that differ in more than their policies. The result lists the differences.

    Raises:
        RunError: a folder is not a run folder.
        Incomparable: the runs differ in more than their policies, have no scored task in common, or one of the arms has
            nothing but failures.
        ValueError: a run has no such arm, or has several and no label is given.
    """
    runs = (open_run(first), open_run(second))
    parts = [by_arm(episode_outcomes(run.records())) for run in runs]
    labels = (
        _label(runs[0], parts[0], arm),
        _label(runs[1], parts[1], other or (arm if arm in parts[1] else "")),
    )
    for run, arms, label in zip(runs, parts, labels, strict=True):
        if all(outcome.failed for outcome in arms[label]):
            raise Incomparable(f"{run.path}: {label} has no episode without failure")
    found = protocol_differences(_comparable(runs[0], labels[0]), _comparable(runs[1], labels[1]))
    differing = tuple(f"{path}: {value}, {other_value}" for path, value, other_value in found)
    if differing and not force:
        raise Incomparable(f"the runs differ in more than their policies: {'; '.join(differing)} (--force compares)")
    return _paired(labels, parts[0][labels[0]], parts[1][labels[1]], differing)


def _comparable(run: Run, label: str) -> dict[str, Any]:
    """The parts of a run that must be equal: its protocol and the arm's environment, without the policy's own parts."""
    protocol = {key: value for key, value in run.protocol.items() if key not in OF_POLICY}
    env = {key: value for key, value in run.protocol.get("arms", {}).get(label, {}).items() if key not in OF_ARM}
    for settings in (protocol, env):
        settings["suite_args"] = {k: v for k, v in settings.get("suite_args", {}).items() if k not in WHERE}
    return {**protocol, "env": env}


def _label(run: Run, arms: Mapping[str, Sequence[EpisodeOutcome]], label: str) -> str:
    known = ", ".join(arms)
    if not label and len(arms) == 1:
        return next(iter(arms))
    if label not in arms:
        problem = f'no arm "{label}"{closest(label, arms)}' if label else "several arms, name one"
        raise ValueError(f"{run.path}: {problem} (it has: {known})")
    return label


def _paired(
    labels: tuple[str, str],
    episodes: Sequence[EpisodeOutcome],
    others: Sequence[EpisodeOutcome],
    differing: tuple[str, ...],
) -> Comparison:
    first, second = task_means(episodes), task_means(others)
    played, replayed = {o.group for o in episodes}, {o.group for o in others}
    common = sorted(first.keys() & second.keys())
    if not common:
        raise Incomparable("the arms have no scored task in common")
    # Bootstrapping the differences, not the two accuracies, removes the tasks' difficulty, which both arms share, from
    # the variance. A task's samples are averaged first, so they stay together.
    gaps = [second[task] - first[task] for task in common]
    low, high = bootstrap_interval(gaps)
    return Comparison(
        first=labels[0],
        second=labels[1],
        tasks=len(common),
        left_out=len(played ^ replayed),
        failed=len(played & replayed) - len(common),
        means=(fmean(first[task] for task in common), fmean(second[task] for task in common)),
        difference=fmean(gaps),
        low=low,
        high=high,
        gained=sum(gap > 0 for gap in gaps),
        lost=sum(gap < 0 for gap in gaps),
        differing=differing,
    )
