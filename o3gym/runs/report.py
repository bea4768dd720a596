"""Builds a report from settled trajectories: JSON, Markdown, terminal tables and charts, all from one `Report`.

A report includes its protocol, because a number is meaningless without it. It does not depend on the clock, on the
order in which episodes ended or on the run's location, so a resumed run gives a byte-identical report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Group

from o3gym.codec import encode
from o3gym.registry import MEASURES
from o3gym.runs import tables
from o3gym.runs.chart import CurvePoint, interval_chart, line_chart
from o3gym.runs.metrics import ArmMetrics, EpisodeOutcome, accuracy, by_arm, episode_outcomes, measure
from o3gym.types import Trajectory

VARIANT = " · "
"""Separator of policy and settings in an arm's label: "policy · key=value, key=value"."""


@dataclass(frozen=True)
class Report:
    """The report of a run.

    Attributes:
        protocol: everything that defines the run.
        arms: the metrics of each arm, sorted by label.
        curves: arm label → accuracy within at most x turns, computed from the same episodes cut at x.
        warnings: caveats for the reader, the protocol's own warnings first.
    """

    protocol: Mapping[str, Any]
    arms: tuple[ArmMetrics, ...]
    curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        data: dict[str, Any] = encode(self)
        return data

    def to_markdown(self) -> str:
        """The report as a Markdown page, without charts."""
        return tables.markdown(self.protocol, self.arms, self.warnings)


def make_report(
    trajectories: Iterable[Trajectory], protocol: Mapping[str, Any], cuts: Sequence[int] | None = None
) -> Report:
    """Computes the report of a run.

    Args:
        trajectories: settled episodes. They are read once and not kept, so `Run.records()` may be of any length.
        protocol: the protocol that defines the run.
        cuts: turn limits at which the curves have points; by default, every number up to the longest episode's turns.
    """
    more = MEASURES[protocol["measure"]] if protocol.get("measure") else None
    episodes = episode_outcomes(trajectories, more)
    arms = tuple(measure(arm, part, more) for arm, part in by_arm(episodes).items())
    curves = _curves(episodes, _cuts(episodes) if cuts is None else cuts)
    return Report(encode(protocol), arms, curves, (*_given(protocol), *_warnings(arms, planned_episodes(protocol))))


def accuracy_by_turns(trajectories: Iterable[Trajectory], cuts: Sequence[int]) -> dict[str, tuple[CurvePoint, ...]]:
    """Per arm, the accuracy within at most T replies, for each T in `cuts`.

    All points come from one run with the largest budget. A policy that knows its budget might have answered earlier
    under a smaller one; for such a policy the curve is a lower bound.
    """
    return _curves(episode_outcomes(trajectories), cuts)


def rich_table(report: Report) -> Group:
    """Terminal tables of the arms' results and conduct, the accuracy per family, and the suite's metrics."""
    return tables.rich_tables(report.arms, report.warnings)


def curve_chart(report: Report, width: int = 720) -> str:
    """The chart of accuracy by turns, as SVG text."""
    title = "Accuracy within a number of turns"
    return line_chart(report.curves, title, "turns allowed", "accuracy", percent=True, width=width)


def sweep_chart(report: Report, width: int = 720) -> str | None:
    """The chart of accuracy over the swept setting, as SVG text; None if no arm's label has a setting.

    If a single numeric setting varies, each policy is a line over it, and an arm without the setting is a horizontal
    line. Otherwise the chart has one row per arm.
    """
    labels = {metrics.arm: _variant(metrics.arm) for metrics in report.arms}
    keys = sorted({key for _, settings in labels.values() for key in settings})
    if not keys:
        return None
    points = {m.arm: CurvePoint(0, m.accuracy.value, m.accuracy.low, m.accuracy.high) for m in _scored(report.arms)}
    swept = [key for key in keys if len({settings.get(key) for _, settings in labels.values() if settings}) > 1]
    if len(swept) == 1:
        lines = _sweep_lines(points, labels, swept[0])
        if lines is not None:
            return line_chart(lines, f"Accuracy over {swept[0]}", swept[0], "accuracy", percent=True, width=width)
    return interval_chart(points, "Accuracy by arm", "accuracy, 95% interval", width=width)


def write_report(
    folder: str | Path,
    trajectories: Iterable[Trajectory],
    protocol: Mapping[str, Any],
    cuts: Sequence[int] | None = None,
) -> Report:
    """Writes report.json, report.md, curve.svg and, for a sweep, sweep.svg into `folder`; see `make_report`."""
    report = make_report(trajectories, protocol, cuts)
    sweep = sweep_chart(report)
    charts = {"curve.svg": curve_chart(report), **({"sweep.svg": sweep} if sweep else {})}
    images = "".join(f"\n![{'Accuracy by turns' if 'curve' in name else 'Sweep'}]({name})\n" for name in charts)
    files = {
        "report.json": json.dumps(report.to_json(), indent=2) + "\n",
        "report.md": report.to_markdown() + images,
        **charts,
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (Path(folder) / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    return report


def _curves(episodes: Sequence[EpisodeOutcome], cuts: Sequence[int]) -> dict[str, tuple[CurvePoint, ...]]:
    return {arm: tuple(_points(part, cuts)) for arm, part in by_arm(episodes).items()}


def _points(episodes: Sequence[EpisodeOutcome], cuts: Sequence[int]) -> Iterable[CurvePoint]:
    for cut in sorted(set(cuts)):
        rate = accuracy(episodes, lambda o, cut=cut: o.correct and o.turns <= cut)  # type: ignore[misc]
        if rate.value is not None:
            yield CurvePoint(cut, rate.value, rate.low, rate.high)


def _cuts(episodes: Sequence[EpisodeOutcome]) -> range:
    return range(1, max((o.turns for o in episodes if not o.failed), default=0) + 1)


def planned_episodes(protocol: Mapping[str, Any]) -> int | None:
    """The number of episodes that a run has per arm, all shards together; None if the protocol does not tell."""
    # Bad rows are skipped, so there may be fewer tasks than items; protocols of older runs have no "tasks".
    tasks = protocol.get("tasks", protocol.get("items"))
    if not isinstance(tasks, int):
        return None
    return min(int(protocol.get("episodes") or tasks), tasks) * int(protocol.get("k", 1))


def _given(protocol: Mapping[str, Any]) -> Iterable[str]:
    return map(str, protocol.get("warnings", ()))


def _warnings(arms: Sequence[ArmMetrics], planned: int | None) -> Iterable[str]:
    for arm in arms:
        of = f"of {arm.episodes} episodes"
        errors = arm.stops.get("error", 0)
        if arm.refusal:
            left = f"{planned - arm.episodes} of {planned}" if planned and planned > arm.episodes else "the other"
            yield (
                f"{arm.arm}: the server refuses its requests ({arm.refusal}), so the arm stopped there; {left} "
                "episodes were not played; the same command plays them"
            )
        if errors:
            why = f" (the first: {arm.first_error})" if arm.first_error else ""
            yield f"{arm.arm}: {errors} {of} stopped with an error and are left out of all numbers{why}"
        if arm.failed > errors:
            yield f"{arm.arm}: the judge failed on {arm.failed - errors} {of}; they are left out of all numbers"
        if arm.only_failures:
            yield f"{arm.arm}: {tables.ALL_FAILED}, so there are no numbers; the same command tries again"
        if arm.unsettled:
            yield f"{arm.arm}: {arm.unsettled} {of} were never judged; they are left out of accuracy"
        if arm.unrewarded and arm.reward is not None:
            yield f"{arm.arm}: the reward of {arm.unrewarded} {of} could not be computed; they are left out of its mean"


def _scored(arms: Sequence[ArmMetrics]) -> Iterable[Any]:
    return (arm for arm in arms if arm.accuracy.value is not None)


def _variant(label: str) -> tuple[str, dict[str, str]]:
    """Splits an arm's label into policy and settings. A comma inside a value does not end the value."""
    policy, _, settings = label.partition(VARIANT)
    pairs = (item.partition("=") for item in re.split(r", (?=[\w.-]+=)", settings) if "=" in item)
    return policy, {key: value for key, _, value in pairs}


def _sweep_lines(
    points: Mapping[str, CurvePoint], labels: Mapping[str, tuple[str, Mapping[str, str]]], key: str
) -> dict[str, list[CurvePoint]] | None:
    """One line per policy over a numeric setting; None if a value of the setting is not a number."""
    try:
        values = sorted({float(settings[key]) for _, settings in labels.values() if key in settings})
    except ValueError:
        return None
    lines: dict[str, list[CurvePoint]] = {}
    for arm, point in points.items():
        policy, settings = labels[arm]
        ends = [float(settings[key])] if key in settings else [values[0], values[-1]]
        name = policy if key in settings else arm
        lines.setdefault(name, []).extend(CurvePoint(x, point.y, point.low, point.high) for x in ends)
    return {name: sorted(line, key=lambda p: p.x) for name, line in lines.items()}
