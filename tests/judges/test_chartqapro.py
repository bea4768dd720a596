from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.judges.base import make_judge
from o3gym.judges.chartqapro import chartqapro, chartqapro_harness, chartqapro_released
from o3gym.types import Source, Task


def asked(answer: str, *years: str, exact: bool = False) -> Task:
    return Task("q", (Source.file("a"),), "?", answer, origin={"years": list(years) or ["NO"], "exact": exact})


@pytest.mark.parametrize(
    ("task", "answer", "ours", "released"),
    [
        (asked("40"), "42", 1.0, 1.0),
        (asked("40"), "42.1", 0.0, 0.0),
        (asked("40%"), "40", 1.0, 1.0),
        (asked("0"), "0.01", 0.0, 0.0),
        (asked("2016", "YES"), "2017", 0.0, 0.0),
        (asked("2016", "YES"), "2016.", 1.0, 1.0),
        (asked("2016"), "2017", 1.0, 1.0),
        (asked("40"), "The answer is 40.", 1.0, 0.0),
        (asked("40"), "$40", 1.0, 2 / 3),  # as texts, the released code says
        (asked("1200"), "1,200", 1.0, 0.8),
        (asked("Argentina"), "argentina", 1.0, 1.0),
        (asked("Argentina"), "Argentine", 1 - 1 / 9, 1 - 1 / 9),
        (asked("ab"), "ac", 0.0, 0.0),  # a distance of exactly half
        (asked("[2015, 2016]", "YES", "YES"), "[2015, 2016]", 1.0, 1.0),
        (asked("[2015, 2016]", "YES"), "[2015, 2017]", 0.5, 0.5),  # the flag is repeated
        (asked("[2015, 2016]"), "[2015]", 0.5, 0.5),
        (asked("[2015, 2016]"), "[2015, 2016, 2017]", 2 / 3, 2 / 3),
        (asked("[2015, 2016]"), "2015, 2016", 1.0, 0.0),
        (asked("[tea, milk]"), "['tea', 'milk']", 1.0, 1.0),
        (asked("[tea, milk]"), "[tea, milk]", 1.0, 0.0),  # no list to Python
        (asked("[New York, Rome]"), "['New York', 'Rome']", 1.0, (7 / 8 + 1) / 2),  # "NewYork" in the released code
        (asked("unanswerable"), "Unanswerable", 1.0, 1.0),
    ],
)
def test_items_are_numbers_years_texts_and_lists(task: Task, answer: str, ours: float, released: float) -> None:
    assert chartqapro(task, answer).score == pytest.approx(ours)
    assert chartqapro_released(task, answer).score == pytest.approx(released)
    assert chartqapro_harness(task, answer).score == pytest.approx(released)


@pytest.mark.parametrize(
    ("truth", "answer", "ours", "authors", "harness"),
    [
        ("False", "false", 1.0, 1.0, 1.0),
        ("False", "Flase", 0.0, 0.6, 0.0),
        ("False", "The claim is false", 0.0, 0.0, 0.0),
        ("False", "Answer: False", 1.0, 0.0, 0.0),
        ("B", "b", 1.0, 1.0, 1.0),
        ("B", "(B) coffee", 1.0, 0.0, 0.0),
        ("B", "A", 0.0, 0.0, 0.0),
        ("20", "20.5", 0.0, 1.0, 0.0),  # an option that is a number
    ],
)
def test_choices_and_facts_are_compared_exactly(
    truth: str, answer: str, ours: float, authors: float, harness: float
) -> None:
    task = asked(truth, exact=True)
    found = [judge(task, answer).score for judge in (chartqapro, chartqapro_released, chartqapro_harness)]
    assert found == pytest.approx([ours, authors, harness])


def test_half_of_the_score_is_correct() -> None:
    verdicts = [chartqapro(asked("[1, 2, 3]"), answer).verdict for answer in ("[1, 2]", "[1]")]
    assert verdicts == ["correct", "wrong"]


@pytest.mark.parametrize("name", ["chartqapro", "chartqapro_released", "chartqapro_harness"])
@given(
    answer=st.text(max_size=40) | st.sampled_from(["[", "[]", "[[1]]", "['\\d']", "nan", "-inf"]),
    task=st.sampled_from([asked("40"), asked("[a, b]"), asked("2016", "YES"), asked("B", exact=True)]),
)
def test_every_answer_has_a_verdict(name: str, answer: str, task: Any) -> None:
    assert make_judge(name)(task, answer, None).verdict in ("correct", "wrong")
    assert make_judge(name)(Task("t", task.sources, "?"), answer, None).verdict == "failed"


@pytest.mark.parametrize("answer", ["[" * 9000, "[" + "-" * 9000 + "1]", "[" * 4000 + "]" * 4000])
def test_answers_that_python_cannot_parse_are_texts(answer: str) -> None:
    assert chartqapro_released(asked("40"), answer).verdict == "wrong"
