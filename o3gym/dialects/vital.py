"""`vital`: the wire format of VITAL, which looks at clips of a video."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.functions import Functions
from o3gym.tools.base import Tool
from o3gym.types import Call, Task, View

END = re.compile(r'("(?:start|end)_time": )(-?[0-9.e+-]+)')
"""The start or the end of an interval in a written call."""


@dataclass(frozen=True)
class Vital(Functions):
    """A think block, then `<tool_call>{"name": "get_video_clip_frame", "arguments": {"start_time": …}}</tool_call>`.

    `start_time` and `end_time` are seconds of the first video and are written with two decimals. Besides
    `get_video_clip_frame`, which shows frames of the interval, there are `get_video_clip_caption` and
    `ask_video_clip_question` (with a `question`), which another agent answers in words. An answer is
    `<answer>…</answer>`. The last call or answer counts. Generation stops after `</tool_call>` and `</answer>`.

    A refused call is answered by `Error: NAME tool execution failed: …`. The system shows a clip as one video block and
    without times; here its frames are pictures with their times, since all policies take pictures. The system lets the
    model call once in an episode, which is the environment's argument `max_calls`. How it writes an interval as the
    answer is not published: its evaluation takes the last two numbers of the reply. The form used here is that of
    `Tagged`.

    Source: arXiv 2508.04416; github.com/Jamesding000/ThinkingWithVideos (verl/verl/tools/zoom_tool_new.py,
    config/zoom_tool_config_new_all_for_paper.yaml), a fork, since the official repository holds no code.
    """

    name: ClassVar[str] = "vital"
    tools: ClassVar[tuple[str, ...]] = (
        *("clip", "caption_clip", "ask_clip"),
        *("answer", "locate_span", "answer_with_span"),
    )
    time_rule: ClassVar[str] = "vital"
    stop: ClassVar[tuple[str, ...]] = ("</tool_call>", "</answer>")
    names: ClassVar[Mapping[str, str]] = {
        "clip": "get_video_clip_frame",
        "caption_clip": "get_video_clip_caption",
        "ask_clip": "ask_video_clip_question",
    }
    span_keys: ClassVar[tuple[str, ...]] = ("start_time", "end_time")

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The call as JSON, with two decimals in every time. Quotes inside a question are escaped, so none looks so."""
        return END.sub(lambda match: f"{match[1]}{float(match[2]):.2f}", super().write_call(call, views))

    def coordinates(self) -> str:
        """Nothing: there are no boxes."""
        return ""

    def timing(self, tools: Sequence[Tool], task: Task) -> str:
        """Explains times."""
        return "Times are seconds from the start of the video, with two decimals." if tools else ""

    def called(self, index: int) -> str:
        """A description, because this format does not name pictures."""
        return f"picture {index + 1}"

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """As in other dialects; a refusal names the function that was called."""
        if info.get("error") and (written := self.names.get(info.get("tool", ""))):
            text = f"{written} tool execution failed: {text}"
        return super().show(views, text, info)

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """Wraps the parts in tool_response tags."""
        return ["<tool_response>", *parts, "</tool_response>"]
