"""`rapid_layout`: the layout models of RapidLayout (RapidAI, Apache-2.0) on ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from o3gym.geometry import clamp, from_pixels
from o3gym.media.images import shared_store
from o3gym.registry import UnknownName, closest, require
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page

SHIPPED = "pp_layout_cdla"
"""The model that the package itself contains (7 MB): a PicoDet trained on CDLA, pages of Chinese journals."""
THRESHOLD = 0.5
"""Minimum score of a box, RapidLayout's own default (rapid-layout 1.2.1, `RapidLayoutInput.conf_thresh`)."""
SENSITIVE = 0.01
"""Minimum score for models of the PP-DocLayout family: the value with which the paper runs PP-DocLayout_plus-L (arXiv
2512.18745, appendix C.2)."""
NMS_IOU = 0.5
"""IoU above which two boxes of one class count as one; RapidLayout's own default (`RapidLayoutInput.iou_thresh`)."""
CLASSES: Mapping[str, str] = {
    "title": "paragraph_title",
    "figure": "image",
    "figure_caption": "figure_title",
    "table_caption": "figure_title",
    "caption": "figure_title",
    "plain text": "text",
    "list": "text",
}
"""Classes of the other model families and PP-DocLayout's names for them, which include captions of tables in
figure_title. Those families know charts only as figures, so rules for charts do not apply to their layouts."""


class RapidLayout(Detector):
    """The models of the package rapid-layout. `rapid_layout:pp_doc_layoutv3` is the closest to the paper's detector.

    Only pp_layout_cdla, the default, needs no download: the package fetches other models when they are first used.

    Args:
        argument: name of the model in `rapid_layout.ModelType`, or "" for pp_layout_cdla.
        threshold: minimum score of a box; by default 0.01 for pp_doc_layout models and 0.5 for others.
        iou: IoU above which two boxes of one class count as one.

    Raises:
        MissingPackage: rapid-layout or onnxruntime is not installed.
        UnknownName: there is no such model.
        ValueError: a threshold is not a number from 0 to 1.
    """

    def __init__(self, argument: str = "", threshold: float | None = None, iou: float = NMS_IOU) -> None:
        package = require("rapid_layout", "layout")
        require("onnxruntime", "layout")
        model, names = argument or SHIPPED, [entry.value for entry in package.ModelType]
        if model not in names:
            raise UnknownName(f'unknown model "{model}"{closest(model, names)} (known: {", ".join(names)})')
        if threshold is None:
            threshold = SENSITIVE if model.startswith("pp_doc_layout") else THRESHOLD
        for option, value in (("threshold", threshold), ("iou", iou)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{option}: expected a number from 0 to 1, got {value!r}")
        with _quiet():
            self._find = package.RapidLayout(model_type=model, conf_thresh=threshold, iou_thresh=iou)

    def detect(self, page: Page) -> list[LayoutBlock]:
        """Returns blocks with PP-DocLayout's class names; a class unknown to it keeps its own name, in lower case."""
        pixels = shared_store().region(page.source)
        found = self._find(np.ascontiguousarray(pixels[:, :, ::-1]))  # RapidLayout expects BGR, as OpenCV does
        size = (pixels.shape[1], pixels.shape[0])
        columns = (found.boxes, found.class_names, found.scores)
        rows = zip(*([] if column is None else column for column in columns), strict=True)
        return [_block(box, name, score, size) for box, name, score in rows]


def _block(box: Any, name: str, score: float, size: tuple[int, int]) -> LayoutBlock:
    """Converts a box in pixels with RapidLayout's class name to a block."""
    label = name.lower()
    return LayoutBlock(clamp(from_pixels([float(edge) for edge in box], size)), CLASSES.get(label, label), float(score))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences log messages below warnings: each module of the package has a logger that writes to stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
