"""`answer`: end the episode with an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult


class Answer(Tool):
    """Ends the episode. The reward's judge decides later whether the answer is right."""

    name: ClassVar[str] = "answer"
    doc: ClassVar[str] = "Give the final answer."
    args: ClassVar[Mapping[str, Arg]] = {
        "text": Arg("text", "the answer: the letter of an option if there are options, otherwise a short text")
    }
    ends: ClassVar[bool] = True

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Records the answer."""
        if context.task.kind == "box":
            raise Invalid("bad_args", "this task asks for a region: end it with locate")
        if context.task.kind == "span":
            raise Invalid("bad_args", "this task asks for an interval: end it with locate_span")
        return ToolResult(stop="answered", answer=args["text"].strip())
