"""The rules by which InSight-o3 chooses the boxes of a layout that are worth a search, as pure functions.

All rules are from arXiv 2512.18745, appendix C.2, in its order: drop boxes by class and size, merge neighbours, drop
uninformative regions. No code for them has been released; choices that the text leaves open are marked "ours".

Boxes are in unit xyxy of their picture, areas are shares of it, and `aspect` is the picture's width over its height in
pixels.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from o3gym.geometry import area, clamp, coverage, iou, is_empty, union
from o3gym.synthesis.detectors.base import LayoutBlock
from o3gym.types import Box

FIGURES = ("table", "chart")
"""Classes of which two are never merged and one that encloses another is dropped (paper: "We do not merge charts and
tables", which we read as "with each other", because titles and legends must be merged with them)."""
TITLES = ("figure_title", "paragraph_title")
WRITING = ("text", *TITLES)
KEPT = (*FIGURES, "image", *WRITING)
"""Classes that are kept (paper). A merged box has the first of these classes that one of its parts has (ours)."""
SAME_IOU, OTHER_IOU = 0.6, 0.98
"""Least IoU at which the box with the lower score is dropped, for boxes of the same class and of different classes. The
paper has `layout_nms: True`; these are PaddleX's numbers for it, as in rapid-layout 1.2.1 (`pp_doc_layout`)."""
LARGE = 0.25
"""Maximum area of a box before merging, and of a merged box (paper)."""
LARGE_CHART = 0.8
"""Maximum area of a chart before merging (paper)."""
MIN_AREA = 0.001
"""Minimum area of a chosen region (paper)."""
MAX_SIDE_RATIO = 5.0
"""Maximum ratio of the sides in pixels, either way, of merged and chosen regions (paper: "within 1:5 and 5:1")."""
TITLE_EFFORT, EFFORT = 0.15, 0.1
"""Effort below which two regions may be merged, if one of them is a title and otherwise (paper)."""
INSIDE = 0.9
"""Share of a box that must lie in another box to count as enclosed (ours: detected edges are not exact)."""


@dataclass(frozen=True)
class Region:
    """A box and the blocks that were merged into it; a single block if nothing was merged."""

    box: Box
    parts: tuple[LayoutBlock, ...]

    @property
    def label(self) -> str:
        """The region's class: the first class in `KEPT` that a part has."""
        labels = [part.label for part in self.parts]
        return next((label for label in KEPT if label in labels), labels[0])

    @property
    def merged(self) -> bool:
        """Whether the region has several parts."""
        return len(self.parts) > 1

    @property
    def is_title(self) -> bool:
        """Whether the region consists of titles only."""
        return all(part.label in TITLES for part in self.parts)


def choose(blocks: Sequence[LayoutBlock], aspect: float) -> tuple[list[Region], Counter[str]]:
    """Chooses the regions of a picture that are worth a search. The order of `blocks` does not matter.

    Returns:
        The regions, sorted by their top and left edges, and the number of dropped blocks by reason. Each block is
        either in exactly one region or counted once.
    """
    dropped: Counter[str] = Counter()
    fit = []
    for block in (LayoutBlock(clamp(block.box), block.label, block.score) for block in blocks):
        if reason := unfit(block):
            dropped[reason] += 1
        else:
            fit.append(block)
    single = without_doubles(fit)
    dropped.update({"doubled": len(fit) - len(single)} if len(fit) > len(single) else {})
    regions = merged([Region(block.box, (block,)) for block in single], aspect)
    kept = []
    for region in regions:
        if reason := says_little(region, regions, single, aspect):
            dropped[reason] += len(region.parts)
        else:
            kept.append(region)
    return sorted(kept, key=lambda region: (region.box[1], region.box[0], region.box)), dropped


def unfit(block: LayoutBlock) -> str:
    """Returns the reason for dropping a block before merging, or ""."""
    if is_empty(block.box):
        return "no area"
    if block.label not in KEPT:
        return f'class "{block.label:.40}"'
    if block.label == "chart":
        return f"chart larger than {LARGE_CHART}" if area(block.box) > LARGE_CHART else ""
    return f"larger than {LARGE}" if area(block.box) > LARGE else ""


def without_doubles(blocks: Sequence[LayoutBlock]) -> list[LayoutBlock]:
    """Returns the blocks by falling score without duplicates: blocks that overlap an earlier one too much."""
    kept: list[LayoutBlock] = []
    for block in sorted(blocks, key=lambda block: (-block.score, block.box, block.label)):
        limits = ((other, SAME_IOU if other.label == block.label else OTHER_IOU) for other in kept)
        if all(iou(other.box, block.box) < limit for other, limit in limits):
            kept.append(block)
    return kept


def effort(a: Box, b: Box) -> float:
    """The effort of merging two boxes, below 1: 1 − summed area / area of the smallest box around both.

    It is 0 for two boxes that fill the enclosing box, negative for boxes that overlap, and close to 1 for small boxes
    that are far apart.
    """
    return 1 - (area(a) + area(b)) / area(union((a, b)))


def merge_effort(a: Region, b: Region, aspect: float) -> float | None:
    """The effort of merging two regions, or None if they must not be merged."""
    needed = effort(a.box, b.box)
    if needed >= (TITLE_EFFORT if a.is_title or b.is_title else EFFORT):
        return None
    box = union((a.box, b.box))
    if a.label in FIGURES and b.label in FIGURES:
        return None
    return None if area(box) > LARGE or is_extreme(box, aspect) else needed


def is_extreme(box: Box, aspect: float) -> bool:
    """Whether one side is more than five times as long as the other, in pixels of the picture."""
    width, height = (box[2] - box[0]) * aspect, box[3] - box[1]
    return width > MAX_SIDE_RATIO * height or height > MAX_SIDE_RATIO * width


def merged(regions: Sequence[Region], aspect: float) -> list[Region]:
    """Merges the pair of regions with the least effort until no two regions may be merged."""
    alive = dict(enumerate(regions))
    pairs = [pair for a, b in itertools.combinations(alive, 2) for pair in _pair(alive, a, b, aspect)]
    heapq.heapify(pairs)
    number = len(alive)
    while pairs:
        _, first, second = heapq.heappop(pairs)
        if first in alive and second in alive:  # neither has been merged since the pair was pushed
            a, b = alive.pop(first), alive.pop(second)
            others = list(alive)
            alive[number] = Region(union((a.box, b.box)), (*a.parts, *b.parts))
            for pair in (pair for other in others for pair in _pair(alive, other, number, aspect)):
                heapq.heappush(pairs, pair)
            number += 1
    return list(alive.values())


def _pair(alive: dict[int, Region], a: int, b: int, aspect: float) -> list[tuple[float, int, int]]:
    """Returns the pair with its effort, or nothing if the two regions must not be merged."""
    needed = merge_effort(alive[a], alive[b], aspect)
    return [] if needed is None else [(needed, a, b)]


def says_little(region: Region, regions: Sequence[Region], blocks: Sequence[LayoutBlock], aspect: float) -> str:
    """Returns the reason for dropping a region after merging, or "".

    Args:
        region: the region.
        regions: all regions of the picture, including this one.
        blocks: the blocks from which they were merged.
        aspect: width over height of the picture.
    """
    if region.label in FIGURES and any(encloses(region, other) for other in regions if other.label in FIGURES):
        return "chart or table around another"
    if not region.merged and region.label in WRITING:
        return "unmerged title" if region.label in TITLES else "unmerged text"
    if not region.merged and region.label == "image" and not has_writing(region, blocks):
        return "unmerged image without text"
    if area(region.box) < MIN_AREA:
        return f"smaller than {MIN_AREA}"
    return f"sides beyond {MAX_SIDE_RATIO:.0f}:1" if is_extreme(region.box, aspect) else ""


def encloses(outer: Region, inner: Region) -> bool:
    """Whether `inner` lies in `outer`, which is larger."""
    return area(outer.box) > area(inner.box) and coverage(outer.box, inner.box) >= INSIDE


def has_writing(region: Region, blocks: Sequence[LayoutBlock]) -> bool:
    """Whether a text or a title lies in a region."""
    return any(block.label in WRITING and coverage(region.box, block.box) >= INSIDE for block in blocks)
