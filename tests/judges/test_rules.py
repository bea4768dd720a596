from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.judges.answers import MAX_ANSWER
from o3gym.judges.base import Judgement, make_judge, references
from o3gym.judges.rules import anls, auto, box, choice, edit_distance, exact, numeric, relaxed, similarity
from o3gym.registry import JUDGES, UnknownName
from o3gym.types import Source, Target, Task

RULES = sorted(name for name in JUDGES if not isinstance(JUDGES[name], type))
PICTURE = (Source.generated("synthetic", seed=1),)
COLOURS = ("red", "blue", "green", "yellow")


def task(kind="free", answer="", choices=(), targets=(), **origin):
    return Task("t", PICTURE, "?", answer, choices, tuple(Target(b) for b in targets), kind, origin=origin)


def test_choice_judges_the_letter():
    asked = task("choice", "B", COLOURS)
    assert choice(asked, "(B) blue", None) == Judgement("correct", 1.0, "option B")
    assert choice(asked, "C", None) == Judgement("wrong", 0.0, "option C")
    assert choice(asked, "A or B", None).verdict == "wrong"
    assert choice(asked, "", None).reason == "no answer"


def test_choice_without_listed_options_reads_any_letter():
    assert choice(task("choice", "K"), "Answer: K", None).verdict == "correct"


@pytest.mark.parametrize("truth", ["", "Z", "blue"])
def test_choice_without_a_right_option_fails(truth):
    assert choice(task("choice", truth, COLOURS), "B", None).verdict == "failed"


@pytest.mark.parametrize(
    ("answer", "truth", "correct"),
    [
        ("Red Car", "red car", True),
        ("the red car.", "red car", True),
        ('"red  car"', "red car", True),
        ("The answer is: red car. It is parked.", "red car", True),
        ("<answer>red car</answer>", "red car", True),
        ("red", "red car", False),
        ("not red car", "red car", False),
        ("incorrect", "correct", False),
        ("2–3", "2-3", True),
        ("?", "?", True),
        ("", "red car", False),
    ],
)
def test_exact(answer, truth, correct):
    assert (exact(task(answer=truth), answer).verdict == "correct") is correct


def test_several_accepted_answers():
    asked = task(answer="UK", answers=["United Kingdom", "UK", 7])
    assert references(asked) == ("UK", "United Kingdom")
    assert exact(asked, "united kingdom").verdict == "correct"
    assert anls(asked, "Untied Kingdom").score == pytest.approx(1 - 2 / 14)


@pytest.mark.parametrize(
    ("answer", "truth", "correct"),
    [
        ("1,000", "1000", True),
        ("5 cars", "5", True),
        ("The answer is 5.", "5", True),
        ("½", "0.5", True),
        ("1½", "3/2", True),
        ("−2", "-2", True),
        ("45%", "45", True),
        ("45%", "0.45", True),
        ("0.45", "45%", True),
        ("45", "45%", True),
        ("4500%", "45%", False),
        ("12 kg", "12 g", False),
        ("$5", "€5", False),
        ("5", "6", False),
        ("2.5 million", "2,500,000", True),
        ("three", "3", True),
        ("many", "3", False),
        ("10²", "102", False),
    ],
)
def test_numeric(answer, truth, correct):
    assert (numeric(task(answer=truth), answer).verdict == "correct") is correct


def test_numeric_without_a_number_to_compare_fails():
    assert numeric(task(answer="red"), "5").verdict == "failed"


@pytest.mark.parametrize(
    ("answer", "truth", "correct"),
    [
        ("105", "100", True),
        ("95", "100", True),
        ("106", "100", False),
        ("-105", "-100", True),
        ("12%", "0.12", True),
        ("12%", "12", False),
        ("0", "0", True),
        ("0.001", "0", False),
        ("Yes", "yes", True),
        ("No", "yes", False),
    ],
)
def test_relaxed(answer, truth, correct):
    assert (relaxed(task(answer=truth), answer).verdict == "correct") is correct


def test_anls_by_hand():
    asked = task(answer="invoice")
    assert anls(asked, "Invoice") == Judgement("correct", 1.0)
    assert anls(asked, "invoce").score == pytest.approx(6 / 7)
    assert anls(asked, "inv") == Judgement("wrong", 0.0)
    assert anls(asked, "") == Judgement("wrong", 0.0)
    assert similarity("ab", "ac") == 0.0  # NL = 0.5 is not below the threshold
    assert edit_distance("kitten", "sitting") == 3


def test_the_edit_distance_is_bounded():
    start = time.process_time()
    assert anls(task(answer="x" * 9000), "y" * 9000).score == 0.0
    assert time.process_time() - start < 2.0


TARGET = (0.0, 0.0, 0.5, 0.5)


@pytest.mark.parametrize(
    ("targets", "answer", "located", "verdict", "score"),
    [
        ([TARGET], "[0,0,0.5,0.5]", TARGET, "correct", 1.0),
        ([TARGET], "[0,0,0.5,0.25]", (0.0, 0.0, 0.5, 0.25), "correct", 0.5),
        ([TARGET], "[0,0,0.25,0.25]", (0.0, 0.0, 0.25, 0.25), "wrong", 0.25),
        ([TARGET], "null", None, "wrong", 0.0),
        ([TARGET], "", None, "wrong", 0.0),
        ([], "null", None, "correct", 1.0),
        ([], "", None, "wrong", 0.0),
        ([], "[0,0,1,1]", (0.0, 0.0, 1.0, 1.0), "wrong", 0.0),
        ([(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)], "[0,0,1,1]", (0.0, 0.0, 1.0, 1.0), "correct", 1.0),
    ],
)
def test_box(targets, answer, located, verdict, score):
    judgement = box(task("box", targets=targets), answer, located)
    assert (judgement.verdict, judgement.score) == (verdict, pytest.approx(score))


def test_a_target_outside_of_the_first_picture_cannot_be_judged():
    asked = Task("t", PICTURE * 2, "?", kind="box", targets=(Target(TARGET, source=1),))
    assert box(asked, "null", None).verdict == "failed"


def test_auto_picks_by_kind():
    assert auto(task("choice", "B", COLOURS), "blue").verdict == "correct"
    assert auto(task("box"), "null").verdict == "correct"
    assert auto(task(answer="blue"), "Blue.").verdict == "correct"
    assert auto(task(answer="1000"), "1,000 people").verdict == "correct"
    assert auto(task(answer="1000"), "none").verdict == "wrong"
    assert auto(task(answer="blue"), "5") == Judgement("wrong", 0.0)


@pytest.mark.parametrize("name", RULES)
def test_without_ground_truth_every_judge_fails(name):
    for asked in (task(), task("choice", "B", COLOURS, ground_truth=False), task(answer="5", ground_truth=False)):
        assert JUDGES[name](asked, "B", None).verdict == "failed"
    assert auto(task("box", ground_truth=False), "null").verdict == "failed"


@given(
    answer=st.text(max_size=200), truth=st.text(max_size=30), kind=st.sampled_from(["choice", "free", "box", "span"])
)
def test_judges_never_raise(answer, truth, kind):
    asked = task(kind, truth, COLOURS if kind == "choice" else (), [TARGET])
    for name in RULES:
        judgement = JUDGES[name](asked, answer, None)
        assert judgement.verdict in ("correct", "wrong", "failed"), name
        assert (judgement.score is None) == (judgement.verdict == "failed"), name


HARD = "ABCD() .,:'\"answeriotpn*_`$\\boxed{}<>/-%0123456789 \n½²"


@given(answer=st.text(alphabet=HARD, max_size=120))
def test_judges_never_raise_on_almost_answers(answer):
    for name in RULES:
        JUDGES[name](task("choice", "B", COLOURS), answer, None)
        JUDGES[name](task(answer="5"), answer, None)


@given(a=st.text(max_size=40), b=st.text(max_size=40))
def test_similarity_is_bounded_and_symmetric(a, b):
    assert 0.0 <= similarity(a, b) <= 1.0
    assert similarity(a, b) == similarity(b, a)
    assert similarity(a, a) == 1.0


@pytest.mark.parametrize("junk", ["A ", "1", "1,", "(", "\\boxed{", "<answer>", "answer is ", " -", "$", "B or "])
def test_long_answers_cost_little(junk):
    answer = junk * (5 * MAX_ANSWER // len(junk))
    start = time.process_time()
    for name in RULES:
        JUDGES[name](task("choice", "B", COLOURS), answer, None)
        JUDGES[name](task(answer="5"), answer, None)
    assert time.process_time() - start < 4.0


def test_make_judge():
    assert make_judge("anls") is anls
    with pytest.raises(ValueError, match="takes no argument"):
        make_judge("anls:gpt")
    with pytest.raises(UnknownName, match='did you mean "numeric"'):
        make_judge("numric")


class Parrot:
    """A judge with an argument, as model judges are."""

    def __init__(self, argument, wrong=False):
        self.argument, self.wrong = argument, wrong

    def __call__(self, task, answer, located):
        return Judgement("wrong" if self.wrong else "correct", 0.0 if self.wrong else 1.0, self.argument)


def test_make_judge_builds_classes_with_the_argument(monkeypatch):
    monkeypatch.setitem(JUDGES._paths, "parrot", "tests:Parrot")
    monkeypatch.setitem(JUDGES._loaded, "parrot", Parrot)
    assert make_judge("parrot:polly?wrong=true")(task(), "x", None) == Judgement("wrong", 0.0, "polly")


@pytest.mark.parametrize(
    ("verdict", "score"), [("maybe", 1.0), ("", None), ("failed", 0.0), ("correct", None), ("wrong", 2.0)]
)
def test_judgements_are_consistent(verdict, score):
    with pytest.raises(ValueError, match="expected"):
        Judgement(verdict, score)
