"""`reel`: clips, cells of frames and answered intervals, named by numbers; the dialect of the built-in watcher."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.calls import answer, clip, locate_span
from o3gym.dialects.grid import GRID_SHAPES, nearest, read_look
from o3gym.dialects.last_line import LastLine, ReadAction, answer_form, refused_view
from o3gym.dialects.wording import numbering
from o3gym.geometry import span_iou
from o3gym.tools.base import MAX_TEXT, Tool
from o3gym.types import Call, Span, Task, View

FRAME_GRID = (2, 2)
"""Columns and rows of the grid by whose cells the built-in watcher looks at a part of a frame."""
_FRAMES = re.compile(r"(?P<verb>watch|when)[ \t]+(?P<first>[0-9]{1,6})[ \t]+(?P<last>[0-9]{1,6})")


def seen_span(first: View, last: View) -> Span:
    """The interval from the start of one frame to the end of another, in seconds. Both views are frames."""
    assert first.time is not None
    assert last.time is not None
    return (first.time[0], last.time[1])


def open_span(views: Sequence[View], first: int, last: int) -> Span:
    """The interval in seconds between the frames that were shown just before frame `first` and just after `last`.

    Whatever is seen in these frames and not in their neighbours lies in this interval as a whole, however far apart the
    frames are. Where there is no neighbour, because a frame was the first or last one of its look, the interval extends
    as far as on the frame's other side.

    Args:
        views: all views so far.
        first: index of a frame.
        last: index of the same or a later frame of the same video.
    """
    start, end = seen_span(views[first], views[last])
    before, after = _gap(views, first, -1), _gap(views, last, 1)
    before = _gap(views, first, 1) if before is None else before
    after = _gap(views, last, -1) if after is None else after
    return (max(0.0, start - (before or 0.0)), end + (after or 0.0))


def _gap(views: Sequence[View], index: int, step: int) -> float | None:
    """Seconds between a frame and its neighbour in the same look, before (-1) or after it (1); None if it has none."""
    if not 0 <= index + step < len(views):
        return None
    earlier, later = views[min(index, index + step)], views[max(index, index + step)]
    if earlier.time is None or later.time is None or later.time[0] < earlier.time[1]:
        return None
    if (earlier.video, earlier.parent) != (later.video, later.parent):
        return None
    return later.time[0] - earlier.time[1]


@dataclass(frozen=True)
class Reel(LastLine):
    """Free text, then on the last line `watch 3 5`, `look 2x2 a1 in 18`, `when 18 19` or `answer TEXT`.

    Every picture is followed by its number, and several frames by how many frames of the video it is from one to the
    next ("every 8"); "every 1" are all frames of that time. `watch 3 5` shows a clip: all that lies between the frame
    shown before frame 3 and the frame shown after frame 5 (`open_span`). `look 2x2 a1 in 18` shows a cell of a picture,
    as in the dialect `grid`. `when 18 19` answers with the interval from the start of frame 18 to the end of frame 19.
    So times are never written in seconds, which a small model could not compute, and are as exact as the frames shown.
    A call is written with the frames whose interval has the highest IoU with its own. An answer that could be read as
    an action is written after "- ".
    """

    name: ClassVar[str] = "reel"
    tools: ClassVar[tuple[str, ...]] = ("clip", "crop", "answer", "locate_span")
    actions: ClassVar[re.Pattern[str]] = re.compile(
        r"^[ \t]*(?:(?:watch|when|look)\b|answer(?![^ \t\n]))", re.MULTILINE
    )
    missing: ClassVar[str] = 'the reply has no line "watch …", "look …", "when …" or "answer …"'
    lines: ClassVar[tuple[str, ...]] = ("clip", "crop", "locate_span")

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains the enabled actions."""
        watch = (
            'To look closer, end your reply with a line like "watch 3 5": you are shown frames of all that lies '
            "between the picture before picture 3 and the picture after picture 5. "
        )
        look = (
            'With "look 2x2 a1 in 18" you look at a part of picture 18: divide it into 2 columns and 2 rows and take '
            "the cell in row a (the upper one) and column 1. "
        )
        watches = (watch if "clip" in tools else "") + (look if "crop" in tools else "")
        if task.kind == "span":
            return (
                f'{watches}To answer, end your reply with a line like "when 18 19": what was asked for begins with '
                "picture 18 and ends with picture 19."
            )
        return watches + answer_form(task)

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """Each picture before its number, the distance of frames, then the question or an error; no other feedback."""
        parts: list[str | View] = []
        for view in views:
            parts += [view, f"{view.index}"]
        if step := frame_step(views):
            parts[-1] = f"{parts[-1]}\nevery {step}"
        shown = text if info.get("turn", 0) == 0 else refused_view(text) if info.get("error") else ""
        return [*parts, f"\n{shown}" if views else shown] if shown else parts

    def read_action(self, action: str, views: Sequence[View]) -> ReadAction | str:
        """Reads a clip, a look, or an answer in words or by an interval."""
        if action.startswith("answer"):
            return ReadAction(answer(action.removeprefix("answer").strip()[:MAX_TEXT]), len(action))
        if action.startswith("look"):
            return read_look(action) or 'expected a line like "look 2x2 a1 in 18"'
        found = _FRAMES.match(action)
        if found is None:
            return 'expected a line like "watch 3 5", "look 2x2 a1 in 18" or "when 18 19"'
        first, last = int(found["first"]), int(found["last"])
        return _fault(views, first, last) or ReadAction(_call(found["verb"], views, first, last), found.end())

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Writes a call. Raises ValueError for a tool or a video that the format cannot express."""
        thought = self.disarmed(thought.strip())
        lead = f"{thought}\n" if thought else ""
        if call.tool == "noop":
            return thought or "I do not know what to do."
        if call.tool == "answer":
            return f"{lead}answer {self.disarmed(call.args['text'])}"
        if call.tool not in self.tools:
            raise ValueError(f'dialect {self.name} cannot express "{call.tool}"; it has {", ".join(self.tools)}')
        if call.tool == "crop":
            shapes = (FRAME_GRID, *GRID_SHAPES)
            return f"{lead}look {nearest(call.args['box'], shapes)} in {call.args.get('view', 0)}"
        verb = "watch" if call.tool == "clip" else "when"
        first, last = nearest_frames(verb, call.args["span"], views, call.args.get("video", 0))
        return f"{lead}{verb} {first} {last}"


def frame_step(views: Sequence[View]) -> int:
    """The greatest number of frames of the video from one of the views to the next; 0 if they are not such frames."""
    steps = [
        later.frame - earlier.frame
        for earlier, later in itertools.pairwise(views)
        if earlier.frame is not None and later.frame is not None and earlier.video == later.video
    ]
    return max(steps, default=0)


def _call(verb: str, views: Sequence[View], first: int, last: int) -> Call:
    if verb == "when":
        return locate_span(*seen_span(views[first], views[last]))
    return clip(*open_span(views, first, last), views[first].video or 0)


def _fault(views: Sequence[View], first: int, last: int) -> str:
    """Why two numbers do not name an interval; "" if they do."""
    if wrong := [number for number in (first, last) if number >= len(views)]:
        return f"there is no picture {wrong[0]}; {numbering('picture', 0, len(views) - 1)}"
    if wrong := [number for number in (first, last) if views[number].time is None]:
        return f"picture {wrong[0]} is not a frame of a video"
    if views[first].video != views[last].video:
        return f"pictures {first} and {last} are frames of different videos"
    if seen_span(views[first], views[last])[1] <= seen_span(views[first], views[first])[0]:
        return f"picture {last} is earlier than picture {first}"
    return ""


def nearest_frames(verb: str, span: Sequence[float], views: Sequence[View], video: int) -> tuple[int, int]:
    """The frames of a video by which an action names the interval with the highest IoU with `span`.

    Raises ValueError if no frame of the video was shown.
    """
    shown = [view.index for view in views if view.time is not None and view.video == video]
    pairs = [(first, last) for first in shown for last in shown if not _fault(views, first, last)]
    if not pairs:
        raise ValueError(f"no frame of video {video} was shown, so its times cannot be named")
    wanted = (float(span[0]), float(span[1]))
    middle = sum(wanted) / 2

    def fit(pair: tuple[int, int]) -> tuple[float, float]:
        start, end = _call(verb, views, *pair).args["span"]
        return span_iou([(start, end)], [wanted]), -abs((start + end) / 2 - middle)

    return max(pairs, key=fit)
