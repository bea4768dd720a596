"""Colours that people name without hesitation, and shades of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

RGB: TypeAlias = tuple[int, int, int]

COLOURS: Mapping[str, RGB] = {
    "red": (208, 28, 40),
    "orange": (246, 132, 16),
    "yellow": (250, 216, 40),
    "green": (52, 160, 68),
    "blue": (28, 92, 206),
    "purple": (124, 52, 166),
    "pink": (248, 138, 188),
    "black": (38, 38, 42),
}
"""Named colours, well apart in hue; neighbours in hue (red and orange, purple and pink) differ in lightness too."""

INK: RGB = (44, 48, 58)
WHITE: RGB = (255, 255, 255)
CARD: RGB = (252, 251, 247)


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """The colour `share` of the way (0..1) from `a` to `b`."""
    r, g, b_ = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return (r, g, b_)


def lightness(colour: RGB) -> float:
    """Perceived lightness (Rec. 601 luma) in 0..255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def tone(colour: RGB) -> RGB:
    """A second tone for details on `colour`: darker, or lighter if the colour is almost black."""
    return mix(colour, WHITE, 0.45) if lightness(colour) < 50 else mix(colour, (0, 0, 0), 0.38)
