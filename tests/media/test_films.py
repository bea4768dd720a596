from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from o3gym.media.drawing import FAINT, GROUND, colour
from o3gym.media.films import LINE_HEIGHT, contact_sheet, film, looks_in_time
from o3gym.media.rendering import CANVAS, frame, strip
from o3gym.registry import Registry
from o3gym.types import Trajectory
from tests.media.filmed import episode


@pytest.fixture
def filmed(register: Callable[[Registry, str, Any], str]) -> Trajectory:
    return episode(register)


def test_looks_are_the_intervals_of_each_turn(filmed: Trajectory) -> None:
    assert looks_in_time(filmed, 0) == [(1, (4.0, 8.0)), (3, (2.5, 3.0)), (3, (22.0, 22.5)), (4, (11.0, 11.5))]
    assert looks_in_time(filmed, 1) == [(2, (60.0, pytest.approx(74.5)))]


def test_a_contact_sheet_is_large_and_inside_its_limit(filmed: Trajectory) -> None:
    for limit in ((600, 100), (100, 600), (300, 300), (40, 20)):
        sheet = contact_sheet(filmed, filmed.views[:8], limit)
        assert sheet.width <= limit[0]
        assert sheet.height <= limit[1]
        assert sheet.width > limit[0] * 0.6 or sheet.height > limit[1] * 0.6
    assert contact_sheet(filmed, [], (10, 20)).size == (10, 20)


def test_the_time_line_shows_looks_target_and_answer_in_place(filmed: Trajectory) -> None:
    drawn = np.asarray(film(filmed, 0, (609, 300)))
    line = drawn[300 - LINE_HEIGHT :]

    def columns(ink: tuple[int, int, int]) -> tuple[float, float]:
        where = np.flatnonzero((line == ink).all(-1).any(0))
        return (where[0] - 4) / 20.0, (where[-1] - 4) / 20.0  # 600 pixels are 30 seconds

    assert columns((255, 255, 255)) == pytest.approx((4.0, 9.0), abs=0.1)
    assert columns((255, 90, 90)) == pytest.approx((5.0, 9.0), abs=0.1)
    assert columns(colour(1))[0] == pytest.approx(4.0, abs=0.1)
    assert (line[26] == FAINT).all(-1).sum() > 100
    assert (drawn[:, :2] == GROUND).all(-1).any()


def test_render_and_strip_draw_both_videos(filmed: Trajectory) -> None:
    assert frame(filmed, "").shape == (CANVAS[1], CANVAS[0], 3)
    whole = strip(filmed)
    assert whole.height == 260 + 92
    assert whole.width > 3 * 260 + 3 * 200  # the videos, two clips, two frames and a crop
