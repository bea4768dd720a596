"""`frame_thinker`: the wire format of FrameThinker, whose actions are plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from o3gym.calls import frames, noop
from o3gym.dialects.tagged import Tagged, Unreadable
from o3gym.dialects.tags import TagBlock, last_block, quote_in_thoughts
from o3gym.dialects.times import (
    SECONDS,
    durations,
    leading_video,
    opening_frames,
    read_clock,
    several_videos,
    write_clock,
)
from o3gym.dialects.wording import compose_prompt
from o3gym.tools.base import Tool
from o3gym.tools.time_rules import FRAME_THINKER_TIMES
from o3gym.types import Call, Parsed, Task, View

CHOOSE = re.compile(r"choose frames between\s+([0-9]{1,15})\s+and\s+([0-9]{1,15})(?![0-9])")
AT_TIME = re.compile(r"get frame number at time\s+(\S{1,40})")
OUTPUT = re.compile(r"output answer:\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class FrameThinker(Tagged):
    """`<think>…</think><action>…</action>` with one of three actions, of which the last one in a reply counts.

    `choose frames between A and B` shows 8 frames of the first video, or 12 if it is longer than 300 seconds, evenly
    spaced from frame A + 1 to frame B − 1; as many as were shown at the start. Frames are numbered from 0.
    `get frame number at time MM:SS` is answered by `Frame number at time MM:SS is: N.` Minutes may exceed 59.
    `output answer: X` ends the episode; intervals as answers have the form of `Tagged` after the colon.

    As in the system, an invalid action ends the episode, so it is void. An interval of no more frames than are shown is
    one of them. In the released inference code, so is a frame after the end of the video, which here is refused with a
    reason, and so is a repeated interval or a frame number that is not used, which here are left to rewards. A set of
    frames that is not evenly spaced is written as the interval around it, since the format has no other form.

    Source: github.com/lcqysl/FrameThinker-RL at 3c917f3 (envs/visual_agent/think_with_video.py, infer.py).
    """

    name: ClassVar[str] = "frame_thinker"
    tools: ClassVar[tuple[str, ...]] = ("frames", "frame_at", "answer", "locate_span", "answer_with_span")
    time_rule: ClassVar[str] = "frame_thinker"
    call_tag: ClassVar[str] = "action"

    def actionable(self, text: str, cut: bool = False) -> str:
        """`text` with the actions in its thoughts quoted, unless the dialect reads them; positions do not move."""
        return text if self.thought_answers else quote_in_thoughts(text, self.call_tag, cut)

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the last action."""
        return last_block(text, self.call_tag)

    def missing(self, text: str) -> str:
        """The feedback on a reply without an action."""
        return "the reply has no <action>…</action>"

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply as other dialects do, but an unreadable action is void and ends the episode."""
        parsed = super().parse(text, views)
        if parsed.call.tool == "noop":
            return replace(parsed, call=noop("void", parsed.call.args["reason"]))
        return parsed

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads an action, which may be the answer."""
        action = body.strip()
        if match := OUTPUT.match(action):
            return self.read_answer(match[1], views)
        if match := AT_TIME.match(action):
            return self._time(match[1], views), match.end() == len(action)
        if match := CHOOSE.search(action):
            return self._choice(int(match[1]), int(match[2]), views), match[0] == action
        raise Unreadable(f"there is no such action; there are {', '.join(self._actions())}")

    def _time(self, text: str, views: Sequence[View]) -> Call:
        seconds = read_clock(text)
        if seconds is None:
            raise Unreadable("the time must be written as MM:SS")
        return Call("frame_at", {"time": seconds, "video": leading_video(views)})

    def _choice(self, start: int, end: int, views: Sequence[View]) -> Call:
        count = _shown_at_once(views)
        if start >= end - count:
            raise Unreadable(f"there must be more than {count} frames between the two numbers, the second one included")
        between = sorted({int(number) for number in np.linspace(start + 1, end - 1, count)})
        return frames(between, leading_video(views))

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The action. Raises ValueError for another video than the first."""
        if call.args.get("video", leading_video(views)) != leading_video(views):
            raise ValueError(
                f"calls of dialect {self.name} work on the first video only, got video {call.args['video']}"
            )
        if call.tool == "frame_at":
            return f"get frame number at time {write_clock(call.args['time'])}"
        start, end = _interval(call.args["numbers"], _shown_at_once(views))
        return f"choose frames between {start} and {end}"

    def lead(self, thought: str) -> str:
        """The think block, with nothing between it and the action."""
        return f"<think>{thought}</think>"

    def close(self, text: str) -> str:
        """Writes an answer as an action."""
        return f"<action>output answer: {text}</action>"

    def call_form(self) -> str:
        """The body of an action as the prompt shows it."""
        return "one of the actions above"

    def _actions(self) -> tuple[str, ...]:
        return "choose frames between A and B", "get frame number at time MM:SS", "output answer: X"

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains the enabled actions and the form of a reply."""
        choose, ask, _ = self._actions()
        longest = max((seconds for _, seconds in durations(task)), default=0.0)
        count = FRAME_THINKER_TIMES.of(longest).most
        lines = {
            "frames": f"`{choose}` shows {count} evenly spaced frames between the frames A and B of the video. Frames "
            f"are numbered from 0, and A must be more than {count} frames before B.",
            "frame_at": f"`{ask}` gives the number of the frame that is shown at that time, in minutes and seconds.",
        }
        section = "\n".join(lines[tool.name] for tool in self.usable(tools, task) if tool.name in lines)
        return compose_prompt(self, task, section, tools)

    def headline(self, view: View, views: Sequence[View]) -> str:
        """The frame's number, as in the system, after its video if there are several. Times are asked for."""
        if view.video is None or view.frame is None:
            return ""
        prefix = f"{self.video_name(view.video)}, " if several_videos(views) else ""
        return f"{prefix}frame {view.frame}:"

    def called(self, index: int) -> str:
        """A description, because this format does not name pictures."""
        return f"picture {index + 1}"

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """As in other dialects, with times in minutes and seconds."""
        if info.get("turn", 0) > 0:
            text = SECONDS.sub(lambda match: write_clock(float(match[1])), text)
        return super().show(views, text, info)


def _shown_at_once(views: Sequence[View]) -> int:
    """The number of frames that a choice shows: as many as were shown of the first video at the start."""
    return len(opening_frames(views, leading_video(views))) or FRAME_THINKER_TIMES.most


def _interval(numbers: Sequence[int], count: int) -> tuple[int, int]:
    """The interval around frames, widened until it has more than `count` frames after its start."""
    start, end = min(numbers) - 1, max(numbers) + 1
    start = max(0, start - max(0, count + 1 - (end - start)) // 2)
    return start, max(end, start + count + 1)
