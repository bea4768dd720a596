"""Size rules convert a box to whole pixels and refuse boxes that a system does not accept.

A rule takes a box (unit xyxy of the named view, clamped, with an area) and the view's native (width, height) in pixels.
It returns whole pixels `(x0, y0, x1, y1)` of that view or raises `Invalid`. Each rule is named after the system whose
behaviour it reproduces; `o3gym_size` is the default, because it refuses nothing and keeps every pixel that the box
touches.

Systems differ in how they round an edge that lies inside a pixel, and each rule names its rounding: `snap` (outwards),
`nearest_pixels` (as Pillow's `crop` does with floats) or `int` (towards zero). Most of them check their thresholds
before they round, on the sides in fractions of a pixel; `exact_pixels` gives those. Refusals write sizes as "30×12
pixels", always in native pixels of the view, which dialects convert to their own numbers. `DISPLAYS` holds what else a
system does to pictures, by the name of its size rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from o3gym.geometry import SNAP, center, clamp, fit, from_pixels, snap, to_pixels
from o3gym.tools.base import Invalid
from o3gym.types import Box, Resampling, Size

Pixelbox = tuple[int, int, int, int]
AnyPixels = TypeVar("AnyPixels", Pixelbox, Box)


PADDING = 0.1
"""Share of the view's width or height by which Pixel Reasoner pads a box on each side."""


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
    inside the view; a box that would outgrow the view is refused. Grown edges are rounded outwards, all others to the
    nearest pixel.

    Source: m-Just/InSight-doc, verl/tools/image_zoom_in_tool.py.
    """
    exact = _refuse_aspect(exact_pixels(box, size), 100)
    sides = _sides(exact)
    grow = 28 / min(sides)
    if grow <= 1:
        return nearest_pixels(box, size)
    width, height = (_without_error(side * grow) for side in sides)
    if width > size[0] or height > size[1]:
        raise Invalid(
            "too_small",
            f"the box is {sides[0]:g}×{sides[1]:g} pixels; enlarged to at least 28×28 pixels, it would be "
            f"{width:g}×{height:g} pixels, which is more than the view's {size[0]}×{size[1]} pixels",
        )
    x, y = center(exact)
    left, top = min(max(x - width / 2, 0), size[0] - width), min(max(y - height / 2, 0), size[1] - height)
    return snap(from_pixels((left, top, left + width, top + height), size), size)


def pixel_reasoner_size(box: Sequence[float], size: Size) -> Pixelbox:
    """Pads by 10% of the view on each side and rounds to the nearest pixel; both sides must then exceed 28 pixels.

    The released code also has a tool that caps the padding at 600 pixels, but does not register it.

    Source: TIGER-AI-Lab/Pixel-Reasoner, curiosity_driven_rl/openrlhf/trainer/ppo_utils/experience_maker.py.
    """
    padded = clamp((box[0] - PADDING, box[1] - PADDING, box[2] + PADDING, box[3] + PADDING))
    _refuse_small(exact_pixels(padded, size), 28)
    return nearest_pixels(padded, size)


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
        least = math.floor(max(w, h) / limit) + 1 if inclusive else math.ceil(max(w, h) / limit)
        raise Invalid(
            "aspect",
            f"the box is {w:g}×{h:g} pixels; in pixels, its sides may differ at most by a factor of {limit:g}, so it "
            f"needs at least {max(w, least):g}×{max(h, least):g} pixels",
        )
    return box


def _refuse_small(box: AnyPixels, limit: int) -> AnyPixels:
    w, h = _sides(box)
    if min(w, h) <= limit:
        raise Invalid("too_small", f"the crop would be {w:g}×{h:g} pixels; it must exceed {limit}×{limit} pixels")
    return box


def _sides(box: Sequence[float]) -> tuple[float, float]:
    """Width and height in pixels, without the rounding error of the subtraction."""
    return _without_error(box[2] - box[0]), _without_error(box[3] - box[1])


class Display(NamedTuple):
    """How a system shows pictures, apart from the boxes that it crops.

    Attributes:
        fit: the size at which an observation is shown, given its native size, `min_pixels` and `max_pixels`.
        given, observed: the resampling of the task's pictures and of observations.
        least, most: `fit` may leave the budget, down to `least` pixels and up to `most`; 0 if it never does.
        keeps_canvas: whether a rotated picture keeps its size.
    """

    fit: Callable[[Size, int, int], Size] = fit
    given: Resampling = "bicubic"
    observed: Resampling = "bicubic"
    least: int = 0
    most: int = 0
    keeps_canvas: bool = False

    def bounds(self, min_pixels: int, max_pixels: int) -> tuple[int, int]:
        """The least and the greatest number of pixels of a picture that is shown within a budget."""
        return min(min_pixels, self.least or min_pixels), max(max_pixels, self.most)


MINI_O3_SIDE = 28
"""Minimum side in pixels of an observation of Mini-o3: one patch of Qwen2.5-VL's vision encoder."""


def mini_o3_fit(size: Size, min_pixels: int, max_pixels: int) -> Size:
    """The size at which Mini-o3 shows an observation.

    It is scaled to the budget with sides truncated to whole pixels. Then a side below 28 pixels is raised above that by
    scaling both, and an aspect ratio of 200 or more is reduced to 190 by stretching the shorter side. Where this would
    take far more pixels than the budget, which only other calls than grounding can cause, `fit` decides.
    """
    w, h = size
    if not min_pixels <= w * h <= max_pixels:
        scale = math.sqrt((max_pixels if w * h > max_pixels else min_pixels) / (w * h))
        w, h = int(w * scale), int(h * scale)
    if min(w, h) < MINI_O3_SIDE:
        scale = MINI_O3_SIDE / max(min(w, h), 1)
        w, h = int(w * scale) + 1, int(h * scale) + 1
    if max(w, h) >= 200 * min(w, h):
        w, h = max(w, h // 190 + 1), max(h, w // 190 + 1)
    return (w, h) if w * h <= max(max_pixels, MINI_O3_MOST) else fit(size, min_pixels, max_pixels)


MINI_O3_MOST = 200_000
"""More pixels than any observation of a grounding has that was scaled up to the minimum side: 29 times 29 · 200."""
DISPLAYS: Mapping[str, Display] = {
    "mini_o3": Display(mini_o3_fit, "lanczos", "nearest", least=MINI_O3_SIDE**2, most=MINI_O3_MOST),
    "deepeyes": Display(keeps_canvas=True),
}
"""What systems do to pictures, by the name of their size rule; all others show them as `Display()` does.

Source: Mini-o3/Mini-o3, verl/workers/rollout/vllm_rollout (the first picture LANCZOS, observations NEAREST);
Visual-Agent/DeepEyes, verl/workers/agent/envs/mm_process_engine/visual_toolbox_v2.py (Pillow's `rotate`).
"""
