from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.judges.base import make_judge
from o3gym.judges.mathvista import mathvista, mathvista_released
from o3gym.types import Source, Task

PICTURE = (Source.file("a"),)
CHOICE = Task("c", PICTURE, "Which angle?", "B", ("145°", "35°", "55°"), kind="choice")


def free(answer: str, form: str, **origin: Any) -> Task:
    return Task("f", PICTURE, "How much?", answer, origin={"answer_type": form, **origin})


INTEGER, DECIMAL, LIST, TEXT = (
    *(free("12", "integer"), free("0.67", "float", precision=2), free("[2007, 2008]", "list"), free("blue", "text")),
)


@pytest.mark.parametrize(
    ("task", "answer", "ours", "released"),
    [
        (INTEGER, "12", True, True),
        (INTEGER, "12.0", True, True),
        (INTEGER, "12.9", False, True),  # cut off
        (INTEGER, "12 cm", True, False),
        (INTEGER, "twelve", True, False),
        (INTEGER, "The answer is 12.", True, False),
        (INTEGER, "13", False, False),
        (DECIMAL, "0.67", True, True),
        (DECIMAL, "0.6667", True, True),
        (DECIMAL, ".674", True, True),
        (DECIMAL, "0.68", False, False),
        (DECIMAL, "0.6667 m", True, False),
        (DECIMAL, "2/3", True, False),
        (DECIMAL, "inf", False, False),
        (LIST, "[2007, 2008]", True, True),
        (LIST, "[2007,2008]", True, False),
        (LIST, "between 2007 and 2008", False, False),
        (LIST, "2007 and 2008", True, False),
        (LIST, "[2008, 2007]", False, False),
        (LIST, "[2007]", False, False),
        (TEXT, "Blue.", True, False),
        (TEXT, "blue", True, True),
        (CHOICE, "B", True, True),
        (CHOICE, "(B) 35°", True, True),
        (CHOICE, "35°", True, True),
        (CHOICE, "35", False, True),  # by its edit distance
        (CHOICE, "It is not (A) but (B)", True, False),  # the first letter in parentheses
        (CHOICE, "", False, True),  # the shortest option
        (CHOICE, "C", False, False),
    ],
)
def test_answers_of_each_form(task: Task, answer: str, ours: bool, released: bool) -> None:
    assert (mathvista(task, answer).verdict == "correct") == ours
    assert (mathvista_released(task, answer).verdict == "correct") == released


def test_decimals_are_rounded_to_the_precision_that_was_asked_for() -> None:
    task = free("1.5", "float", precision=1)
    assert mathvista(task, "1.46").verdict == mathvista_released(task, "1.46").verdict == "correct"
    assert mathvista(task, "1.44").verdict == mathvista_released(task, "1.44").verdict == "wrong"


@pytest.mark.parametrize("name", ["mathvista", "mathvista_released"])
@given(answer=st.text(max_size=60), task=st.sampled_from([INTEGER, DECIMAL, LIST, TEXT, CHOICE]))
def test_every_answer_has_a_verdict(name: str, answer: str, task: Task) -> None:
    assert make_judge(name)(task, answer, None).verdict in ("correct", "wrong")
    assert make_judge(name)(Task("t", PICTURE, "?"), answer, None).verdict == "failed"
