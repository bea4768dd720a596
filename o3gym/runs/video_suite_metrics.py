"""Metrics of released suites about videos: grounded questions, graded numbers, preferences, means of categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TypeAlias

from o3gym.geometry import overlap, span_iou
from o3gym.judges.spans import true_spans
from o3gym.runs.graded_metrics import Graded
from o3gym.runs.suite_metrics import Measure, Numbers, percent, tagged
from o3gym.types import Trajectory

Grounded: TypeAlias = tuple[bool | None, float, float]
"""The verdict on an answer, and the largest IoU and IoP of the answered interval with one of the true ones."""


# ── means over categories ───────────────────────────────────────────────────────────────────────────────────────────


def _means(read: Iterable[tuple[float | bool | None, str]]) -> dict[str, float]:
    """The mean of the known values of each category, in per cent, in alphabetic order."""
    values: dict[str, list[float | bool | None]] = defaultdict(list)
    for value, category in read:
        values[category].append(value)
    means = {category: percent(found) for category, found in sorted(values.items())}
    return {category: mean for category, mean in means.items() if mean is not None}


def _category_mean(read: Sequence[tuple[bool | None, str]]) -> Numbers:
    """The mean over categories of their accuracy, whereas the report's `accuracy` is the mean over questions.

    It is the M-Avg of MLVU, and the number that is reported for MVBench and VL-RewardBench. Sources:
    EvolvingLMMs-Lab/lmms-eval, lmms_eval/tasks/mlvu/utils.py@025f016 and vl_rewardbench/utils.py@161c7a1.
    """
    means = _means(read)
    return {"mean over categories %": fmean(means.values()) if means else None}


category_mean = Measure(tagged("category"), _category_mean)


# ── vsi_bench ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _vsi_bench_read(trajectory: Trajectory) -> Graded:
    known = trajectory.right is not None
    return trajectory.score if known else None, trajectory.task.tags.get("category", "")


def _vsi_bench(read: Sequence[Graded]) -> Numbers:
    """The mean score of each type of question, and the mean over the types.

    Scores are 1 or 0 for options, and the mean relative accuracy for numbers. The three levels of relative direction
    are one type, the mean of which is that over the levels. Source: EvolvingLMMs-Lab/lmms-eval@0ae0b9f,
    lmms_eval/tasks/vsibench/utils.py.
    """
    means = _means(read)
    levels = [means.pop(name) for name in list(means) if name.startswith("object_rel_direction")]
    if levels:
        means["object_rel_direction"] = fmean(levels)
    types: Numbers = {f"{name} %": value for name, value in sorted(means.items())}
    return {**types, "overall %": fmean(means.values()) if means else None}


vsi_bench = Measure(_vsi_bench_read, _vsi_bench)


# ── next_gqa and rextime ────────────────────────────────────────────────────────────────────────────────────────────


def _grounded_read(trajectory: Trajectory) -> Grounded:
    span, truths = trajectory.span, true_spans(trajectory.task)
    if span is None or not truths:
        return trajectory.right, 0.0, 0.0
    length = span[1] - span[0]
    inside = max(overlap(span, truth) for truth in truths) / length if length > 0 else 0.0
    return trajectory.right, max(span_iou([span], [truth]) for truth in truths), inside


def _next_gqa(read: Sequence[Grounded]) -> Numbers:
    """Grounded accuracy (the answer is right and IoP ≥ 0.5), and intersection over prediction (IoP) and over union.

    Of several true intervals, the one that fits best counts. No interval has IoU and IoP 0. Source:
    doc-doc/NExT-GQA@3902e7d, code/TempGQA/eval_ground.py.
    """
    numbers: Numbers = {
        "Acc@GQA %": percent(None if right is None else right and iop >= 0.5 for right, _, iop in read),
        "mIoP %": percent(iop for _, _, iop in read),
        "IoP@0.3 %": percent(iop >= 0.3 for _, _, iop in read),
        "IoP@0.5 %": percent(iop >= 0.5 for _, _, iop in read),
    }
    ious = {f"IoU@{least} %": percent(iou >= least for _, iou, _ in read) for least in (0.3, 0.5)}
    return {**numbers, "mIoU %": percent(iou for _, iou, _ in read), **ious}


next_gqa = Measure(_grounded_read, _next_gqa)


def _rextime(read: Sequence[Grounded]) -> Numbers:
    """Recall at temporal IoU 0.3 and 0.5, the mean IoU, and the accuracy of answers whose interval has IoU ≥ 0.5.

    Source: ReXTime/ReXTime@00549a4, evaluation/rextime_eval.py.
    """
    recalls: Numbers = {f"R@{least} %": percent(iou >= least for _, iou, _ in read) for least in (0.3, 0.5)}
    return {
        **recalls,
        "mIoU %": percent(iou for _, iou, _ in read),
        "VQA at IoU 0.5 %": percent(None if right is None else right and iou >= 0.5 for right, iou, _ in read),
    }


rextime = Measure(_grounded_read, _rextime)


# ── preferences ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _preferences(read: Sequence[tuple[bool | None, str]]) -> Numbers:
    """Accuracy over all pairs, and over those pairs of which people prefer one.

    An answer that both are equally good is wrong for the latter. Source: CodeGoat24/UnifiedReward@ed52f98,
    benchmark_evaluation/Qwen_evaluation/test_qwen_videogen_reward_bench.py.
    """
    return {
        "with ties %": percent(right for right, _ in read),
        "without ties %": percent(right for right, preference in read if preference != "same"),
    }


preferences = Measure(tagged("preference"), _preferences)
