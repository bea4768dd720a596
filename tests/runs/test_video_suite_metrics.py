"""Measures of suites about videos against numbers worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest

from o3gym.types import FULL, Source, Span, Target, Trajectory
from tests.runs.test_suite_metrics import episode, numbers


def grounded(number: int, verdict: str, span: Span | None, *truths: Span) -> Trajectory:
    """An answer with an interval to a question about a video of ten seconds."""
    one = episode(number, verdict, targets=tuple(Target(FULL, time=truth) for truth in truths))
    task = dataclasses.replace(one.task, sources=(Source("generated", "film", duration=10.0),))
    return dataclasses.replace(one, task=task, span=span)


ANSWERS = (
    grounded(0, "correct", (1.0, 3.0), (0.0, 4.0)),  # IoU 0.5, IoP 1
    grounded(1, "correct", (0.0, 10.0), (0.0, 2.0), (6.0, 10.0)),  # IoU 0.4 with the second, and IoP 0.4
    grounded(2, "wrong", (2.0, 4.0), (2.0, 4.0)),  # IoU and IoP 1
    grounded(3, "correct", None, (2.0, 4.0)),
)


def test_next_gqa_counts_answers_whose_interval_lies_within_a_true_one() -> None:
    assert numbers("next_gqa", *ANSWERS) == {
        "Acc@GQA %": 25.0,
        "mIoP %": pytest.approx(100 * (1 + 0.4 + 1) / 4),
        "IoP@0.3 %": 75.0,
        "IoP@0.5 %": 50.0,
        "mIoU %": pytest.approx(100 * (0.5 + 0.4 + 1) / 4),
        "IoU@0.3 %": 75.0,
        "IoU@0.5 %": 50.0,
    }


def test_rextime_counts_answers_whose_interval_fits() -> None:
    found = numbers("rextime", *ANSWERS)
    assert found == {"R@0.3 %": 75.0, "R@0.5 %": 50.0, "mIoU %": pytest.approx(47.5), "VQA at IoU 0.5 %": 25.0}


def test_vsi_bench_is_the_mean_over_types_with_the_levels_of_direction_as_one() -> None:
    def row(number: int, kind: str, score: float | None) -> Trajectory:
        verdict = "failed" if score is None else "correct" if score >= 0.5 else "wrong"
        return dataclasses.replace(episode(number, verdict, tags={"category": kind}), score=score)

    found = numbers(
        "vsi_bench",
        row(0, "object_counting", 0.6),
        row(1, "object_counting", 0.2),
        row(2, "object_rel_direction_easy", 1.0),
        row(3, "object_rel_direction_hard", 0.0),
        row(4, "object_rel_direction_hard", 1.0),
        row(5, "route_planning", None),
    )
    assert found == {
        "object_counting %": pytest.approx(40.0),
        "object_rel_direction %": 75.0,  # (100 + 50) / 2
        "overall %": pytest.approx(57.5),
    }
    assert numbers("vsi_bench") == {"overall %": None}


def test_categories_count_alike_whatever_their_number_of_questions() -> None:
    rows = [episode(i, verdict, tags={"category": "plot"}) for i, verdict in enumerate(["correct"] * 3 + ["wrong"])]
    rows += [episode(4, "wrong", tags={"category": "count"}), episode(5, "failed", tags={"category": "order"})]
    assert numbers("category_mean", *rows) == {"mean over categories %": 37.5}
    assert numbers("category_mean") == {"mean over categories %": None}


def test_preferences_are_counted_with_and_without_ties() -> None:
    rows = [
        episode(number, verdict, tags={"preference": preference})
        for number, (verdict, preference) in enumerate(
            [("correct", "first"), ("wrong", "second"), ("correct", "same"), ("correct", "same"), ("failed", "first")]
        )
    ]
    assert numbers("preferences", *rows) == {"with ties %": 75.0, "without ties %": 50.0}
    assert numbers("preferences", *rows[2:4]) == {"with ties %": 100.0, "without ties %": None}
