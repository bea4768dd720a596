from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.geometry import disjoint, overlap, span_iou
from o3gym.judges.rules import auto
from o3gym.judges.spans import read_span, true_spans
from o3gym.types import FULL, Source, Target, Task

PICTURE = Source.generated("synthetic", seed=0)
FILM = Source("generated", "synthetic_video", {"seed": 0}, duration=60.0)
SPANS = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60)).map(lambda pair: (min(pair), max(pair))), max_size=5)


def task(*times: tuple[float, float], sources: tuple[Source, ...] = (FILM,), **origin: object) -> Task:
    place = next((i for i, source in enumerate(sources) if source.duration), 0)
    targets = tuple(Target(FULL, place, time=time) for time in times)
    return Task("t", sources, "When?", targets=targets, kind="span", origin=origin)


@pytest.mark.parametrize(
    ("answer", "verdict", "score"),
    [
        ("[10, 20]", "correct", 1.0),
        ("[10, 15]", "correct", 0.5),
        ("[10, 14]", "wrong", 0.4),
        ("[30, 40]", "wrong", 0.0),
        ("[20, 10]", "wrong", 0.0),
        ("", "wrong", 0.0),
        ("ten to twenty", "wrong", 0.0),
        ("[NaN, 20]", "wrong", 0.0),
        ("[1e999, 20]", "wrong", 0.0),
        ("[10]", "wrong", 0.0),
        ("[" * 100_000, "wrong", 0.0),
    ],
)
def test_an_interval_is_judged_by_its_temporal_iou(answer: str, verdict: str, score: float) -> None:
    judgement = auto(task((10.0, 20.0)), answer)
    assert (judgement.verdict, judgement.score) == (verdict, pytest.approx(score))


def test_several_intervals_count_together() -> None:
    assert auto(task((0.0, 10.0), (20.0, 30.0)), "[0, 30]").score == pytest.approx(2 / 3)
    assert auto(task((0.0, 10.0), (5.0, 20.0)), "[0, 20]").score == 1.0


def test_only_intervals_of_the_first_video_are_truths() -> None:
    both = task((1.0, 2.0), sources=(PICTURE, FILM))
    assert true_spans(both) == [(1.0, 2.0)]
    assert auto(both, "[1, 2]").verdict == "correct"


@pytest.mark.parametrize("asked", [task(), task((1.0, 2.0), ground_truth=False), task((1.0, 2.0), sources=(PICTURE,))])
def test_without_an_interval_as_truth_nothing_is_judged(asked: Task) -> None:
    assert auto(asked, "[1, 2]").verdict == "failed"


@given(one=SPANS, other=SPANS)
def test_the_temporal_iou_is_symmetric_and_bounded(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    assert span_iou(one, other) == pytest.approx(span_iou(other, one))
    assert 0.0 <= span_iou(one, other) <= 1.0
    assert span_iou(one, one) == pytest.approx(1.0 if disjoint(one) else 0.0)
    assert all(overlap(a, b) == 0.0 for i, a in enumerate(disjoint(one)) for b in disjoint(one)[i + 1 :])


def test_an_answer_that_is_no_interval_is_none() -> None:
    assert [read_span(text) for text in ("[1, 2.5]", "[true, 2]", "{}", "null")] == [(1.0, 2.5), None, None, None]
