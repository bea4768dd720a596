"""The interface of layout detectors, which find and classify the blocks of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from o3gym.registry import DETECTORS
from o3gym.specs import build_plugin, find_entry
from o3gym.types import Box, Source, Target


@dataclass(frozen=True)
class LayoutBlock:
    """One box of a layout.

    Attributes:
        box: in unit xyxy of the picture.
        label: its class, by PP-DocLayout's names: "text", "image", "table", "chart", "figure_title",
            "paragraph_title", "header", …
        score: the detector's confidence, from 0 to 1.
    """

    box: Box
    label: str
    score: float = 1.0


@dataclass(frozen=True)
class Page:
    """A picture to find blocks in.

    Attributes:
        name: its name in files and errors, unique within a run.
        source: the picture.
        targets: targets of its suite's tasks in it; `Target.source` has no meaning here.
    """

    name: str
    source: Source
    targets: tuple[Target, ...] = ()


class Detector:
    """Base class of all detectors. Subclasses implement `detect`; the spec of a plug-in is "package.module:Class"."""

    def detect(self, page: Page) -> Sequence[LayoutBlock]:
        """Returns the blocks of a picture, in any order; there may be none.

        Raises:
            PictureError: the picture cannot be read. Any exception makes callers skip the picture and count it.
        """
        raise NotImplementedError


def make_detector(spec: str) -> Detector:
    """Builds a detector from its spec: "truth", "rapid_layout?threshold=0.3", "package.module:Class?option=value".

    Raises:
        UnknownName: the spec has neither a registered name nor an importable class; the message has the closest name.
        TypeError: the detector does not have an option of the spec; the message names it.
    """
    name, factory, argument, options = find_entry(DETECTORS, spec)
    detector: Detector = build_plugin("detector", name, factory, argument, **options)
    return detector
