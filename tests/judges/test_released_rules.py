from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.judges.base import make_judge
from o3gym.judges.rules import choice, yes_no
from o3gym.types import Source, Task

OPTIONS = Task("c", (Source.file("a"),), "Which?", "B", ("red", "blue", "green", "white", "none"), kind="choice")
QUESTION = Task("y", (Source.file("a"),), "Is it?", "no")


@pytest.mark.parametrize(
    ("answer", "official", "ours"),
    [
        ("B", True, True),
        ("The best answer is B", True, True),
        ("A man holds it, so B", False, True),  # the first letter anywhere is an article
        ("Blue", True, True),  # by its capital, and by its text
        ("Answer: B", False, True),
        ("blue", False, True),  # no capital at all
        ("D or B", False, False),
    ],
)
def test_first_letter_anywhere(answer: str, official: bool, ours: bool) -> None:
    assert (make_judge("first_letter")(OPTIONS, answer, None).verdict == "correct") == official
    assert (choice(OPTIONS, answer).verdict == "correct") == ours


def test_no_answer_is_a_to_the_first_letter_rule() -> None:
    a = Task("c", OPTIONS.sources, "Which?", "A", OPTIONS.choices, kind="choice")
    assert make_judge("first_letter")(a, "", None).verdict == "correct"
    assert choice(a, "").verdict == "wrong"


@pytest.mark.parametrize(
    ("answer", "official"),
    [
        ("b", True),
        ("(B) blue", True),
        ("Option B", True),
        ("The answer is B.", True),
        ("Bananas", True),
        ("Answer: B", False),
    ],
)
def test_a_leading_letter(answer: str, official: bool) -> None:
    assert (make_judge("leading_letter")(OPTIONS, answer, None).verdict == "correct") == official


@pytest.mark.parametrize(
    ("answer", "prefix", "verbatim", "ours"),
    [
        ("No", True, True, True),
        ("no.", True, False, True),
        ("N", True, False, False),
        ("No, there is none.", True, False, True),
        ("Not sure", True, False, False),  # "no" is within "Not"
        ("I know: yes", False, False, False),
        ("There is no dog", False, False, True),
        ("Yes and no", False, False, False),
        ("<think>yes?</think>", False, False, False),
        ("The answer is no", False, False, True),
    ],
)
def test_yes_and_no(answer: str, prefix: bool, verbatim: bool, ours: bool) -> None:
    assert (make_judge("yes_no_prefix")(QUESTION, answer, None).verdict == "correct") == prefix
    assert (make_judge("verbatim")(QUESTION, answer, None).verdict == "correct") == verbatim
    assert (yes_no(QUESTION, answer).verdict == "correct") == ours


@pytest.mark.parametrize("name", ["first_letter", "leading_letter", "yes_no_prefix", "verbatim", "yes_no"])
@given(answer=st.text(max_size=60))
def test_whatever_is_said_there_is_a_verdict(name: str, answer: str) -> None:
    task = OPTIONS if "letter" in name else QUESTION
    assert make_judge(name)(task, answer, None).verdict in ("correct", "wrong")
    assert make_judge(name)(Task("t", OPTIONS.sources, "?"), answer, None).verdict == "failed"
