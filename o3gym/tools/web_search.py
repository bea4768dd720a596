"""`web_search`: have another agent search the web for a query, and read what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.types import Source, Task

NO_RESULTS = "Nothing was found"
"""The first words of the feedback after a search of the web without results."""


class WebSearch(Tool):
    """Returns what a search of the web finds for a query, as a text.

    o3gym serves no search engine. The rollout loop has `subtask` solved by another agent, whose answer is the text of
    the results, and steps the environment with the same call plus the results:

    * `text`: what was found;
    * `reason`: why nothing was, in words; "" if there are results.

    A call without results is refused as bad_args: nobody in this episode can search the web.

    Source of the idea: DeepEyesV2's `search` (github.com/Visual-Agent/DeepEyesV2).
    """

    name: ClassVar[str] = "web_search"
    doc: ClassVar[str] = "Search the web for a query and read the results."
    args: ClassVar[Mapping[str, Arg]] = {"query": Arg("text", "what to search the web for")}
    results: ClassVar[Mapping[str, Arg]] = {
        "text": Arg("text", "what was found", required=False),
        "reason": Arg("text", "why nothing was found", default="", required=False),
    }

    def subtask(self, context: ToolContext, **args: Any) -> Task:
        """The other agent's task: the query. It has no ground truth, so it is never judged."""
        pictures, query = self.pictures(context, **args), self.query(**args)
        if not query:
            raise Invalid("bad_args", f"{self.name} needs a query; this one is empty")
        return Task(f"{context.task.id}/{self.name}", pictures, query, origin={"ground_truth": False})

    def pictures(self, context: ToolContext, **args: Any) -> tuple[Source, ...]:
        """The pictures that the other agent sees: none, because the query says all there is to search for."""
        return ()

    def query(self, **args: Any) -> str:
        """The text that the other agent reads."""
        return str(args["query"]).strip()

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Returns the results as feedback, or reports that there are none."""
        self.subtask(context, **args)
        if "text" not in args:
            raise Invalid(
                "bad_args",
                f"{self.name} is carried out by another agent, and there is none in this episode; answer without it",
            )
        if found := args["text"].strip():
            return ToolResult(text=found)
        reason = args.get("reason", "")
        return ToolResult(text=f"{NO_RESULTS}: {reason}." if reason else f"{NO_RESULTS}.")
