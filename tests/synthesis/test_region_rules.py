"""The rules of the paper's appendix C.2, on boxes worked out by hand and on any boxes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.geometry import area
from o3gym.synthesis.detectors.base import LayoutBlock
from o3gym.synthesis.region_rules import (
    FIGURES,
    KEPT,
    LARGE,
    LARGE_CHART,
    Region,
    choose,
    effort,
    is_extreme,
    merge_effort,
    merged,
    without_doubles,
)
from o3gym.types import Box

CHART: Box = (0.1, 0.2, 0.5, 0.5)
"""0.12 of the picture."""
TITLE: Box = (0.1, 0.15, 0.5, 0.2)
"""Right above it and as wide, 0.02 of the picture."""


def alone(box: Box, label: str) -> Region:
    return Region(box, (LayoutBlock(box, label),))


def chosen(*blocks: tuple[Box, str], aspect: float = 1.0) -> tuple[list[tuple[str, Box]], Counter[str]]:
    regions, dropped = choose([LayoutBlock(box, label) for box, label in blocks], aspect)
    return [(region.label, region.box) for region in regions], dropped


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5), 0.0),  # two halves: 1 − 0.5 / 0.5
        ((0.0, 0.0, 0.2, 0.2), (0.3, 0.0, 0.5, 0.2), 0.2),  # 1 − (0.04 + 0.04) / 0.1
        ((0.0, 0.0, 0.1, 0.1), (0.9, 0.9, 1.0, 1.0), 0.98),  # opposite corners: 1 − 0.02 / 1
        ((0.0, 0.0, 0.4, 0.5), (0.1, 0.1, 0.2, 0.2), -0.05),  # one in the other: 1 − (0.2 + 0.01) / 0.2
    ],
)
def test_effort_by_hand(a: Box, b: Box, expected: float) -> None:
    assert effort(a, b) == pytest.approx(expected)
    assert effort(b, a) == pytest.approx(expected)


def test_a_title_merges_with_its_chart() -> None:
    assert chosen((CHART, "chart"), (TITLE, "figure_title")) == ([("chart", (0.1, 0.15, 0.5, 0.5))], Counter())


@pytest.mark.parametrize(
    ("gap", "label", "joined"),
    [
        # a box of 0.4 × 0.2 and one of 0.4 × 0.1 below it: the effort is gap / (gap + 0.3)
        (0.03, "text", True),  # 0.0909 < 0.1
        (0.034, "text", False),  # 0.1018
        (0.034, "paragraph_title", True),
        (0.052, "figure_title", True),  # 0.1477 < 0.15
        (0.054, "figure_title", False),  # 0.1525
    ],
)
def test_thresholds_of_effort(gap: float, label: str, joined: bool) -> None:
    upper, lower = alone((0.1, 0.1, 0.5, 0.3), "image"), alone((0.1, 0.3 + gap, 0.5, 0.4 + gap), label)
    assert (merge_effort(upper, lower, 1.0) is not None) == joined
    assert (merge_effort(lower, upper, 1.0) is not None) == joined


def test_the_least_effort_goes_first() -> None:
    """A title between two charts: 0.02 above the lower one, 0.01 below the upper one."""
    upper, lower = (0.1, 0.1, 0.5, 0.3), (0.1, 0.38, 0.5, 0.58)
    regions, dropped = chosen((lower, "chart"), ((0.1, 0.31, 0.5, 0.36), "figure_title"), (upper, "chart"))
    assert regions == [("chart", (0.1, 0.1, 0.5, 0.36)), ("chart", lower)]
    assert not dropped


@pytest.mark.parametrize(
    ("a", "b", "aspect"),
    [
        ((0.0, 0.0, 0.5, 0.3), (0.0, 0.3, 0.5, 0.51), 1.0),  # 0.255 of the picture
        ((0.0, 0.0, 0.4, 0.1), (0.4, 0.0, 0.7, 0.1), 1.0),  # 7:1
        ((0.0, 0.0, 0.2, 0.1), (0.2, 0.0, 0.4, 0.1), 1.3),  # 4:1 of a square is 5.2:1 here
    ],
)
def test_merges_that_are_skipped(a: Box, b: Box, aspect: float) -> None:
    assert effort(a, b) == pytest.approx(0.0)
    assert merge_effort(alone(a, "text"), alone(b, "text"), aspect) is None


@pytest.mark.parametrize("label", FIGURES)
def test_charts_and_tables_are_not_merged_with_each_other(label: str) -> None:
    beside = (0.5, 0.2, 0.9, 0.5)
    regions, _ = chosen((CHART, "chart"), (beside, label))
    assert [box for _, box in regions] == [CHART, beside]


@pytest.mark.parametrize(
    ("box", "label", "reason"),
    [
        ((0.1, 0.1, 0.4, 0.4), "header", 'class "header"'),
        ((0.0, 0.0, 0.5, 0.51), "table", "larger than 0.25"),
        ((0.0, 0.0, 0.9, 0.9), "chart", "chart larger than 0.8"),
        ((0.4, 0.1, 0.4, 0.4), "chart", "no area"),
        ((float("nan"), 0.1, 0.4, 0.4), "chart", "no area"),
        ((0.1, 0.1, 0.4, 0.4), "text", "unmerged text"),
        ((0.1, 0.1, 0.4, 0.2), "paragraph_title", "unmerged title"),
        ((0.1, 0.1, 0.4, 0.4), "image", "unmerged image without text"),
        ((0.1, 0.1, 0.13, 0.13), "table", "smaller than 0.001"),  # 0.0009
        ((0.1, 0.1, 0.7, 0.2), "table", "sides beyond 5:1"),
        ((0.1, 0.1, 0.2, 0.7), "chart", "sides beyond 5:1"),
    ],
)
def test_what_is_dropped_and_why(box: Box, label: str, reason: str) -> None:
    assert chosen((box, label)) == ([], Counter({reason: 1}))


@pytest.mark.parametrize(
    ("box", "label"),
    [((0.0, 0.0, 0.5, 0.5), "table"), ((0.1, 0.0, 0.9, 1.0), "chart"), ((0.1, 0.1, 0.132, 0.132), "table")],
)
def test_what_lies_at_a_limit_stays(box: Box, label: str) -> None:
    assert chosen((box, label)) == ([(label, box)], Counter())


def test_a_chart_around_another_is_dropped() -> None:
    inner = (0.2, 0.2, 0.4, 0.4)
    regions, dropped = chosen(((0.1, 0.1, 0.5, 0.5), "table"), (inner, "chart"))
    assert (regions, dropped) == ([("chart", inner)], Counter({"chart or table around another": 1}))


@pytest.mark.parametrize(("right", "inside"), [(0.52, True), (0.54, False)])
def test_an_unmerged_image_stays_where_it_has_writing(right: float, inside: bool) -> None:
    """The text sticks out, so that a merge would be larger than 0.25; 0.2 of its width of 0.22 or 0.24 lie inside."""
    image, text = (0.0, 0.0, 0.5, 0.5), (0.3, 0.3, right, 0.4)
    regions, dropped = chosen((image, "image"), (text, "text"))
    assert regions == ([("image", image)] if inside else [])
    assert dropped == Counter(["unmerged text", *([] if inside else ["unmerged image without text"])])


def test_doubled_boxes_go_by_score() -> None:
    box, near = (0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.5, 0.4)  # IoU 0.75
    assert without_doubles([LayoutBlock(near, "text", 0.4), LayoutBlock(box, "text", 0.9)]) == [
        LayoutBlock(box, "text", 0.9)
    ]
    assert len(without_doubles([LayoutBlock(near, "text", 0.4), LayoutBlock(box, "table", 0.9)])) == 2
    assert len(without_doubles([LayoutBlock(box, "text", 0.4), LayoutBlock(box, "table", 0.9)])) == 1


EDGES = st.integers(0, 40).map(lambda step: step / 40)
BOXES = st.tuples(EDGES, EDGES, EDGES, EDGES).map(
    lambda e: (min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3]))
)
BLOCKS = st.builds(
    LayoutBlock, BOXES, st.sampled_from([*KEPT, "header"]), st.integers(1, 9).map(lambda score: score / 10)
)
LAYOUTS = st.lists(BLOCKS, max_size=14)
ASPECTS = st.sampled_from([0.3, 1.0, 4 / 3, 3.0])


@given(LAYOUTS, ASPECTS)
def test_every_block_is_in_one_region_or_counted_once(blocks: list[LayoutBlock], aspect: float) -> None:
    regions, dropped = choose(blocks, aspect)
    assert sum(len(region.parts) for region in regions) + dropped.total() == len(blocks)
    assert not Counter(part for region in regions for part in region.parts) - Counter(blocks)


@given(LAYOUTS, ASPECTS)
def test_regions_keep_to_all_limits(blocks: list[LayoutBlock], aspect: float) -> None:
    for region in choose(blocks, aspect)[0]:
        assert 0.001 <= area(region.box) <= (LARGE_CHART if region.label == "chart" else LARGE) + 1e-9
        assert not region.merged or area(region.box) <= LARGE + 1e-9
        assert not is_extreme(region.box, aspect)
        assert sum(part.label in FIGURES for part in region.parts) <= 1
        assert region.merged or region.label in (*FIGURES, "image")


@given(LAYOUTS, ASPECTS, st.randoms(use_true_random=False))
def test_the_order_of_blocks_is_of_no_importance(blocks: list[LayoutBlock], aspect: float, rng) -> None:
    mixed = list(blocks)
    rng.shuffle(mixed)
    assert choose(mixed, aspect) == choose(blocks, aspect)


@given(LAYOUTS, ASPECTS)
def test_merging_ends_where_no_two_may_be_merged(blocks: list[LayoutBlock], aspect: float) -> None:
    regions = merged([alone(block.box, block.label) for block in blocks if area(block.box) > 0], aspect)
    assert all(merge_effort(a, b, aspect) is None for a, b in combinations(regions, 2))
