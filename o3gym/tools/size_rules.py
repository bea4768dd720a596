"""Size rules convert a box to whole pixels and refuse boxes that a system does not accept.

A rule takes a box (unit xyxy of the named view, clamped, with an area) and the view's native (width, height) in pixels.
It returns whole pixels `(x0, y0, x1, y1)` of that view or raises `Invalid`. Each rule is named after the system whose
behaviour it reproduces; `o3gym_size` is the default, because it refuses nothing and keeps every pixel that the box
touches.

Systems differ in how they round an edge that lies inside a pixel, and each rule names its rounding: `snap` (outwards),
`nearest_pixels` (as Pillow's `crop` does with floats) or `int` (towards zero). Most of them check their thresholds
before they round, on the sides in fractions of a pixel; `exact_pixels` gives those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from o3gym.geometry import SNAP, center, clamp, snap, to_pixels
from o3gym.tools.base import Invalid
from o3gym.types import Box, Size

Pixelbox = tuple[int, int, int, int]
AnyPixels = TypeVar("AnyPixels", Pixelbox, Box)


def exact_pixels(box: Sequence[float], size: Size) -> Box:
    """The box in pixels, as floats, with edges within `SNAP` of a half or whole pixel moved onto it.

    A pixel edge that was converted to 0..1 and back is off by rounding errors, which would decide whether a side of
    30 pixels exceeds 30, and in which direction an edge at 4.5 is rounded.
    """
    x0, y0, x1, y1 = (_without_error(v) for v in to_pixels(box, size))
    return (x0, y0, x1, y1)


def _without_error(value: float) -> float:
    half = round(value * 2) / 2
    return half if abs(value - half) < SNAP else value


def nearest_pixels(box: Sequence[float], size: Size) -> Pixelbox:
    """The box with each edge rounded to the nearest whole pixel, halves to the even one, as Pillow's `crop` does.

    A box thinner than a pixel may lose its area, so rules that use this rounding must require or restore one.
    """
    x0, y0, x1, y1 = (round(v) for v in exact_pixels(box, size))
    return (x0, y0, x1, y1)


def o3gym_size(box: Sequence[float], size: Size) -> Pixelbox:
    """Keeps every pixel that the box touches: floor of the low edges, ceil of the high ones. Refuses nothing."""
    return snap(box, size)


def mini_o3_size(box: Sequence[float], size: Size) -> Pixelbox:
    """Truncates to whole pixels and clamps to the last pixel. The minimum is one pixel; the aspect ratio is below 200.

    Source: Mini-o3/Mini-o3, verl/workers/rollout/vllm_rollout/function_tools.py (MAX_RATIO 200, no minimum side).
    """
    w, h = size
    x0, y0, x1, y1 = (int(v) for v in to_pixels(box, size))
    x0, x1, y0, y1 = min(x0, w - 1), min(x1, w - 1), min(y0, h - 1), min(y1, h - 1)
    if x0 >= x1 or y0 >= y1:
        raise Invalid("too_small", "the box holds no whole pixel")
    return _refuse_aspect((x0, y0, x1, y1), 200, inclusive=True)


def deepeyes_size(box: Sequence[float], size: Size) -> Pixelbox:
    """Requires both sides above 30 pixels and an aspect ratio of at most 100, then rounds to the nearest pixel.

    Source: Visual-Agent/DeepEyes, verl/workers/agent/envs/mm_process_engine/visual_toolbox_v2.py.
    """
    _refuse_small(_refuse_aspect(exact_pixels(box, size), 100), 30)
    return nearest_pixels(box, size)


def insight_o3_size(box: Sequence[float], size: Size) -> Pixelbox:
    """Enlarges a box with a side under 28 pixels; requires an aspect ratio of at most 100.

    The box grows about its centre, at the same aspect ratio, until its shorter side has 28 pixels, and is then shifted
    inside the view.

    Source: m-Just/InSight-doc, verl/tools/image_zoom_in_tool.py.
    """
    x0, y0, x1, y1 = _refuse_aspect(snap(box, size), 100)
    short = min(x1 - x0, y1 - y0)
    if short >= 28:
        return (x0, y0, x1, y1)
    if min(size) < 28:
        raise Invalid("too_small", f"the view is {size[0]}×{size[1]} pixels; a crop needs 28 on both sides")
    grow = 28 / short
    return _grow((x0, y0, x1, y1), round((x1 - x0) * grow), round((y1 - y0) * grow), size)


def pixel_reasoner_size(box: Sequence[float], size: Size) -> Pixelbox:
    """Pads by 10% of the view (at most 600 pixels) on each side; both sides of the result must exceed 28 pixels.

    Source: TIGER-AI-Lab/Pixel-Reasoner, curiosity_driven_rl/openrlhf/trainer/ppo_utils/experience_maker.py.
    """
    pad_x, pad_y = min(0.1, 600 / size[0]), min(0.1, 600 / size[1])
    padded = clamp((box[0] - pad_x, box[1] - pad_y, box[2] + pad_x, box[3] + pad_y))
    return _refuse_small(snap(padded, size), 28)


def thyme_size(box: Sequence[float], size: Size) -> Pixelbox:
    """Enlarges each side under 64 pixels to 64 about the centre, and shifts the box inside the view.

    Source: yfzhang114/Thyme, swift/trainers/sandbox.py (minimum crop of 64 pixels).
    """
    x0, y0, x1, y1 = snap(box, size)
    return _grow((x0, y0, x1, y1), max(x1 - x0, 64), max(y1 - y0, 64), size)


def _grow(box: Pixelbox, width: int, height: int, size: Size) -> Pixelbox:
    """A box of `width` × `height` pixels (at most the view) around the centre of `box`, shifted inside the view."""
    width, height = min(width, size[0]), min(height, size[1])
    x, y = center(box)
    x0 = min(max(round(x - width / 2), 0), size[0] - width)
    y0 = min(max(round(y - height / 2), 0), size[1] - height)
    return (x0, y0, x0 + width, y0 + height)


def _refuse_aspect(box: AnyPixels, limit: float, *, inclusive: bool = False) -> AnyPixels:
    w, h = _sides(box)
    ratio = max(w / h, h / w)
    if ratio > limit or (inclusive and ratio == limit):
        raise Invalid("aspect", f"the box is {w:g}×{h:g} pixels; its sides may differ at most by a factor of {limit:g}")
    return box


def _refuse_small(box: AnyPixels, limit: int) -> AnyPixels:
    w, h = _sides(box)
    if min(w, h) <= limit:
        raise Invalid("too_small", f"the crop would be {w:g}×{h:g} pixels; both sides must exceed {limit}")
    return box


def _sides(box: Sequence[float]) -> tuple[float, float]:
    """Width and height in pixels, without the rounding error of the subtraction."""
    return _without_error(box[2] - box[0]), _without_error(box[3] - box[1])
