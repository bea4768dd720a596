"""`deepeyes`: the wire format of DeepEyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from o3gym.dialects.frames import UNIT, Frame, check_frame, shown_pixels
from o3gym.dialects.functions import Functions
from o3gym.types import View


@dataclass(frozen=True)
class DeepEyes(Functions):
    """A think block, then `<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": […]}}</tool_call>`.

    Boxes are xyxy in whole pixels of the first picture (view 0), and every crop is taken from that picture. A crop may
    carry a "label". `image_rotate_tool` rotates the first picture by an `angle`. If a reply has both an answer and a
    call, the answer counts; of several calls, the last one counts. Arguments beside the name, without "arguments", are
    accepted as well, because an official prompt that is not in use writes them that way.

    Attributes:
        frame: the pixels that boxes are measured in. "shown" (the default) means the picture as displayed to the
            model, so boxes land where the model intends. "native" means the picture before resizing, which is how the
            released code reads the same numbers; crops are then shifted whenever the picture was displayed at less
            than its native size (DeepEyes issue 141).

    Source: github.com/Visual-Agent/DeepEyes (verl/workers/agent/envs/mm_process_engine), arXiv 2505.14362.
    """

    frame: str = "shown"
    name: ClassVar[str] = "deepeyes"
    tools: ClassVar[tuple[str, ...]] = ("crop", "rotate", "answer", "locate")
    size_rule: ClassVar[str] = "deepeyes"
    wins: ClassVar[str] = "answer"
    names: ClassVar[Mapping[str, str]] = {"crop": "image_zoom_in_tool", "rotate": "image_rotate_tool"}
    labelled: ClassVar[bool] = True
    reminder: ClassVar[str] = "Think on, then call a function or answer."

    def __post_init__(self) -> None:
        check_frame(self.frame, ("shown", "native"))

    def frame_of(self, views: Sequence[View], view: int) -> Frame:
        """The size of view 0, as shown or native."""
        return shown_pixels(views, 0) if self.frame == "shown" else Frame(*views[0].native) if views else UNIT

    def coordinates(self) -> str:
        """Explains that boxes are in pixels of the first picture."""
        return (
            "Boxes are left, top, right and bottom edge in pixels of the first picture, counted from its top left "
            "corner. Every function works on that picture, whatever was shown later."
        )

    def label(self, view: View) -> str:
        """The size of the first picture, in whose pixels boxes are measured."""
        return f"Picture of {view.shown[0]}x{view.shown[1]} pixels:" if view.index == 0 else ""

    def called(self, index: int) -> str:
        """A description, because this format does not name views."""
        return "the first picture" if index == 0 else "a later picture"

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """Wraps the parts in tool_response tags."""
        return ["<tool_response>", *parts, "</tool_response>", self.reminder]
