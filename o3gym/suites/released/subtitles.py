"""Subtitles, which are written into the question with their times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TIMES = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->\s*(\d+):(\d\d):(\d\d)[,.](\d{1,3})")
_MARKUP = re.compile(r"<[^<>]{0,100}>|\{\\[^{}]{0,100}\}")
"""Matches the tags of fonts and positions."""


class Subtitle(NamedTuple):
    """A text that is shown from `start` to `end`, in seconds."""

    start: float
    end: float
    text: str


def read_srt(text: str) -> list[Subtitle]:
    """The subtitles of a SubRip file, without markup. Blocks without times or text are left out."""
    found = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        times = _TIMES.search(block)
        if times is None:
            continue
        words = " ".join(_MARKUP.sub("", block[times.end() :]).split())
        numbers = times.groups()
        if words:
            found.append(Subtitle(_seconds(*numbers[:4]), _seconds(*numbers[4:]), words))
    return found


def _seconds(hours: str, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000


def with_subtitles(subtitles: Sequence[Subtitle], question: str) -> str:
    """A question after the subtitles of its video, one a line with its times in seconds."""
    if not subtitles:
        return f"The video has no subtitles.\n{question}"
    lines = [f"{start:.1f} to {end:.1f} s: {text}" for start, end, text in subtitles]
    return "\n".join(["Subtitles of the video:", *lines, "", question])
