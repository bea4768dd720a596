"""Measures of graded and grouped answers against numbers worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest

from o3gym.types import FULL, Box, Target, Trajectory, View
from tests.runs.test_suite_metrics import episode, numbers


def test_zoombench_reports_how_much_of_the_evidence_was_viewed() -> None:
    def row(number: int, verdict: str, kind: str, *boxes: Box) -> Trajectory:
        views = [View(0, 0, FULL, (800, 400), (400, 200))]
        views += [View(i, 0, box, (10, 10), (10, 10), parent=0) for i, box in enumerate(boxes, 1)]
        target = (Target((0.0, 0.0, 0.5, 0.5)),)
        return episode(number, verdict, tags={"category": kind}, targets=target, views=tuple(views))

    found = numbers(
        "zoombench",
        row(0, "correct", "mcq", (0.0, 0.0, 0.5, 0.3)),  # 60% in one view
        row(1, "wrong", "mcq", (0.0, 0.0, 0.2, 0.5), (0.3, 0.0, 0.5, 0.5)),  # 80% in two, 40% in each
        row(2, "failed", "blank", (0.0, 0.0, 0.5, 0.5)),
        row(3, "wrong", "blank"),
    )
    assert found == {
        "mcq %": 50.0,
        "blank %": 0.0,
        "evidence covered %": pytest.approx((60 + 80 + 100 + 0) / 4),
        "evidence seen %": 50.0,
    }


def test_hallusionbench_needs_whole_figures_and_whole_questions() -> None:
    def row(number: int, verdict: str, figure: str, question: str, sample: int = 0) -> Trajectory:
        return episode(number, verdict, tags={"figure": figure, "question": question}, sample=sample)

    rows = [
        row(0, "correct", "f1", "q1"),
        row(1, "correct", "f1", "q2"),
        row(2, "correct", "f2", "q1"),
        row(3, "wrong", "f2", "q2"),
        row(4, "correct", "f3", "q3"),
        row(5, "failed", "f3", "q4"),
    ]
    # figures: f1 right, f2 not, f3 without a verdict; questions: q1 and q3 right, q2 not, q4 without a verdict
    assert numbers("hallusionbench", *rows) == {
        "aAcc %": 80.0,
        "fAcc %": 50.0,
        "qAcc %": pytest.approx(200 / 3),
    }
    twice = [row(0, "correct", "f1", "q1"), row(0, "wrong", "f1", "q1", sample=1)]
    assert numbers("hallusionbench", *twice) == {"aAcc %": 50.0, "fAcc %": 50.0, "qAcc %": 50.0}
    assert numbers("hallusionbench") == {"aAcc %": None, "fAcc %": None, "qAcc %": None}


def graded(number: int, score: float | None, kind: str = "") -> Trajectory:
    verdict = "failed" if score is None else "correct" if score >= 0.5 else "wrong"
    return dataclasses.replace(episode(number, verdict, tags={"category": kind}), score=score)


def test_chartqapro_is_the_mean_score_by_type_and_overall() -> None:
    rows = [
        graded(0, 1.0, "Factoid"),
        graded(1, 0.5, "Factoid"),
        graded(2, 0.0, "Hypothetical"),
        graded(3, None, "Factoid"),
    ]
    assert numbers("mean_score", *rows) == {"Factoid %": 75.0, "Hypothetical %": 0.0, "overall %": 50.0}


def test_refcoco_has_shares_of_boxes_and_their_mean_iou() -> None:
    rows = [graded(0, 0.95), graded(1, 0.5), graded(2, 0.75), graded(3, 0.0), graded(4, None)]
    assert numbers("refcoco", *rows) == {
        "Acc@0.5 %": 75.0,
        "Acc@0.7 %": 50.0,
        "Acc@0.9 %": 25.0,
        "mean IoU %": pytest.approx(55.0),
    }


def test_visualtoolbench_has_pass_rate_and_score_for_questions_and_conversations() -> None:
    rows = [
        graded(0, 0.9, "single-turn"),
        graded(1, 0.3, "single-turn"),
        graded(2, 0.8, "multi-turn"),
        graded(3, None, "multi-turn"),
    ]
    assert numbers("visualtoolbench", *rows) == {
        "APR single-turn %": 50.0,
        "ARS single-turn %": pytest.approx(60.0),
        "APR last turn %": 100.0,
        "ARS last turn %": pytest.approx(80.0),
    }
