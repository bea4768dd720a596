"""Boxes and points as dialects write them: counted in steps of a frame, or as fractions with some decimals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from o3gym.registry import closest
from o3gym.types import View


class Frame(NamedTuple):
    """What coordinates are counted in: the width and height of the picture, and the decimals that are written."""

    width: int
    height: int
    decimals: int = 0


UNIT = Frame(1, 1, decimals=4)
"""Fractions; four decimals are 0.8 pixels of a picture that is 8000 wide."""
THOUSANDTHS = Frame(1000, 1000)
"""Thousandths, as in Qwen3-VL and Simple-o3."""


def check_frame(frame: str, known: Sequence[str]) -> None:
    """Raise ValueError if `frame` is not one of `known`."""
    if frame not in known:
        raise ValueError(f'unknown frame "{frame}"{closest(frame, known)} (known: {", ".join(known)})')


def shown_pixels(views: Sequence[View], view: int) -> Frame:
    """Pixels of a view as shown; `UNIT` for one that does not exist, which the environment will refuse."""
    return Frame(*views[view].shown) if 0 <= view < len(views) else UNIT


def read_box(values: Sequence[float], frame: Frame) -> list[float]:
    """Coordinates x, y, x, y, … of `frame` in units of the picture, unclamped."""
    return [value / max(frame[i % 2], 1) for i, value in enumerate(values)]


def write_box(box: Sequence[float], frame: Frame) -> list[int] | list[float]:
    """A unit box in steps of `frame`, at least one step wide and high unless it is empty."""
    scale = 10**frame.decimals
    x0, x1 = _edges(box[0], box[2], frame.width * scale)
    y0, y1 = _edges(box[1], box[3], frame.height * scale)
    steps = [x0, y0, x1, y1]
    return [step / scale for step in steps] if frame.decimals else steps


def write_point(point: Sequence[float], frame: Frame) -> list[int] | list[float]:
    """A unit point in steps of `frame`."""
    x, y = point[0] * frame.width, point[1] * frame.height
    return [round(x, frame.decimals), round(y, frame.decimals)] if frame.decimals else [round(x), round(y)]


def _edges(low: float, high: float, steps: int) -> tuple[int, int]:
    """Both edges rounded; a range that would collapse becomes the step that its low edge lies in."""
    first, last = round(low * steps), round(high * steps)
    if low < high and first == last:
        first = min(math.floor(low * steps), steps - 1)
        return first, first + 1
    return first, last
