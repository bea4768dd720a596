"""At what size the model on board sees: whole pictures as thumbnails, the smallest regions magnified."""

from __future__ import annotations

from o3gym.types import Size

LEGIBLE_REGION = 12_000
"""Native pixels of a region, up to which plates can be read in it."""
SIDE = 16
"""Pixels of a token's side: 8-pixel patches, merged two by two."""
STEPS = ((500_000, 6_144), (40_000, 25_600), (LEGIBLE_REGION, 10_240), (0, 40_960))
"""Native pixels of a region, above which it is shown at so many: the picture, a look, a strip to find a plate on, and a
plate to read.
"""


def shown(width: int, height: int) -> Size:
    """The size at which a region of `width` × `height` native pixels is shown, in whole tokens."""
    native = max(1, width * height)
    pixels = next(pixels for least, pixels in STEPS if native > least)
    scale = (pixels / native) ** 0.5
    return (_tokens(width * scale), _tokens(height * scale))


def _tokens(side: float) -> int:
    return min(max(round(side / SIDE), 1), 60) * SIDE
