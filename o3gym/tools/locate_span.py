"""`locate_span`: end a temporal grounding with an interval."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.tools.time_rules import O3GYM_TIMES
from o3gym.types import Span

SPAN = Arg("span", "start and end in seconds of what was asked for")


class LocateSpan(Tool):
    """Ends a temporal grounding. The interval is stored in seconds of the task's first video, moved into the video."""

    name: ClassVar[str] = "locate_span"
    doc: ClassVar[str] = "Give the interval of the video in which what was asked for happens."
    args: ClassVar[Mapping[str, Arg]] = {"span": SPAN}
    ends: ClassVar[bool] = True

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Records the interval."""
        if context.task.kind != "span":
            raise Invalid("bad_args", "this task does not ask for an interval: end it with another call")
        span = answered_span(context, args["span"])
        return ToolResult(stop="located", answer=json.dumps(span), span=span)


def answered_span(context: ToolContext, span: Sequence[float]) -> Span:
    """An answered interval inside the first video. Raises `Invalid` if it has no length there, or there is no video."""
    durations = [source.duration for source in context.task.sources if source.duration is not None]
    if not durations:
        raise Invalid("bad_args", "this task has no video, so there is no interval to give")
    return O3GYM_TIMES.span(span, durations[0])
