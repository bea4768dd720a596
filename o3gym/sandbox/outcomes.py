"""What a worker says about a call, checked: nothing in it is believed to have the form that it should have."""

from __future__ import annotations

from typing import Any, Literal, cast

from o3gym.sandbox.bare_png import plain_pixels
from o3gym.sandbox.frames import BrokenFrame
from o3gym.sandbox.limits import Limits, Outcome, Workplace

Ended = Literal["", "error", "timeout", "memory", "died"]
"""How a call ended, see `Outcome.ended`."""


def checked_outcome(answer: dict[str, Any], blobs: list[bytes], workplace: Workplace, limits: Limits) -> Outcome:
    """Builds an outcome from what a worker says.

    Raises:
        BrokenFrame: it is not what a worker says.
    """
    values, stored, shown = answer.get("values"), answer.get("stored"), answer.get("shown")
    if not isinstance(values, dict) or not isinstance(stored, list) or type(shown) is not int:
        raise BrokenFrame("a result without its parts")
    if shown + len(stored) != len(blobs) or not 0 <= shown <= limits.pictures or len(stored) > limits.pictures:
        raise BrokenFrame("a result whose pictures are not as many as it says")
    pixels = [plain_pixels(blob) for blob in blobs]
    if not all(pixels) or sum(pixels) > limits.picture_pixels:
        raise BrokenFrame("a picture that is no plain PNG file, or too many pixels")
    ended = answer.get("ended")
    if bool(ended) != bool(answer.get("error")):
        raise BrokenFrame("a result that contradicts itself")
    if ended not in ("", "error", "timeout", "memory"):
        raise BrokenFrame("a result with an unknown end")
    room = limits.output + 300  # for the notes about what was cut and left out
    return Outcome(
        text=_text(answer.get("text"), room),
        shown=tuple(blobs[:shown]),
        stored=tuple((_text(path, 4096), data) for path, data in zip(stored, blobs[shown:], strict=True)),
        values={name: _text(values[name], 4096) for name in workplace.values if name in values},
        error=_text(answer.get("error"), 8000),
        ended=cast(Ended, ended),
    )


def _text(value: Any, most: int) -> str:
    """Returns text of at most `most` characters that can be written as UTF-8."""
    if not isinstance(value, str):
        raise BrokenFrame("a result with something else in the place of text")
    return value[:most].encode("utf-8", "replace").decode()
