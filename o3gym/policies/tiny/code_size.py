"""The size at which the built-in coder sees pictures: all of them with about eighty tokens."""

from __future__ import annotations

from o3gym.policies.tiny.view_size import SIDE
from o3gym.types import Size

CODE_TOKENS = 81
"""Visual tokens of a picture, about. Codes in easy pictures are then about as large as plates that `tiny` reads."""
MOST_TOKENS = 32
"""Maximum tokens on a side."""


def code_size(width: int, height: int) -> Size:
    """The size at which a picture of `width` × `height` native pixels is shown; both sides are whole tokens."""
    scale = (CODE_TOKENS / max(1, width * height)) ** 0.5
    return (_side(width * scale), _side(height * scale))


def _side(tokens: float) -> int:
    return min(max(round(tokens), 1), MOST_TOKENS) * SIDE
