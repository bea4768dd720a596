"""`draw_state`: make a move in a world of visual planning by drawing the state after it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.media.errors import PictureError
from o3gym.media.images import header_size, shared_store
from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult, brief
from o3gym.tools.move import moved, planning_standing
from o3gym.types import Source
from o3gym.worlds.base import BLOCKED
from o3gym.worlds.interpreter import read_move
from o3gym.worlds.tiles import PICTURE_SIDE

MAX_DRAWN = 300_000
"""Maximum length of a drawn picture as text: the longest PNG of its size, with noise in every pixel, has 263,000."""
MAX_SCANS = 100
"""Maximum number of scans of a JPEG; progressive ones have about ten. Each can take as long as decoding a picture."""
_PREFIX = re.compile(r"\s*data:image/(?:png|jpe?g|webp);base64,")
_STARTS = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF.{4}WEBP", re.DOTALL)
_EXPECTED = f"a PNG, JPEG or WebP picture of {PICTURE_SIDE}×{PICTURE_SIDE} pixels as a data URL"


class DrawState(Tool):
    """Reads the move out of a picture of the next state, makes it, and shows the drawn picture and the true state.

    The picture comes from a stranger: its format and size are checked before it is decoded, and nothing about it can
    raise. Its view is a child of the newest view, and the true state's view is a child of it, so that both lie side by
    side. A picture that cannot be decoded is not shown.

    A picture that shows no possible move is carried out with the error "bad_move": an invalid move is recorded in the
    plan, and the unchanged state is shown. Reaching the goal ends the episode.
    """

    name: ClassVar[str] = "draw_state"
    doc: ClassVar[str] = "Make a move by drawing the state after it."
    args: ClassVar[Mapping[str, Arg]] = {
        "picture": Arg("text", f"the state after the move, {_EXPECTED}", longest=MAX_DRAWN)
    }
    may_end: ClassVar[bool] = True

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Reads the move and makes it. Raises `Invalid("bad_args")` if the task is none of visual planning."""
        standing = planning_standing(self.name, context)
        views, sources = len(context.views), len(context.sources)
        try:
            drawn = _read_picture(args["picture"], context.task.sources[0])
        except PictureError as error:
            return moved(standing, [BLOCKED], f"expected {_EXPECTED}, got {error!s:.200}", sources, views - 1)
        move, _, why = read_move(standing.world, standing.state, shared_store().region(drawn))
        return moved(standing, [move], why, sources, views - 1, drawn)


def _read_picture(text: str, parent: Source) -> Source:
    """The picture in a data URL, or in base64 alone. Raises `PictureError` unless it decodes and has the right size."""
    prefix = _PREFIX.match(text)
    try:
        data = base64.b64decode("".join(text[prefix.end() if prefix else 0 :].split()), validate=True)
    except ValueError:
        data = b""
    if not data:
        raise PictureError(brief(text))
    if not _STARTS.match(data):
        raise PictureError("another format")
    scans = data.count(b"\xff\xda") if data.startswith(b"\xff\xd8") else 1
    if scans > MAX_SCANS:
        raise PictureError(f"a JPEG of {scans} scans")
    source = Source.made(data, parent, by="model")
    width, height = header_size(source)  # nothing is decoded before the size is known
    if (width, height) != (PICTURE_SIDE, PICTURE_SIDE):
        raise PictureError(f"{width}×{height} pixels")
    shared_store().region(source)  # decodes it, and keeps it for the observation
    return source
