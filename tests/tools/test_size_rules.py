from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.geometry import from_pixels
from o3gym.registry import SIZE_RULES
from o3gym.tools.base import Invalid
from o3gym.tools.size_rules import DISPLAYS, Display, mini_o3_fit
from o3gym.types import Box, Size

PixelBox = tuple[float, float, float, float]


@pytest.mark.parametrize(
    ("rule", "size", "pixels", "expected"),
    [
        ("o3gym", (100, 50), (10.1, 10, 30.5, 25), (10, 10, 31, 25)),
        ("o3gym", (100, 50), (10.2, 10.2, 10.3, 10.3), (10, 10, 11, 11)),
        ("o3gym", (4000, 10), (0, 3, 4000, 4), (0, 3, 4000, 4)),
        # truncated, and never past the last pixel
        ("mini_o3", (100, 50), (10.9, 5.5, 99.9, 50), (10, 5, 99, 49)),
        ("mini_o3", (100, 50), (0, 0, 100, 50), (0, 0, 99, 49)),
        ("mini_o3", (100, 50), (10.5, 10.5, 10.9, 20), "too_small"),
        ("mini_o3", (100, 50), (99.5, 10, 100, 20), "too_small"),
        ("mini_o3", (1000, 10), (0, 2.5, 199.5, 3.5), (0, 2, 199, 3)),
        ("mini_o3", (1000, 10), (0, 2.5, 200.5, 3.5), "aspect"),  # 200:1 is refused already
        # both sides above 30, at most 100:1
        ("deepeyes", (200, 200), (10, 10, 41, 41), (10, 10, 41, 41)),
        ("deepeyes", (200, 200), (10, 10, 40, 41), "too_small"),
        ("deepeyes", (200, 200), (10.5, 10, 40.5, 41), "too_small"),  # 30 pixels, although 31 pixels are touched
        ("deepeyes", (200, 200), (10.5, 11.5, 41.5, 42.5), (10, 12, 42, 42)),  # halves to the even pixel, as Pillow
        ("deepeyes", (200, 200), (10.4, 10.6, 41.4, 41.6), (10, 11, 41, 42)),
        ("deepeyes", (4000, 200), (0, 10, 3100, 41), (0, 10, 3100, 41)),
        ("deepeyes", (4000, 200), (0, 10, 3101, 41), "aspect"),
        ("deepeyes", (4000, 200), (0, 10, 4000, 20), "aspect"),
        # 14x7 grows fourfold to 56x28, keeps its middle (47, 43.5), and is shifted inside
        ("insight_o3", (100, 80), (40, 40, 54, 47), (19, 29, 75, 58)),  # 29.5 to 57.5
        ("insight_o3", (100, 80), (0, 0, 14, 7), (0, 0, 56, 28)),
        ("insight_o3", (100, 80), (86, 73, 100, 80), (44, 52, 100, 80)),
        ("insight_o3", (100, 80), (0, 40, 90, 45), "too_small"),  # 504x28 would be wider than the view
        ("insight_o3", (100, 80), (10, 10, 30.5, 38), (6, 4, 35, 44)),  # 28x38.24 about (20.25, 24)
        ("insight_o3", (100, 80), (10.4, 10.6, 60.5, 60.4), (10, 11, 60, 60)),  # to the nearest pixel
        ("insight_o3", (100, 80), (10, 10, 38, 38), (10, 10, 38, 38)),
        ("insight_o3", (100, 20), (10, 10, 15, 15), "too_small"),
        ("insight_o3", (1000, 80), (0, 0, 1000, 9), "aspect"),
        # a tenth of the view on each side; above 28 in the end
        ("pixel_reasoner", (1000, 500), (400, 200, 420, 210), (300, 150, 520, 260)),
        ("pixel_reasoner", (1000, 500), (0, 200, 1000, 210), (0, 150, 1000, 260)),
        ("pixel_reasoner", (8000, 6000), (4000, 3000, 4008, 3006), (3200, 2400, 4808, 3606)),
        ("pixel_reasoner", (100, 100), (50, 50, 58, 59), "too_small"),
        ("pixel_reasoner", (100, 100), (50, 50, 59, 59), (40, 40, 69, 69)),
        ("pixel_reasoner", (1000, 500), (400.4, 200.6, 420.4, 210.6), (300, 151, 520, 261)),
        # at least 64 along each side, about the middle, shifted inside
        ("thyme", (200, 100), (100, 40, 110, 60), (73, 18, 137, 82)),
        ("thyme", (200, 100), (10, 10, 20, 20), (0, 0, 64, 64)),
        ("thyme", (200, 100), (190, 90, 200, 100), (136, 36, 200, 100)),
        ("thyme", (50, 100), (10, 40, 20, 60), (0, 18, 50, 82)),
        ("thyme", (200, 100), (20, 10, 120, 20), (20, 0, 120, 64)),
    ],
)
def test_size_rules_by_hand(rule: str, size: Size, pixels: PixelBox, expected: object) -> None:
    box = from_pixels(pixels, size)
    if isinstance(expected, str):
        with pytest.raises(Invalid) as caught:
            SIZE_RULES[rule](box, size)
        assert caught.value.kind == expected
        assert str(caught.value)
    else:
        assert SIZE_RULES[rule](box, size) == expected


@pytest.mark.parametrize(
    ("native", "shown"),
    [
        ((300, 454), (300, 454)),
        ((5, 13), (124, 322)),  # sides truncated, where the default rounds up
        ((2000, 2000), (1414, 1414)),
        ((999, 12), (2433, 29)),  # a side below 28 is raised above it
        ((1, 199), (29, 5643)),
        ((30, 6000), (32, 6000)),  # 200:1 is stretched
        ((1, 1_000_000), (1, 1_000_000)),  # too long to be stretched: the default decides
    ],
)
def test_sizes_of_mini_o3_observations_by_hand(native: Size, shown: Size) -> None:
    assert mini_o3_fit(native, 40_000, 2_000_000) == shown


@given(size=st.tuples(st.integers(1, 9000), st.integers(1, 9000)), low=st.integers(1, 50_000))
def test_shown_sizes_stay_within_the_bounds_of_the_observation_space(size: Size, low: int) -> None:
    for display in (Display(), *DISPLAYS.values()):
        least, most = display.bounds(low, 4 * low)
        w, h = display.fit(size, low, 4 * low)
        assert least <= w * h <= most


@st.composite
def cases(draw: st.DrawFn) -> tuple[Box, Size]:
    x0, y0 = draw(st.floats(0, 0.999)), draw(st.floats(0, 0.999))
    box = (x0, y0, draw(st.floats(x0 + 0.001, 1)), draw(st.floats(y0 + 0.001, 1)))
    return box, draw(st.tuples(st.integers(1, 9000), st.integers(1, 9000)))


@pytest.mark.parametrize("rule", list(SIZE_RULES))
@given(case=cases())
def test_every_rule_gives_pixels_of_the_view_or_a_reason(rule: str, case: tuple[Box, Size]) -> None:
    box, (w, h) = case
    refused = ""
    try:
        x0, y0, x1, y1 = SIZE_RULES[rule](box, (w, h))
    except Invalid as invalid:
        refused = invalid.kind
    if refused:
        assert refused in ("too_small", "aspect")
        assert rule not in ("o3gym", "thyme")
    else:
        assert 0 <= x0 < x1 <= w
        assert 0 <= y0 < y1 <= h
        assert all(type(v) is int for v in (x0, y0, x1, y1))
