"""Metrics of suites whose answers are graded or come in groups, as in `o3gym.runs.suite_metrics`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from o3gym.geometry import coverage
from o3gym.runs.coverage import looks, target_coverage
from o3gym.runs.suite_metrics import SEEN_SHARE, Measure, Numbers, percent
from o3gym.types import Trajectory

Graded: TypeAlias = tuple[float | None, str]
"""A judge's score, None without a verdict, and the category of the task."""


def _graded(trajectory: Trajectory) -> Graded:
    known = trajectory.right is not None
    return trajectory.score if known else None, trajectory.task.tags.get("category", "")


# ── zoombench ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _zoombench_read(trajectory: Trajectory) -> tuple[bool | None, str, float | None, bool | None]:
    targets = [target.box for target in trajectory.task.targets if target.source == 0]
    seen = [box for _, source, box in looks(trajectory) if source == 0]
    whole = all(any(coverage(box, target) >= SEEN_SHARE for box in seen) for target in targets) if targets else None
    return trajectory.right, trajectory.task.tags.get("category", ""), target_coverage(trajectory), whole


def _zoombench(read: Sequence[tuple[bool | None, str, float | None, bool | None]]) -> Numbers:
    """Accuracy by question type, and how much of the evidence was viewed.

    "Covered" is the mean share of the evidence that the requested views cover together; "seen" is the share of episodes
    in which one view covers at least half of it. Both are ours; ZoomBench itself compares the accuracy on the picture
    with that on the crop. Episodes without a verdict count in both, because they have views.
    """
    types = {"mcq %": "mcq", "blank %": "blank"}
    parts: Numbers = {
        name: percent(right for right, kind, _, _ in read if kind == part) for name, part in types.items()
    }
    return {
        **parts,
        "evidence covered %": percent(covered for _, _, covered, _ in read),
        "evidence seen %": percent(whole for _, _, _, whole in read),
    }


zoombench = Measure(_zoombench_read, _zoombench)


# ── hallusionbench ──────────────────────────────────────────────────────────────────────────────────────────────────


def _hallusionbench_read(trajectory: Trajectory) -> tuple[bool | None, str, str, int]:
    tags = trajectory.task.tags
    return trajectory.right, tags.get("figure", ""), tags.get("question", ""), trajectory.sample


def _hallusionbench(read: Sequence[tuple[bool | None, str, str, int]]) -> Numbers:
    """Accuracy over answers (aAcc), figures with all questions right (fAcc), questions right for all figures (qAcc).

    A figure or question with an answer without a verdict is left out. In a run of some of the tasks, a figure or
    question has only those answers that were asked for. Source: Guan et al. 2024, "HallusionBench", section 3;
    lmms-eval 0.7.3, lmms_eval/tasks/hallusion_bench/utils.py.
    """
    return {
        "aAcc %": percent(right for right, _, _, _ in read),
        "fAcc %": _all_right(((figure, sample), right) for right, figure, _, sample in read),
        "qAcc %": _all_right(((question, sample), right) for right, _, question, sample in read),
    }


def _all_right(answers: Iterable[tuple[tuple[str, int], bool | None]]) -> float | None:
    """The share of groups whose answers are all right, among the groups with verdicts on all of their answers."""
    groups: dict[tuple[str, int], list[bool | None]] = defaultdict(list)
    for group, right in answers:
        groups[group].append(right)
    return percent(all(found) for found in groups.values() if None not in found)


hallusionbench = Measure(_hallusionbench_read, _hallusionbench)


# ── mean_score ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _mean_score(read: Sequence[Graded]) -> Numbers:
    """The mean score for each question type and over all questions, whereas `accuracy` counts scores from 0.5.

    Source: vis-nlp/ChartQAPro@8911d1b, evaluate_predictions.py.
    """
    types = sorted({kind for _, kind in read})
    parts: Numbers = {f"{name} %": percent(score for score, kind in read if kind == name) for name in types}
    return {**parts, "overall %": percent(score for score, _ in read)}


mean_score = Measure(_graded, _mean_score)


# ── refcoco ─────────────────────────────────────────────────────────────────────────────────────────────────────────

IOU_THRESHOLDS = (0.5, 0.7, 0.9)
"""Minimum IoUs of a correct box. Papers report the first; lmms-eval reports all of them."""


def _refcoco(read: Sequence[Graded]) -> Numbers:
    """The share of boxes with at least an IoU of 0.5, 0.7 and 0.9, and the mean IoU; no box has IoU 0.

    Source: lmms-eval 0.7.3, lmms_eval/tasks/refcoco/utils_rec.py.
    """
    scores = [score for score, _ in read if score is not None]
    shares: Numbers = {f"Acc@{least} %": percent(score >= least for score in scores) for least in IOU_THRESHOLDS}
    return {**shares, "mean IoU %": percent(scores)}


refcoco = Measure(_graded, _refcoco)


# ── visualtoolbench ─────────────────────────────────────────────────────────────────────────────────────────────────


def _visualtoolbench_read(trajectory: Trajectory) -> tuple[bool | None, float | None, str]:
    score, turns = _graded(trajectory)
    return trajectory.right, score, turns


def _visualtoolbench(read: Sequence[tuple[bool | None, float | None, str]]) -> Numbers:
    """The share of tasks with all critical items met (APR), and the mean share of the items met, by weight (ARS).

    Both are given for tasks with one question, and for the last questions of conversations.
    Source: xi1ngang/VisualToolBench@8cdc54d, scripts/run_judge_single_turn.py.
    """
    numbers: Numbers = {}
    for name, kind in (("single-turn", "single-turn"), ("last turn", "multi-turn")):
        numbers[f"APR {name} %"] = percent(right for right, _, turns in read if turns == kind)
        numbers[f"ARS {name} %"] = percent(score for _, score, turns in read if turns == kind)
    return numbers


visualtoolbench = Measure(_visualtoolbench_read, _visualtoolbench)
