"""Pairs of generated videos with the preference of people, which test models that judge videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.videos import VideoSuite
from o3gym.types import Source, Task

PAIR_CHOICES = ("The first video", "The second video", "Same")
"""The options of a pair: prefer one, or a tie, which dialects of reward models write as "same"."""
PREFERENCES: Mapping[str, str] = {"first": "A", "second": "B", "same": "C"}
"""The letter of each preference."""
ASPECT_QUESTION = "Two videos were generated from this prompt: {prompt}\n{aspect}"


class VideoPairs(VideoSuite):
    """A suite of pairs of videos. The first video is option A, the second B, and a tie C.

    Accuracy is reported over all pairs, and over those without a tie.
    """

    measure: ClassVar[str] = "preferences"

    def pair(self, prompt: str, aspect: str, videos: tuple[Source, Source], preference: str, **fields: Any) -> Task:
        """A task about two videos; `preference` is "first", "second" or "same", and `aspect` asks for one of them."""
        tags = {"preference": preference, **fields.pop("tags", {})}
        return Task(
            sources=videos,
            question=ASPECT_QUESTION.format(prompt=prompt, aspect=aspect),
            answer=PREFERENCES[preference],
            choices=PAIR_CHOICES,
            kind="choice",
            tags=tags,
            **fields,
        )


def preference_of(row: Mapping[str, Any], field: str, known: Mapping[str, str]) -> str:
    """The preference that a value of a field stands for."""
    value = row[field]
    if not isinstance(value, str) or value not in known:
        raise BadRow(field, f"one of {', '.join(known)}", value)
    return known[value]
