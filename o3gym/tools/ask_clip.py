"""`ask_clip`: have another agent answer a question about an interval of a video, and read its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.media.videos import frame_source
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.tools.clip import Clip
from o3gym.tools.frames import timing_of
from o3gym.types import Source, Task

UNANSWERED = "No answer was given"
"""The first words of the feedback after a delegated question without an answer."""


class AskClip(Tool):
    """Returns what another agent says about the frames of [start, end), as a text and without showing the frames.

    The rollout loop has `subtask` solved by another agent, whose pictures are the frames of the clip, and steps the
    environment with the same call plus the results:

    * `text`: the answer;
    * `reason`: why there is none, in words; "" if there is one.

    A call without results is refused as bad_args. Which intervals are refused is decided by the environment's
    `time_rule`, as for `clip`.

    Source of the idea: VITAL's `ask_video_clip_question` (arXiv 2508.04416), which the same model answers.
    """

    name: ClassVar[str] = "ask_clip"
    doc: ClassVar[str] = "Have a question about an interval of the video answered in words."
    args: ClassVar[Mapping[str, Arg]] = {
        **Clip.args,
        "question": Arg("text", "the question about what the interval shows"),
    }
    results: ClassVar[Mapping[str, Arg]] = {
        "text": Arg("text", "the answer", required=False),
        "reason": Arg("text", "why there is no answer", default="", required=False),
    }

    def subtask(self, context: ToolContext, **args: Any) -> Task:
        """The other agent's task: the question about the frames. It has no ground truth, so it is never judged."""
        frames, question = self.frames(context, **args), self.question(**args)
        if not question:
            raise Invalid("bad_args", f"{self.name} needs a question; this one is empty")
        origin = {"ground_truth": False}
        return Task(f"{context.task.id}/{self.name}", frames, question, origin=origin)

    def frames(self, context: ToolContext, **args: Any) -> tuple[Source, ...]:
        """The frames of the interval. Raises `Invalid` if the time rule refuses it."""
        timeline, rule = timing_of(context, args["video"])
        video = context.task.sources[args["video"]]
        return tuple(frame_source(video, number) for number in rule.clip(args["span"], timeline))

    def question(self, **args: Any) -> str:
        """The question that the other agent reads."""
        return str(args["question"]).strip()

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Returns the answer as feedback, or reports that there is none."""
        self.subtask(context, **args)
        if "text" not in args:
            raise Invalid("bad_args", f"{self.name} is carried out by another agent, and there is none in this episode")
        if said := args["text"].strip():
            return ToolResult(text=said)
        reason = args.get("reason", "")
        return ToolResult(text=f"{UNANSWERED}: {reason}." if reason else f"{UNANSWERED}.")
