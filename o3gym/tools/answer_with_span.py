"""`answer_with_span`: end a grounded question with an answer and the interval that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from o3gym.tools.answer import Answer
from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult
from o3gym.tools.locate_span import SPAN, answered_span


class AnswerWithSpan(Tool):
    """Ends the episode with an answer and its evidence, as in ReXTime and NExT-GQA."""

    name: ClassVar[str] = "answer_with_span"
    doc: ClassVar[str] = "Give the final answer, and the interval of the video that shows it."
    args: ClassVar[Mapping[str, Arg]] = {"text": Answer.args["text"], "span": SPAN}
    ends: ClassVar[bool] = True

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Records both."""
        result = Answer().apply(context, text=args["text"])
        return replace(result, span=answered_span(context, args["span"]))
