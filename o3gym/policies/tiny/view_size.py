"""The size at which the bundled model sees a region: whole pictures as thumbnails, the smallest regions magnified."""

from __future__ import annotations

from o3gym.types import Size

LEGIBLE_REGION = 12_000
"""Maximum native pixels of a region in which plates can be read."""
SIDE = 16
"""Side of the square that becomes one token, in pixels: 8-pixel patches, merged two by two."""
STEPS = ((500_000, 6_144), (40_000, 25_600), (LEGIBLE_REGION, 10_240), (0, 40_960))
"""(minimum native pixels, exclusive; displayed pixels) per zoom level: the whole picture, a part of it, a strip on
which to find a plate, and a plate to read.
"""


def shown(width: int, height: int) -> Size:
    """The size at which a region of `width` × `height` native pixels is shown; both sides are whole tokens."""
    native = max(1, width * height)
    pixels = next(pixels for minimum, pixels in STEPS if native > minimum)
    scale = (pixels / native) ** 0.5
    return (_tokens(width * scale), _tokens(height * scale))


def _tokens(side: float) -> int:
    """Rounds a side to whole tokens, at least 1 and at most 60, and returns it in pixels."""
    return min(max(round(side / SIDE), 1), 60) * SIDE
