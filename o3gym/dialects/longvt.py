"""`longvt`: the wire format of LongVT, which crops videos in time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.functions import MISSING, Functions
from o3gym.dialects.tagged import Unreadable
from o3gym.dialects.times import durations
from o3gym.tools.base import Arg, Tool
from o3gym.types import Task, View

PATH = re.compile(r"(?:.{0,200}/)?video_([0-9]{1,6})\.mp4")
"""The path by which a call names a video of the task, with or without a folder."""


@dataclass(frozen=True)
class LongVT(Functions):
    """A think block, then `<tool_call>{"name": "crop_video", "arguments": {"video_path": …, …}}</tool_call>`.

    The arguments are `video_path`, `start_time` and `end_time`, in seconds and in this order. All are required. A call
    shows frames of the interval. An answer is `<answer>…</answer>`. The last call or answer counts.

    The system names the file of the video in its prompt. Here the video with the index 0 among the task's sources is
    called `video_1.mp4`, so that a prompt does not depend on a folder; a path that names no video is refused. The
    system answers an executed call with one line of text and the frames as pictures, and so does this dialect, with
    the time of each frame before it, which is ours. How it words its own prompt and answers with an interval is not
    adopted: the form of intervals is that of `Tagged`.

    Source: github.com/EvolvingLMMs-Lab/LongVT at 08d755b (examples/video_tools/mcp_server.py), arXiv 2511.20785.
    """

    name: ClassVar[str] = "longvt"
    tools: ClassVar[tuple[str, ...]] = ("clip", "answer", "locate_span", "answer_with_span")
    time_rule: ClassVar[str] = "longvt"
    names: ClassVar[Mapping[str, str]] = {"clip": "crop_video"}
    keys: ClassVar[Mapping[str, str]] = {"video": "video_path"}
    span_keys: ClassVar[tuple[str, ...]] = ("start_time", "end_time")
    videos: ClassVar[bool] = True

    def visible(self, declared: Mapping[str, Arg]) -> dict[str, Arg]:
        """The arguments in the order of the system: the path comes first."""
        return dict(sorted(declared.items(), key=lambda item: item[1].kind != "video"))

    def find(self, tool: str, key: str, arg: Arg, arguments: Mapping[str, Any]) -> Any:
        """The written value of an argument. Raises `Unreadable` if it is missing, and the path, too, is required."""
        if arg.kind == "video" and "video_path" not in arguments:
            raise Unreadable('crop_video needs "video_path"')
        return super().find(tool, key, arg, arguments)

    def _read(self, arg: Arg, value: Any, views: Sequence[View], view: int) -> Any:
        if arg.kind != "video":
            return super()._read(arg, value, views, view)
        match = PATH.fullmatch(value.strip()) if isinstance(value, str) else None
        return MISSING if match is None else int(match[1]) - 1

    def _write(self, arg: Arg, value: Any, views: Sequence[View], view: int) -> Any:
        return self.video_name(value) if arg.kind == "video" else super()._write(arg, value, views, view)

    def video_name(self, index: int) -> str:
        """The path by which calls name the video with that index among the task's sources."""
        return f"video_{index + 1}.mp4"

    def describe(self, arg: Arg) -> str:
        """The shape of an argument in words."""
        return "the path of a video, such as video_1.mp4" if arg.kind == "video" else super().describe(arg)

    def argument_schema(self, arg: Arg) -> dict[str, Any]:
        """The JSON schema of an argument."""
        if arg.kind == "video":
            return {"type": "string", "description": self.describe(arg)}
        return super().argument_schema(arg)

    def function_schema(self, tool: Tool) -> dict[str, Any]:
        """The function with all of its arguments required."""
        schema = super().function_schema(tool)
        parameters = schema["function"]["parameters"]
        parameters["required"] = list(parameters["properties"])
        return schema

    def coordinates(self) -> str:
        """Nothing: there are no boxes."""
        return ""

    def timing(self, tools: Sequence[Tool], task: Task) -> str:
        """Explains times and the paths of videos."""
        paths = [self.video_name(index) for index, _ in durations(task)]
        named = f"The path of the video is {paths[0]}." if len(paths) == 1 else "Videos have the paths given above."
        return f"Times are seconds from the start of the video. {named}" if tools else ""

    def called(self, index: int) -> str:
        """A description, because this format does not name pictures."""
        return f"picture {index + 1}"

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """The frames after the system's line of text."""
        return ["The tool executed successfully. Here are the processed result", *parts]
