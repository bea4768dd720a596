"""The judges of suites about videos: numbers by their mean relative accuracy, and letters as lmms-eval reads them."""

from __future__ import annotations

import dataclasses

import pytest

from o3gym.judges.rules import auto
from o3gym.judges.videos import first_capital, mean_relative_accuracy, mra, vsi_bench_released
from o3gym.types import Source, Task

NUMBER = Task("t", (Source.file("a.mp4"),), "How many?", "4", origin={"judge": "mra"})
CHOICE = Task("t", (Source.file("a.mp4"),), "Which?", "B", ("red", "blue", "green", "white"), kind="choice")


@pytest.mark.parametrize(
    ("number", "truth", "score"),
    [
        (4.0, 4.0, 1.0),
        (4.2, 4.0, 1.0),  # an error of exactly 5% is within the last threshold
        (5.0, 4.0, 0.6),  # 25%: θ from 0.5 to 0.75
        (2.2, 4.0, 0.2),  # 45%
        (2.0, 4.0, 0.1),  # exactly 50%
        (1.9, 4.0, 0.0),
        (9.0, 4.0, 0.0),
        (0.0, 0.0, 1.0),
        (0.1, 0.0, 0.0),
        (float("nan"), 4.0, 0.0),
        (float("inf"), 4.0, 0.0),
    ],
)
def test_mean_relative_accuracy_by_hand(number: float, truth: float, score: float) -> None:
    assert mean_relative_accuracy(number, truth) == score


def test_numbers_are_graded_and_correct_from_half() -> None:
    assert [(auto(NUMBER, text).verdict, auto(NUMBER, text).score) for text in ("4", "five chairs", "6", "many")] == [
        *(("correct", 1.0), ("correct", 0.6), ("wrong", 0.1), ("wrong", 0.0)),
    ]
    assert mra(CHOICE, "It is (B)").verdict == "correct"
    assert mra(dataclasses.replace(NUMBER, answer="none"), "4").verdict == "failed"


def test_the_authors_read_up_to_the_first_space() -> None:
    assert [vsi_bench_released(NUMBER, text).score for text in ("4. chairs", "5 chairs", "about 4", "")] == [
        *(1.0, 0.6, 0.0, 0.0),
    ]
    assert [vsi_bench_released(CHOICE, text).verdict for text in ("b", "B. blue", "B) blue", "Option B")] == [
        *("correct", "correct", "wrong", "wrong"),
    ]
    assert vsi_bench_released(dataclasses.replace(NUMBER, answer=""), "4").verdict == "failed"


def test_lmms_eval_takes_the_first_capital_after_its_phrases() -> None:
    answers = {
        "The best answer is B": "correct",
        "A man with (B)": "wrong",
        "Between": "correct",
        "b": "wrong",
        "E": "wrong",
        "": "wrong",
    }
    assert {answer: first_capital(CHOICE, answer).verdict for answer in answers} == answers
    assert first_capital(dataclasses.replace(CHOICE, answer=""), "B").verdict == "failed"
