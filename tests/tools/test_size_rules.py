from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.geometry import from_pixels
from o3gym.registry import SIZE_RULES
from o3gym.tools.base import Invalid
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
        ("deepeyes", (200, 200), (10.5, 10, 40.5, 41), (10, 10, 41, 41)),
        ("deepeyes", (4000, 200), (0, 10, 3100, 41), (0, 10, 3100, 41)),
        ("deepeyes", (4000, 200), (0, 10, 3101, 41), "aspect"),
        ("deepeyes", (4000, 200), (0, 10, 4000, 20), "aspect"),
        # 14x7 grows fourfold to 56x28, keeps its middle (47, 43.5), and is shifted inside
        ("insight_o3", (100, 80), (40, 40, 54, 47), (19, 30, 75, 58)),
        ("insight_o3", (100, 80), (0, 0, 14, 7), (0, 0, 56, 28)),
        ("insight_o3", (100, 80), (86, 73, 100, 80), (44, 52, 100, 80)),
        ("insight_o3", (100, 80), (0, 40, 90, 45), (0, 28, 100, 56)),  # 504x28, as wide as the view is
        ("insight_o3", (100, 80), (10, 10, 38, 38), (10, 10, 38, 38)),
        ("insight_o3", (100, 20), (10, 10, 15, 15), "too_small"),
        ("insight_o3", (1000, 80), (0, 0, 1000, 9), "aspect"),
        # a tenth of the view on each side, at most 600 pixels; above 28 in the end
        ("pixel_reasoner", (1000, 500), (400, 200, 420, 210), (300, 150, 520, 260)),
        ("pixel_reasoner", (1000, 500), (0, 200, 1000, 210), (0, 150, 1000, 260)),
        ("pixel_reasoner", (8000, 6000), (4000, 3000, 4008, 3006), (3400, 2400, 4608, 3606)),
        ("pixel_reasoner", (100, 100), (50, 50, 58, 59), "too_small"),
        ("pixel_reasoner", (100, 100), (50, 50, 59, 59), (40, 40, 69, 69)),
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
