"""The tags around code in a reply, between which the temperature may differ (`Sampling.code_temperature`)."""

from __future__ import annotations

from collections.abc import Sequence

from o3gym.sampling import Sampling


def in_parts(sampling: Sampling) -> bool:
    """Whether the temperature changes inside a reply."""
    return sampling.code_temperature is not None and bool(sampling.code_tags)


def ends_inside(text: str, tags: Sequence[str]) -> bool:
    """Whether a reply that begins with this text continues inside of code.

    The text is read from left to right. Outside of code, the next opening tag begins it; inside, the next closing tag
    ends it.
    """
    inside, at = False, text.find(tags[0])
    while at >= 0:
        at += len(tags[inside])
        inside = not inside
        at = text.find(tags[inside], at)
    return inside
