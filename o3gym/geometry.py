"""Box algebra and coordinate frames: pure functions on floats.

Inside o3gym, every box is unit xyxy of a named picture or view. Only dialects use the coordinate frames of models, and
convert them with the functions below: `to_pixels`/`from_pixels` (pixels of a picture of a given size),
`to_grid`/`from_grid` (0..1000), `to_xywh`/`from_xywh`, and `yxyx`, which is its own inverse. The functions of a pair
are inverse to each other up to the stated rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from o3gym.types import FULL, Affine, Box, Size, Source, Span

SNAP = 1e-6
"""Slack in pixels for floor and ceil, so that a pixel edge converted to 0..1 and back does not become the next one."""


HUGE = 1e300
"""Bound beyond which coordinates cannot be computed with. Comparing with it also rejects NaN and infinity."""


def is_box(value: object) -> bool:
    """Whether `value` is a list or tuple of four finite numbers, in any order and range."""
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(is_number, value))


def is_number(value: object) -> bool:
    """Whether `value` is a finite int or float that fits into a float; bool is not a number."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer of more than 308 digits
        return False


def clamp(box: Sequence[float]) -> Box:
    """Clamp every edge to 0..1."""
    x0, y0, x1, y1 = (min(max(float(v), 0.0), 1.0) for v in box)
    return (x0, y0, x1, y1)


def is_empty(box: Sequence[float]) -> bool:
    """Whether the box has no area (edges equal or in the wrong order)."""
    return not (box[0] < box[2] and box[1] < box[3])


def area(box: Sequence[float]) -> float:
    """Area in square units, 0 for an empty box."""
    return 0.0 if is_empty(box) else (box[2] - box[0]) * (box[3] - box[1])


def center(box: Sequence[float]) -> tuple[float, float]:
    """Middle (x, y) of a box."""
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def intersection(a: Sequence[float], b: Sequence[float]) -> Box:
    """The common part of two boxes; empty (see `is_empty`) if they do not overlap."""
    return (max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union, in 0..1; 0 if both are empty."""
    common = area(intersection(a, b))
    union = area(a) + area(b) - common
    return common / union if union > 0 else 0.0


def overlap(one: Span, other: Span) -> float:
    """The length in seconds of the intersection of two intervals."""
    return max(min(one[1], other[1]) - max(one[0], other[0]), 0.0)


def disjoint(spans: Sequence[Span]) -> list[Span]:
    """The same times as disjoint intervals in ascending order; intervals without a length are left out."""
    result: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end))
        else:
            result.append((start, end))
    return result


def span_iou(spans: Sequence[Span], others: Sequence[Span]) -> float:
    """The temporal IoU of two sets of intervals: the length of their intersection over that of their union, in 0..1."""
    one, other = disjoint(spans), disjoint(others)
    both = sum(overlap(a, b) for a in one for b in other)
    whole = sum(end - start for start, end in disjoint([*one, *other]))
    return min(both / whole, 1.0) if whole > 0 else 0.0


def coverage(box: Sequence[float], target: Sequence[float]) -> float:
    """Share of `target`'s area that `box` covers, in 0..1; 0 for an empty target."""
    return area(intersection(box, target)) / area(target) if area(target) > 0 else 0.0


def compose(outer: Box, inner: Sequence[float]) -> Box:
    """Convert `inner` from units of `outer` to the frame of `outer`."""
    w, h = outer[2] - outer[0], outer[3] - outer[1]
    return (outer[0] + inner[0] * w, outer[1] + inner[1] * h, outer[0] + inner[2] * w, outer[1] + inner[3] * h)


def relative(outer: Box, box: Sequence[float]) -> Box:
    """Convert `box` to units of `outer`: the inverse of `compose`. Raises ValueError for an empty `outer`."""
    if is_empty(outer):
        raise ValueError(f"cannot express a box relative to the empty box {outer}")
    w, h = outer[2] - outer[0], outer[3] - outer[1]
    return ((box[0] - outer[0]) / w, (box[1] - outer[1]) / h, (box[2] - outer[0]) / w, (box[3] - outer[1]) / h)


def snap(box: Sequence[float], size: Size) -> tuple[int, int, int, int]:
    """Pixel box of all whole pixels that a unit box touches: floor of the low edges, ceil of the high edges.

    A non-empty box inside 0..1 gives at least one pixel per side.
    """
    w, h = size
    x0 = min(math.floor(box[0] * w + SNAP), w - 1)
    y0 = min(math.floor(box[1] * h + SNAP), h - 1)
    x1 = min(max(math.ceil(box[2] * w - SNAP), x0 + 1), w)
    y1 = min(max(math.ceil(box[3] * h - SNAP), y0 + 1), h)
    return (x0, y0, x1, y1)


def to_pixels(box: Sequence[float], size: Size) -> Box:
    """Convert unit coordinates to pixel coordinates (floats) of a picture of `size`."""
    w, h = size
    return (box[0] * w, box[1] * h, box[2] * w, box[3] * h)


def from_pixels(box: Sequence[float], size: Size) -> Box:
    """Convert pixel coordinates of a picture of `size` to unit coordinates."""
    w, h = size
    return (box[0] / w, box[1] / h, box[2] / w, box[3] / h)


def to_grid(box: Sequence[float], steps: int = 1000) -> tuple[int, int, int, int]:
    """Convert unit coordinates to the grid 0..`steps`, rounded (0..1000 in Qwen3-VL and Simple-o3)."""
    x0, y0, x1, y1 = (round(v * steps) for v in box)
    return (x0, y0, x1, y1)


def from_grid(box: Sequence[float], steps: int = 1000) -> Box:
    """Convert grid coordinates to unit coordinates."""
    x0, y0, x1, y1 = (float(v) / steps for v in box)
    return (x0, y0, x1, y1)


def yxyx(box: Sequence[float]) -> Box:
    """Convert xyxy to yxyx order or back; its own inverse."""
    return (box[1], box[0], box[3], box[2])


def to_xywh(box: Sequence[float]) -> Box:
    """Convert xyxy to (x, y, width, height)."""
    return (box[0], box[1], box[2] - box[0], box[3] - box[1])


def from_xywh(box: Sequence[float]) -> Box:
    """Convert (x, y, width, height), as in V* Bench, to xyxy."""
    return (box[0], box[1], box[0] + box[2], box[1] + box[3])


def around(middle: tuple[float, float], width: float, height: float) -> Box:
    """A box of the given unit size (at most 1) around `middle`, shifted to lie inside 0..1."""
    width, height = min(width, 1.0), min(height, 1.0)
    x0 = min(max(middle[0] - width / 2, 0.0), 1.0 - width)
    y0 = min(max(middle[1] - height / 2, 0.0), 1.0 - height)
    return (x0, y0, x0 + width, y0 + height)


def pad(box: Box, factor: float) -> Box:
    """Scale a box about its middle by `factor` and clamp it to 0..1."""
    x, y = center(box)
    w, h = (box[2] - box[0]) * factor / 2, (box[3] - box[1]) * factor / 2
    return clamp((x - w, y - h, x + w, y + h))


def surround(box: Box) -> Box:
    """A view around a target: its box with a margin of half its size on every side, at least 2% wide and high."""
    wide = pad(box, 2.0)
    return around(center(wide), max(wide[2] - wide[0], 0.02), max(wide[3] - wide[1], 0.02))


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of `boxes`; the full picture if there are none."""
    if not boxes:
        return FULL
    return (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))


def apply_affine(affine: Affine, box: Box) -> Box:
    """The axis-parallel box around the image of `box` under `affine` (see `Source.affine`)."""
    a, b, c, d, e, f = affine
    xs = [a * x + b * y + c for x in (box[0], box[2]) for y in (box[1], box[3])]
    ys = [d * x + e * y + f for x in (box[0], box[2]) for y in (box[1], box[3])]
    return (min(xs), min(ys), max(xs), max(ys))


def onto(box: Box) -> Affine:
    """The affine map from units of `box` to the frame of `box`: the `Source.affine` of a part of a picture."""
    return (box[2] - box[0], 0.0, box[0], 0.0, box[3] - box[1], box[1])


def to_root(source: Source, box: Box, roots: Sequence[Source] = ()) -> tuple[Source, Box] | None:
    """Follow derived sources to the original picture. Returns that source, and `box` in its units.

    Stops at the first of `roots`, because a task's own pictures may be derived. Returns None if an operation on the way
    has no affine map. After a rotation, the result is the axis-parallel bounding box.
    """
    while source.parent is not None and source not in roots:
        if source.affine is None:
            return None
        box = apply_affine(source.affine, box)
        source = source.parent
    return source, clamp(box)


def fit(size: Size, min_pixels: int, max_pixels: int) -> Size:
    """The size at which a picture of `size` is shown: unchanged within the pixel budget, otherwise scaled to it.

    The aspect ratio is kept up to rounding to whole pixels; each side is at least 1. The result is within the budget
    whenever `4 * min_pixels <= max_pixels`, because rounding up when enlarging at most doubles the shorter side.
    """
    w, h = size
    pixels = w * h
    if min_pixels <= pixels <= max_pixels:
        return size
    if pixels > max_pixels:
        scale = math.sqrt(max_pixels / pixels)
        w, h = max(1, math.floor(w * scale)), max(1, math.floor(h * scale))
        return (min(w, max_pixels // h), h) if h == 1 else (w, min(h, max_pixels // w))
    scale = math.sqrt(min_pixels / pixels)
    return (math.ceil(w * scale), math.ceil(h * scale))
