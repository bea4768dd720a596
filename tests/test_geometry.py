from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from o3gym import geometry
from o3gym.types import FULL, Box, Size, Source

UNIT = st.floats(0, 1, allow_subnormal=False)
SIDE = st.integers(1, 10_000)
SIZE = st.tuples(SIDE, SIDE)


@st.composite
def boxes(draw: st.DrawFn, least: float = 1e-4) -> Box:
    x0, y0 = draw(st.floats(0, 1 - least)), draw(st.floats(0, 1 - least))
    return (x0, y0, draw(st.floats(x0 + least, 1)), draw(st.floats(y0 + least, 1)))


@st.composite
def pixel_boxes(draw: st.DrawFn) -> tuple[Size, tuple[int, int, int, int]]:
    w, h = draw(SIZE)
    x0, y0 = draw(st.integers(0, w - 1)), draw(st.integers(0, h - 1))
    return (w, h), (x0, y0, draw(st.integers(x0 + 1, w)), draw(st.integers(y0 + 1, h)))


@given(boxes(), boxes())
def test_relative_undoes_compose(outer: Box, inner: Box) -> None:
    assert geometry.relative(outer, geometry.compose(outer, inner)) == pytest.approx(inner, abs=1e-9)
    assert geometry.compose(outer, geometry.relative(outer, inner)) == pytest.approx(inner, abs=1e-9)


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="relative to the empty box"):
        geometry.relative((0.5, 0.5, 0.5, 0.9), FULL)


@given(pixel_boxes())
def test_whole_pixels_survive_unit_coordinates(case: tuple[Size, tuple[int, int, int, int]]) -> None:
    size, pixels = case
    assert geometry.snap(geometry.from_pixels(pixels, size), size) == pixels


@given(pixel_boxes(), st.integers(1, 20))
def test_the_full_crop_of_a_view_is_the_same_view_however_often(
    case: tuple[Size, tuple[int, int, int, int]], times: int
) -> None:
    size, pixels = case
    view = geometry.from_pixels(pixels, size)
    for _ in range(times):
        native = (pixels[2] - pixels[0], pixels[3] - pixels[1])
        inside = geometry.from_pixels(geometry.snap(FULL, native), native)
        view = geometry.from_pixels(geometry.snap(geometry.compose(view, inside), size), size)
    assert geometry.snap(view, size) == pixels


@given(boxes(least=1e-12), SIZE)
def test_snap_covers_the_box_with_at_least_one_pixel(box: Box, size: Size) -> None:
    x0, y0, x1, y1 = geometry.snap(box, size)
    assert 0 <= x0 < x1 <= size[0]
    assert 0 <= y0 < y1 <= size[1]
    left, top, right, bottom = geometry.to_pixels(box, size)
    slack = 2 * geometry.SNAP
    assert x0 <= left + slack
    assert right - slack <= x1
    assert y0 <= top + slack
    assert bottom - slack <= y1
    assert x1 - x0 < right - left + 2
    assert y1 - y0 < bottom - top + 2


@given(st.tuples(UNIT, UNIT, UNIT, UNIT), boxes())
def test_iou_is_symmetric_and_a_share(a: Box, b: Box) -> None:
    assert geometry.iou(a, b) == geometry.iou(b, a)
    assert 0 <= geometry.iou(a, b) <= 1
    assert geometry.iou(b, b) == pytest.approx(1)


def test_iou_and_coverage_by_hand() -> None:
    a, b = (0.0, 0.0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75)
    assert geometry.iou(a, b) == pytest.approx(0.0625 / 0.4375)
    assert geometry.coverage(a, b) == pytest.approx(0.25)
    assert geometry.coverage(a, (0.2, 0.2, 0.2, 0.4)) == 0
    assert geometry.iou((0.5, 0, 0, 0.5), (0.5, 0, 0, 0.5)) == 0


@given(
    st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)),
    st.integers(1, 3_000_000).flatmap(lambda low: st.tuples(st.just(low), st.integers(4 * low, 16_000_000))),
)
@example((20_000, 1), (1, 4))
@example((1, 1), (3, 12))
@example((3, 3), (9_000_001, 36_000_004))
def test_fit_keeps_to_the_budget_and_to_the_aspect_ratio(size: Size, budget: tuple[int, int]) -> None:
    low, high = budget
    fitted = geometry.fit(size, low, high)
    assert low <= fitted[0] * fitted[1] <= high
    if low <= size[0] * size[1] <= high:
        assert fitted == size
        return
    scale = math.sqrt((high if size[0] * size[1] > high else low) / (size[0] * size[1]))
    ideal = (size[0] * scale, size[1] * scale)
    if min(ideal) >= 1:  # else a side of one pixel, and as many along the other as there may be
        assert abs(fitted[0] - ideal[0]) <= 1
        assert abs(fitted[1] - ideal[1]) <= 1
    else:
        assert 1 in fitted


@given(boxes(), st.sampled_from([100, 999, 1000]))
def test_the_grid_is_off_by_half_a_step_at_most(box: Box, steps: int) -> None:
    grid = geometry.to_grid(box, steps)
    assert geometry.from_grid(grid, steps) == pytest.approx(box, abs=0.5 / steps + 1e-12)
    assert geometry.to_grid(geometry.from_grid(grid, steps), steps) == grid
    assert all(0 <= v <= steps for v in grid)


@given(boxes(), SIZE)
def test_the_other_frames_are_undone_by_their_partners(box: Box, size: Size) -> None:
    assert geometry.from_pixels(geometry.to_pixels(box, size), size) == pytest.approx(box, abs=1e-12)
    assert geometry.from_xywh(geometry.to_xywh(box)) == pytest.approx(box, abs=1e-12)
    assert geometry.yxyx(geometry.yxyx(box)) == box
    assert geometry.yxyx(box) == (box[1], box[0], box[3], box[2])


@given(st.tuples(UNIT, UNIT), st.floats(1e-3, 2), st.floats(1e-3, 2))
def test_around_keeps_the_size_and_stays_inside(middle: tuple[float, float], width: float, height: float) -> None:
    box = geometry.around(middle, width, height)
    assert box[2] - box[0] == pytest.approx(min(width, 1))
    assert box[3] - box[1] == pytest.approx(min(height, 1))
    assert geometry.clamp(box) == pytest.approx(box, abs=1e-12)
    inside = [min(max(m, s / 2), 1 - s / 2) for m, s in zip(middle, (min(width, 1), min(height, 1)), strict=True)]
    assert geometry.center(box) == pytest.approx(inside)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ([0, 0.5, 1, 1], True),
        ((5, -3, 0, 0), True),
        ([0, 0, 1], False),
        ([0, 0, 1, 1, 1], False),
        ([0, 0, 1, True], False),
        ([0, 0, 1, math.nan], False),
        ([0, 0, 1, math.inf], False),
        ([0, 0, 1, 10**400], False),
        ([0, 0, 1, "1"], False),
        ("0011", False),
        (None, False),
        ({0, 1, 2, 3}, False),
    ],
)
def test_a_box_is_four_finite_numbers(value: object, valid: bool) -> None:
    assert geometry.is_box(value) is valid


def test_a_quarter_turn_maps_a_box_by_its_affine() -> None:
    quarter = (0.0, 1.0, 0.0, -1.0, 0.0, 1.0)  # x' = y, y' = 1 - x
    assert geometry.apply_affine(quarter, (0.1, 0.2, 0.3, 0.6)) == pytest.approx((0.2, 0.7, 0.6, 0.9))


def test_boxes_of_derived_sources_are_followed_to_the_root() -> None:
    photo = Source.file("a.png")
    half = Source.derived(photo, "draw", (0.5, 0.0, 0.5, 0.0, 0.5, 0.25))
    quarter = Source.derived(half, "draw", (0.5, 0.0, 0.0, 0.0, 0.5, 0.5))
    assert geometry.to_root(photo, FULL) == (photo, FULL)
    assert geometry.to_root(quarter, (0.0, 0.5, 1.0, 1.0)) == (photo, (0.5, 0.625, 0.75, 0.75))
    assert geometry.to_root(Source.derived(quarter, "enhance", None), FULL) is None
    grown = Source.derived(photo, "rotate", (2.0, 0.0, -0.5, 0.0, 2.0, -0.5))
    assert geometry.to_root(grown, FULL) == (photo, FULL)


def test_pad_surround_and_union_by_hand() -> None:
    assert geometry.pad((0.4, 0.4, 0.6, 0.5), 2) == pytest.approx((0.3, 0.35, 0.7, 0.55))
    assert geometry.pad((0.0, 0.0, 0.2, 0.2), 2) == pytest.approx((0.0, 0.0, 0.3, 0.3))
    assert geometry.surround((0.5, 0.5, 0.501, 0.501)) == pytest.approx((0.4905, 0.4905, 0.5105, 0.5105))
    assert geometry.union([(0.1, 0.5, 0.2, 0.6), (0.4, 0.2, 0.5, 0.3)]) == (0.1, 0.2, 0.5, 0.6)
    assert geometry.union([]) == FULL
