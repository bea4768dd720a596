"""`image_search`: have another agent search the web with a picture, and read what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, ToolContext
from o3gym.tools.web_search import WebSearch
from o3gym.types import Source

SIMILAR = "Search the web for pictures like this one, and say what the pages that show them are about."
"""The task of the agent that searches the web with a picture."""


class ImageSearch(WebSearch):
    """Returns what a search of the web with a picture of the episode finds, as a text.

    The agent that carries it out is given the whole source of the view that the call names, and `SIMILAR` as its task.
    Results and refusals are those of `web_search`. Pictures that the search finds are not shown.

    Source of the idea: DeepEyesV2's `image_search` (github.com/Visual-Agent/DeepEyesV2), which
    searches with the first picture and shows up to ten of those that it finds.
    """

    name: ClassVar[str] = "image_search"
    doc: ClassVar[str] = "Search the web for pictures like the given one and read what the pages say about them."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": Arg("view", "number of the picture to search with", default=0, required=False)
    }

    def pictures(self, context: ToolContext, **args: Any) -> tuple[Source, ...]:
        """The picture that the view is a region of."""
        return (context.sources[context.view(args["view"]).source],)

    def query(self, **args: Any) -> str:
        """The instruction, which is the same for every picture."""
        return SIMILAR
