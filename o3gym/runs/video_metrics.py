"""Metrics of suites of videos, as in `o3gym.runs.suite_metrics`."""

from __future__ import annotations

from collections.abc import Sequence

from o3gym.geometry import span_iou
from o3gym.judges.spans import true_spans
from o3gym.runs.coverage import time_coverage
from o3gym.runs.suite_metrics import Measure, Numbers, percent
from o3gym.types import Trajectory

SPAN_THRESHOLDS = (0.3, 0.5, 0.7)
"""Minimum temporal IoUs of a correct interval, as reported for Charades-STA."""


# ── grounding ───────────────────────────────────────────────────────────────────────────────────────────────────────


def temporal_iou(trajectory: Trajectory) -> float | None:
    """The temporal IoU of the answered interval with all target intervals of the first video together.

    It is 0 without an answered interval, and None if the task asks for none or has no intervals to compare with.
    """
    task, span = trajectory.task, trajectory.span
    asked = task.kind == "span" or span is not None or bool(task.origin.get("grounded"))
    truths = true_spans(task)
    if not asked or not truths:
        return None
    return span_iou([span], truths) if span is not None else 0.0


def _grounding_read(trajectory: Trajectory) -> tuple[float | None, float | None]:
    return temporal_iou(trajectory), time_coverage(trajectory)


def _grounding(read: Sequence[tuple[float | None, float | None]]) -> Numbers:
    """Recall at temporal IoU 0.3, 0.5 and 0.7, the mean IoU, and how much of the targets' time was viewed.

    A metric is left out if no episode has it. Source: Charades-STA (Gao et al. 2017, "TALL", section 5); the share of
    the time that was viewed is ours.
    """
    scores = [score for score, _ in read if score is not None]
    recalls: Numbers = {f"R@{least} %": percent(score >= least for score in scores) for least in SPAN_THRESHOLDS}
    numbers = {**recalls, "mIoU %": percent(scores), "target time seen %": percent(seen for _, seen in read)}
    return {name: value for name, value in numbers.items() if value is not None}


grounding = Measure(_grounding_read, _grounding)
