from __future__ import annotations

import pytest

from o3gym.judges.base import make_judge
from o3gym.judges.rules import auto, yes_no
from o3gym.types import Source, Task

PICTURE = (Source.file("a"),)
OPTIONS = Task("c", PICTURE, "Which way?", "B", ("Left", "Straight ahead", "Right"), kind="choice")


@pytest.mark.parametrize(
    ("task", "answer", "harness", "ours"),
    [
        (OPTIONS, "B", True, True),
        (OPTIONS, "The answer is (B).", True, True),
        (OPTIONS, "Straight ahead", False, True),  # the text of an option is not read
        (OPTIONS, "Bear left", True, False),  # a capital anywhere
        (Task("n", PICTURE, "How many?", "3"), "3.", True, True),
        (Task("n", PICTURE, "How many?", "3"), "three", False, True),
        (Task("n", PICTURE, "How many?", "3"), "It is 3", False, False),
        (Task("y", PICTURE, "Green?", "Yes", origin={"judge": "yes_no"}), "yes", True, True),
        (Task("y", PICTURE, "Green?", "Yes", origin={"judge": "yes_no"}), "Yes, it is", False, True),
    ],
)
def test_a_ranked_letter_or_the_bare_answer(task: Task, answer: str, harness: bool, ours: bool) -> None:
    assert (make_judge("ranked_or_bare")(task, answer, None).verdict == "correct") == harness
    assert (auto(task, answer).verdict == "correct") == ours


@pytest.mark.parametrize(
    ("truth", "answer", "harness", "ours"),
    [
        ("yes", "Yes.", True, True),
        ("no", "No.", True, True),
        ("no", "", True, False),
        ("no", "I cannot tell.", True, False),
        ("no", "No, not in the eyes of all.", False, True),
        ("yes", "It might be yes or no.", True, False),
    ],
)
def test_yes_anywhere(truth: str, answer: str, harness: bool, ours: bool) -> None:
    task = Task("y", PICTURE, "Is it?", truth, origin={"answers": ["A full sentence."]})
    assert (make_judge("yes_anywhere")(task, answer, None).verdict == "correct") == harness
    assert (yes_no(task, answer).verdict == "correct") == ours


@pytest.mark.parametrize("name", ["ranked_or_bare", "yes_anywhere", "golden"])
def test_without_a_right_answer_there_is_no_verdict(name: str) -> None:
    assert make_judge(name)(Task("t", PICTURE, "?"), "x", None).verdict == "failed"


def test_an_answer_that_needs_a_rubric_is_not_judged_without_a_model() -> None:
    task = Task("t", PICTURE, "Which year?", "It is 1987.", origin={"rubric": [{"description": "x", "weight": 5.0}]})
    assert make_judge("golden")(task, "it is 1987", None).verdict == "correct"
    assert make_judge("golden")(task, " ", None).verdict == "wrong"
    other = make_judge("golden")(task, "1987", None)
    assert (other.verdict, other.reason) == ("failed", "a rubric needs a model: --judge rubric:MODEL")
