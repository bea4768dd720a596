"""The sizes at which the built-in watcher sees videos: whole frames small, parts of small frames magnified."""

from __future__ import annotations

from o3gym.policies.tiny.view_size import SIDE
from o3gym.types import Size

FRAME_TOKENS = 8
"""Visual tokens of a frame, about. A wide frame has 64 × 32 pixels, in which a lamp's light fills a patch."""
PART_TOKENS = 240
"""Visual tokens of a part of a frame, about. Letters that are 17 pixels high in a frame of 320 × 180 have 27."""
PART_PIXELS = 52_000
"""Maximum native pixels of a region that counts as a part of a frame: less than a frame of 320 × 180 has."""


def frame_size(width: int, height: int) -> Size:
    """The size at which a frame or a part of one, of `width` × `height` native pixels, is shown.

    Both sides are whole tokens, of which a frame has at most eight on a side.
    """
    native = max(1, width * height)
    tokens, most = (PART_TOKENS, 32) if native <= PART_PIXELS else (FRAME_TOKENS, 8)
    scale = (tokens / native) ** 0.5
    return (_side(width * scale, most), _side(height * scale, most))


def _side(tokens: float, most: int) -> int:
    return min(max(round(tokens), 1), most) * SIDE
