from __future__ import annotations

import numpy as np
import pytest

from o3gym.geometry import snap
from o3gym.suites.scenes.chart import CHART_ASPECT, grid_boxes
from o3gym.suites.synthetic import render_scene, true_blocks
from o3gym.synthesis.detectors.base import LayoutBlock, Page
from o3gym.synthesis.detectors.truth import Truth
from o3gym.types import Source, Target

EDGE = 0.008
"""What is left out at the rounded edges of a card, in board units."""


@pytest.mark.parametrize("seed", range(4))
def test_layouts_have_all_that_is_drawn_on_the_cards(seed: int) -> None:
    """Outside of its blocks a card is white."""
    picture = np.array(render_scene(family="chart", difficulty="easy", seed=seed, pixels=700_000))
    size = (picture.shape[1], picture.shape[0])
    ink = (picture < 200).any(axis=2)
    blocks = true_blocks(Source.generated("synthetic", family="chart", difficulty="easy", seed=seed, pixels=0))
    for label, box in blocks:
        x0, y0, x1, y1 = snap(box, size)
        assert ink[y0:y1, x0:x1].any(), label
        ink[y0:y1, x0:x1] = False
    for left, top, right, bottom in grid_boxes(2, 2, 0.024):
        x0, y0, x1, y1 = snap(
            ((left + EDGE) / CHART_ASPECT, top + EDGE, (right - EDGE) / CHART_ASPECT, bottom - EDGE), size
        )
        assert not ink[y0:y1, x0:x1].any()
    assert [label for label, _ in blocks] == ["figure_title", "chart"] * 4


def test_where_layouts_come_from() -> None:
    def found(source: Source, *targets: Target) -> list[LayoutBlock]:
        return Truth().detect(Page("page", source, targets))

    scene = Source.generated("synthetic", family="region", difficulty="easy", seed=2, pixels=0)
    assert {block.label for block in found(scene)} <= {"figure_title", "chart"}
    hidden = Source.generated("synthetic", family="hidden", difficulty="easy", seed=0, pixels=0)
    assert found(hidden) == []
    box = (0.1, 0.2, 0.3, 0.4)
    assert found(Source.file("page.png"), Target(box, label="table")) == [LayoutBlock(box, "table")]
