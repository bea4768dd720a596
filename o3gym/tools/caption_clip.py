"""`caption_clip`: have another agent describe an interval of a video, and read its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.ask_clip import AskClip
from o3gym.tools.base import Arg
from o3gym.tools.clip import Clip

DESCRIBE = (
    "These pictures are frames of a video, in the order of time. Describe in a few sentences what they show: the "
    "people and things in them, where they are, what happens, and what changes. Write down only what can be seen."
)
"""The question that the describing agent reads."""


class CaptionClip(AskClip):
    """Returns another agent's description of the frames of [start, end), as a text and without showing the frames.

    Source of the idea: VITAL's `get_video_clip_caption` (arXiv 2508.04416). The question `DESCRIBE` is ours.
    """

    name: ClassVar[str] = "caption_clip"
    doc: ClassVar[str] = "Have an interval of the video described in words."
    args: ClassVar[Mapping[str, Arg]] = Clip.args

    def question(self, **args: Any) -> str:
        """Asks for a description."""
        return DESCRIBE
