"""Which boxes of a layout become region searches: the paper's rules on hand-made layouts, and what holds for any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.geometry import area, coverage, union
from o3gym.synthesis.detectors.base import Block
from o3gym.synthesis.region_rules import (
    KEPT,
    LARGE,
    SMALL,
    Region,
    choose,
    effort,
    is_extreme,
    merge_effort,
    without_doubles,
)
from o3gym.types import Box


def block(label: str, *box: float, score: float = 1.0) -> Block:
    x0, y0, x1, y1 = box
    return Block((x0, y0, x1, y1), label, score)


def region(label: str, *box: float) -> Region:
    found = block(label, *box)
    return Region(found.box, (found,))


def test_the_effort_of_a_merge_is_what_the_boxes_do_not_fill() -> None:
    left, right, far = (0.0, 0.0, 0.2, 0.1), (0.2, 0.0, 0.4, 0.1), (0.6, 0.0, 0.8, 0.1)
    assert effort(left, right) == pytest.approx(0.0)
    assert effort(left, far) == pytest.approx(0.5)  # half of 0.8 × 0.1
    assert effort(left, left) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("first", "second", "merges"),
    [
        (region("text", 0, 0, 0.2, 0.1), region("text", 0, 0.11, 0.2, 0.2), True),  # effort 0.05
        (region("text", 0, 0, 0.2, 0.1), region("text", 0, 0.125, 0.2, 0.2), False),  # 0.125
        (region("figure_title", 0, 0, 0.2, 0.1), region("text", 0, 0.125, 0.2, 0.2), True),
        (region("figure_title", 0, 0, 0.2, 0.1), region("text", 0, 0.14, 0.2, 0.2), False),  # 0.2
        (region("chart", 0, 0, 0.2, 0.1), region("table", 0, 0.1, 0.2, 0.2), False),
        (region("chart", 0, 0, 0.2, 0.1), region("figure_title", 0, 0.1, 0.2, 0.13), True),
        (region("text", 0, 0, 0.6, 0.3), region("text", 0, 0.3, 0.6, 0.45), False),  # 0.27 of the picture
        (region("text", 0, 0, 0.4, 0.1), region("text", 0.4, 0, 0.6, 0.1), False),  # 6 : 1
    ],
)
def test_what_is_close_is_merged_within_the_limits(first: Region, second: Region, merges: bool) -> None:
    assert (merge_effort(first, second, 1.0) is not None) == merges
    assert (merge_effort(second, first, 1.0) is not None) == merges


def test_sides_are_compared_in_pixels() -> None:
    assert not is_extreme((0.0, 0.0, 0.5, 0.1), 1.0)
    assert is_extreme((0.0, 0.0, 0.51, 0.1), 1.0)
    assert is_extreme((0.0, 0.0, 0.5, 0.1), 2.0)
    assert is_extreme((0.0, 0.0, 0.1, 0.51), 1.0)


def test_a_chart_gets_its_title_and_every_reason_is_counted() -> None:
    found, dropped = choose(
        [
            block("figure_title", 0.02, 0.02, 0.22, 0.05),
            block("chart", 0.02, 0.05, 0.32, 0.30),
            block("text", 0.5, 0.5, 0.6, 0.55),
            block("paragraph_title", 0.7, 0.9, 0.8, 0.93),
            block("image", 0.40, 0.02, 0.48, 0.10),
            block("image", 0.70, 0.02, 0.90, 0.20),
            block("text", 0.72, 0.05, 0.80, 0.07),
            block("text", 0.72, 0.05, 0.80, 0.071, score=0.4),
            block("header", 0.0, 0.0, 0.9, 0.01),
            block("table", 0.0, 0.4, 0.9, 0.9),
            block("table", 0.02, 0.95, 0.03, 0.96),
            block("chart", 0.5, 0.5, 0.5, 0.9),
        ],
        1.0,
    )
    assert [(one.label, one.merged) for one in found] == [("chart", True), ("image", True)]
    assert found[0].box == (0.02, 0.02, 0.32, 0.30)
    assert found[1].box == (0.70, 0.02, 0.90, 0.20)
    assert dropped == {
        "unmerged text": 1,
        "unmerged title": 1,
        "unmerged image without text": 1,
        "doubled": 1,
        'class "header"': 1,
        f"larger than {LARGE}": 1,
        f"smaller than {SMALL}": 1,
        "no area": 1,
    }


def test_a_chart_around_others_is_dropped_and_a_large_one_is_not() -> None:
    around = block("chart", 0.0, 0.0, 0.8, 0.9)
    inner = [block("chart", 0.05, 0.05, 0.35, 0.35), block("table", 0.45, 0.05, 0.75, 0.35)]
    found, dropped = choose([around, *inner], 1.0)
    assert [one.box for one in found] == [one.box for one in inner]
    assert dropped == {"chart or table around another": 1}
    assert [one.box for one in choose([around], 1.0)[0]] == [around.box]
    assert choose([block("chart", 0.0, 0.0, 0.9, 0.9)], 1.0)[1] == {"chart larger than 0.8": 1}


def test_of_two_that_are_the_same_the_surer_one_stays() -> None:
    sure, unsure = block("text", 0, 0, 0.2, 0.2, score=0.9), block("text", 0, 0, 0.2, 0.21, score=0.5)
    other = block("image", 0, 0, 0.2, 0.21, score=0.4)
    assert without_doubles([unsure, sure]) == [sure]
    assert without_doubles([other, sure]) == [sure, other]  # of two classes, and 0.95 alike


@st.composite
def layouts(draw: st.DrawFn) -> list[Block]:
    def side() -> tuple[float, float]:
        low = draw(st.floats(-0.1, 1.0))
        return low, low + draw(st.floats(0.0, 0.4))

    def one() -> Block:
        (x0, x1), (y0, y1) = side(), side()
        return Block((x0, y0, x1, y1), draw(st.sampled_from([*KEPT, "header"])), draw(st.floats(0, 1)))

    return [one() for _ in range(draw(st.integers(0, 12)))]


@given(blocks=layouts(), aspect=st.floats(0.3, 3.0), seed=st.randoms())
def test_whatever_is_found_what_is_kept_keeps_the_rules(blocks: list[Block], aspect: float, seed) -> None:
    found, dropped = choose(blocks, aspect)
    assert sum(len(one.parts) for one in found) + dropped.total() == len(blocks)
    for one in found:
        assert area(one.box) >= SMALL
        assert not is_extreme(one.box, aspect)
        assert one.label in KEPT
        assert one.box == union([part.box for part in one.parts])
        assert area(one.box) <= LARGE or not one.merged
        assert all(coverage(one.box, part.box) == pytest.approx(1) for part in one.parts)
        assert sum(part.label in ("chart", "table") for part in one.parts) <= 1
    shuffled = list(blocks)
    seed.shuffle(shuffled)
    boxes: list[Box] = [one.box for one in choose(shuffled, aspect)[0]]
    assert boxes == [one.box for one in found]
