"""Released scoring rules. What each of them makes of an answer was compared with the released code, where it is a
function of its own, on 60,000 texts made of the words below; a part of that comparison is pinned here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.judges.base import make_judge
from o3gym.judges.rules import anls, choice, relaxed, yes_no
from o3gym.types import Source, Task

PICTURES = (Source.file("a"),)
OPTIONS = Task("c", PICTURES, "Which?", "B", ("red", "blue", "green", "white", "none"), kind="choice")
QUESTION = Task("y", PICTURES, "Is it?", "no")
LETTER_RULES = ("first_letter", "first_bare_letter", "leading_letter", "ranked_letter")
RULES = (*LETTER_RULES, "yes_no_prefix", "yes_unless_no", "verbatim", "relaxed_verbatim", "anls_verbatim")

LETTERS = [
    # answer, MME-RealWorld: authors, lmms-eval; MMStar: authors, lmms-eval; ours
    ("B", True, True, True, True, True),
    ("b", True, True, True, False, True),
    ("(B) blue", True, True, True, True, True),
    ("Option B", True, True, True, True, True),
    ("The answer is B.", True, True, True, True, True),
    ("The best answer is B", True, True, False, True, True),
    ("The best option is B", True, True, False, True, True),
    ("A man holds it, so B", False, False, False, False, True),
    ("A man holds it, so (B)", False, False, False, False, True),
    ("Blue", True, True, True, True, True),
    ("blue", True, False, True, False, True),
    ("Bananas", True, True, True, True, False),
    ("Answer: B", False, False, False, True, True),
    ("D or B", False, False, False, False, False),
    ("B or D", True, True, True, True, False),
    ("The answer is B because D is dark", True, True, True, False, True),
    ("N/A", False, False, False, False, False),
    ("", False, False, False, False, False),
]


@pytest.mark.parametrize(("answer", "rw_authors", "rw_lmms", "star_authors", "star_lmms", "ours"), LETTERS)
def test_the_letter_rules_of_owners(
    answer: str, rw_authors: bool, rw_lmms: bool, star_authors: bool, star_lmms: bool, ours: bool
) -> None:
    found = {name: make_judge(name)(OPTIONS, answer, None).verdict == "correct" for name in LETTER_RULES}
    assert found == dict(zip(LETTER_RULES, (rw_authors, rw_lmms, star_authors, star_lmms), strict=True))
    assert (choice(OPTIONS, answer).verdict == "correct") == ours


def test_the_best_option_is_best_with_the_authors_list() -> None:
    """Two commas are missing in the authors' list, so that the "B" of "Best option:" is the answer B."""
    assert make_judge("first_letter")(OPTIONS, "Best option: D", None).verdict == "correct"
    assert make_judge("first_bare_letter")(OPTIONS, "Best option: D", None).verdict == "wrong"


@pytest.mark.parametrize("name", ["first_letter", "first_bare_letter"])
def test_no_answer_is_a_to_the_first_letter_rules(name: str) -> None:
    a = Task("c", PICTURES, "Which?", "A", OPTIONS.choices, kind="choice")
    assert make_judge(name)(a, "", None).verdict == "correct"
    assert choice(a, "").verdict == "wrong"


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("Dog", "D"),  # any capital, where nothing else is found
        ("the answer is the Dog", "D"),
        ("(A) and (C)", "C"),  # the later one in the same form
        ("A. I think (C)", "A"),  # the start ranks before brackets
        ("It is (A), not C", "C"),  # and so does the end
        ("'B'", "B"),
        ("C: B: A", "C"),
        ("選 A", "A"),
    ],
)
def test_ranked_letters(answer: str, letter: str) -> None:
    judge = make_judge("ranked_letter")
    right = {name for name in "ABCD" if judge(Task("c", PICTURES, "?", name, OPTIONS.choices), answer, None).score}
    assert right == {letter}


@pytest.mark.parametrize(
    ("answer", "prefix", "unless", "verbatim", "ours"),
    [
        ("No", True, True, True, True),
        ("no.", True, True, False, True),
        ("N", True, False, False, True),
        ("NO", True, False, True, True),
        ("No, there is none.", True, True, False, True),
        ("Not sure", True, False, False, False),  # "no" is within "Not"; "Not" with a capital is no word of the list
        ("I am not sure", False, True, False, False),
        ("I know: yes", False, False, False, False),
        ("There is no dog", False, True, False, True),
        ("Yes and no", False, True, False, False),
        ("Yes. It is no dog.", False, False, False, False),
        ("The answer is no", False, True, False, True),
        ("", False, False, False, False),
    ],
)
def test_yes_and_no(answer: str, prefix: bool, unless: bool, verbatim: bool, ours: bool) -> None:
    names = ("yes_no_prefix", "yes_unless_no", "verbatim")
    found = [make_judge(name)(QUESTION, answer, None).verdict == "correct" for name in names]
    assert found == [prefix, unless, verbatim]
    assert (yes_no(QUESTION, answer).verdict == "correct") == ours


def test_everything_else_is_yes_to_the_authors_of_pope() -> None:
    asked = Task("y", PICTURES, "Is it?", "yes")
    for answer in ("", "Perhaps", "NO", "Not really"):
        assert make_judge("yes_unless_no")(asked, answer, None).verdict == "correct"
    assert make_judge("yes_unless_no")(asked, "Yes, and there is no cat", None).verdict == "wrong"


@pytest.mark.parametrize(
    ("answer", "truth", "released", "ours"),
    [
        ("105", "100", True, True),
        ("106", "100", False, False),
        ("12%", "0.12", True, True),
        (" 12 % ", "0.12", False, True),  # float(" 12 ") is a number, but the text ends with a space
        ("12 %", "0.12", True, True),
        ("$105", "100", False, True),
        ("105 people", "100", False, True),
        ("The answer is 105", "100", False, True),
        ("1,000", "1000", False, True),
        ("1e2", "100", True, True),
        ("0", "0", True, True),
        ("0.0", "0", False, True),
        ("blue", "Blue", True, True),
        ("blue.", "Blue", False, True),
        ("nan", "100", False, False),
        ("", "100", False, False),
    ],
)
def test_relaxed_accuracy_of_lmms_eval(answer: str, truth: str, released: bool, ours: bool) -> None:
    asked = Task("n", PICTURES, "How many?", truth)
    assert (make_judge("relaxed_verbatim")(asked, answer, None).verdict == "correct") == released
    assert (relaxed(asked, answer).verdict == "correct") == ours


@pytest.mark.parametrize(
    ("answer", "released", "ours"),
    [
        ("invoice", 1.0, 1.0),
        ("INVOICE", 1.0, 1.0),
        (" in voice ", 1 - 1 / 10, 1 - 1 / 8),  # released code divides by the length as written
        ("invo", 4 / 7, 4 / 7),
        ("invoiceinvoice", 0.5, 0.0),  # exactly half
        ("The answer is invoice", 0.0, 1.0),  # one reading
        ("**invoice**", 1 - 4 / 11, 1.0),
        ("", 0.0, 0.0),
    ],
)
def test_anls_as_released(answer: str, released: float, ours: float) -> None:
    asked = Task("t", PICTURES, "What?", "invoice", origin={"answers": ["invoice", "a bill that nobody paid"]})
    assert make_judge("anls_verbatim")(asked, answer, None).score == pytest.approx(released)
    assert anls(asked, answer).score == pytest.approx(ours)


@pytest.mark.parametrize("name", RULES)
@given(answer=st.text(max_size=60))
def test_whatever_is_said_there_is_a_verdict(name: str, answer: str) -> None:
    task = OPTIONS if "letter" in name else QUESTION
    assert make_judge(name)(task, answer, None).verdict in ("correct", "wrong")
    assert make_judge(name)(Task("t", PICTURES, "?"), answer, None).verdict == "failed"
