"""Boxes and points as dialects write them: integer steps of a coordinate frame, or rounded fractions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from o3gym.registry import closest
from o3gym.types import View


class Frame(NamedTuple):
    """A coordinate frame: the picture's width and height in its units, and the number of decimals to write."""

    width: int
    height: int
    decimals: int = 0


UNIT = Frame(1, 1, decimals=4)
"""Fractions of the picture. The fourth decimal is 0.8 pixels in a picture 8000 pixels wide."""
THOUSANDTHS = Frame(1000, 1000)
"""Thousandths of the picture's width and height, as in Qwen3-VL and Simple-o3."""


def check_frame(frame: str, known: Sequence[str]) -> None:
    """Raises ValueError if `frame` is not one of `known`."""
    if frame not in known:
        raise ValueError(f'unknown frame "{frame}"{closest(frame, known)} (known: {", ".join(known)})')


def shown_pixels(views: Sequence[View], view: int) -> Frame:
    """The displayed pixels of a view; `UNIT` if it does not exist, because the environment then refuses the call."""
    return Frame(*views[view].shown) if 0 <= view < len(views) else UNIT


def read_box(values: Sequence[float], frame: Frame) -> list[float]:
    """Converts x, y, x, y, … from `frame` to unit coordinates, without clamping."""
    return [value / max(frame[i % 2], 1) for i, value in enumerate(values)]


def write_box(box: Sequence[float], frame: Frame) -> list[int] | list[float]:
    """Converts a unit box to `frame`. A box with an area stays at least one step wide and high."""
    scale = 10**frame.decimals
    x0, x1 = _edges(box[0], box[2], frame.width * scale)
    y0, y1 = _edges(box[1], box[3], frame.height * scale)
    steps = [x0, y0, x1, y1]
    return [step / scale for step in steps] if frame.decimals else steps


def write_point(point: Sequence[float], frame: Frame) -> list[int] | list[float]:
    """Converts a unit point to `frame`."""
    x, y = point[0] * frame.width, point[1] * frame.height
    return [round(x, frame.decimals), round(y, frame.decimals)] if frame.decimals else [round(x), round(y)]


def _edges(low: float, high: float, steps: int) -> tuple[int, int]:
    """Rounds both edges. A range that would collapse becomes the step that contains its low edge."""
    first, last = round(low * steps), round(high * steps)
    if low < high and first == last:
        first = min(math.floor(low * steps), steps - 1)
        return first, first + 1
    return first, last
