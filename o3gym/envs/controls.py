"""Controls: ablations of visual search that tell whether a policy relies on what it sees.

A control is an argument of the environment, not a wrapper around it, because a trajectory must record the views that
were actually shown: the viewer and the trainer render their pixels from that record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from o3gym.geometry import center, clamp, iou, onto, overlap, surround
from o3gym.registry import TOOLS
from o3gym.tools.base import Invalid, ToolContext, ToolResult
from o3gym.tools.frames import timing_of
from o3gym.types import FULL, Box, Call, Source, Target


class Control:
    """Base of all controls, which changes nothing. Subclasses override the methods for what they ablate."""

    def tools(self, names: Sequence[str]) -> tuple[str, ...]:
        """The tools that remain enabled, out of `names`."""
        return tuple(names)

    def call(self, call: Call, context: ToolContext, rng: np.random.Generator) -> Call:
        """The call to execute instead of `call`, which has passed the shape check. It may raise `Invalid`."""
        return call

    def result(self, result: ToolResult, context: ToolContext) -> ToolResult:
        """The result to use instead of `result`."""
        return result


class NoTool(Control):
    """Disables all tools but those that end the episode: the pictures shown at reset have to suffice."""

    def tools(self, names: Sequence[str]) -> tuple[str, ...]:
        """Keeps the tools that end the episode, such as answer and locate."""
        return tuple(name for name in names if TOOLS[name].ends)


class BlankCrop(Control):
    """Shows grey instead of every new view: the number of turns and tokens is kept, the evidence is removed."""

    def result(self, result: ToolResult, context: ToolContext) -> ToolResult:
        """Replaces each requested view by a blank source with the size of its region."""
        sources = (*context.sources, *result.sources)
        blanks = tuple(_blank(sources[request.source], request.box) for request in result.views)
        first = len(context.sources)
        views = tuple(replace(request, source=first + i, box=FULL) for i, request in enumerate(result.views))
        return replace(result, views=views, sources=blanks)


class RandomCrop(Control):
    """Moves every crop, zoom and search result to a uniformly random place; its view and size are kept.

    Clips keep their length and lists of frames their number, at random times of the same video.
    """

    def call(self, call: Call, context: ToolContext, rng: np.random.Generator) -> Call:
        """Moves the box, the centre, the interval or the frames."""
        if call.tool in ("clip", "frames"):
            return _at_random_time(call, context, rng)
        x, y = float(rng.random()), float(rng.random())
        if call.tool == "zoom":
            side = 1.0 / TOOLS["zoom"]().complete(call.args)["factor"]
            return Call("zoom", {**call.args, "center": [side / 2 + v * (1.0 - side) for v in (x, y)]})
        if call.tool not in ("crop", "search") or call.args.get("box") is None:
            return call
        x0, y0, x1, y1 = clamp(call.args["box"])
        width, height = max(x1 - x0, 0.0), max(y1 - y0, 0.0)
        low = (x * (1.0 - width), y * (1.0 - height))
        return Call(call.tool, {**call.args, "box": [low[0], low[1], low[0] + width, low[1] + height]})


class OracleCrop(Control):
    """Moves every crop, zoom and search to the next target that no view shows yet, and finally to the last target.

    This is the upper bound given by perfect search. Clips move to the times of the targets in turn.
    """

    def call(self, call: Call, context: ToolContext, rng: np.random.Generator) -> Call:
        """Moves the call to the next target, with half the target's size as margin on each side."""
        if call.tool == "clip":
            return _at_target_time(call, context)
        if call.tool not in ("crop", "zoom", "search") or not context.task.targets:
            return call
        calls = [_towards(call, target) for target in context.task.targets]
        return next((c for c in calls if not _is_shown(c, context)), calls[-1])


def _at_random_time(call: Call, context: ToolContext, rng: np.random.Generator) -> Call:
    """The call for another interval of the same length, or for as many other frames. Raises `Invalid` for no video."""
    timeline, _ = timing_of(context, TOOLS[call.tool]().complete(call.args)["video"])
    if call.tool == "frames":
        count = min(len(set(call.args["numbers"])), len(timeline))
        numbers = rng.choice(len(timeline), count, replace=False)
        return Call("frames", {**call.args, "numbers": sorted(int(number) for number in numbers)})
    start, end = (min(max(float(time), 0.0), timeline.duration) for time in call.args["span"])
    moved = float(rng.random()) * (timeline.duration - max(end - start, 0.0))
    return Call("clip", {**call.args, "span": [moved, moved + end - start]})


def _at_target_time(call: Call, context: ToolContext) -> Call:
    """The call for the interval of the next target; the same call if no target has an interval."""
    timed = [(target.source, target.time) for target in context.task.targets if target.time is not None]
    seen = [(view.video, view.time) for view in context.views if view.parent >= 0 and view.time is not None]
    unseen = [(video, span) for video, span in timed if not any(v == video and overlap(s, span) > 0 for v, s in seen)]
    if not timed:
        return call
    video, span = (unseen or timed[-1:])[0]
    return Call("clip", {"video": video, "span": list(span)})


def _towards(call: Call, target: Target) -> Call:
    box = surround(target.box)
    if call.tool == "search":
        return Call("search", {**call.args, "view": target.source, "box": list(box)})
    if call.tool == "crop":
        return Call("crop", {"view": target.source, "box": list(box)})
    factor = min(max(1.0 / max(box[2] - box[0], box[3] - box[1]), 1.0), 16.0)
    return Call("zoom", {"view": target.source, "center": list(center(box)), "factor": factor})


def _is_shown(call: Call, context: ToolContext) -> bool:
    """Whether a view already shows the region of `call`; also True for a call that would be refused or show nothing."""
    try:
        result = TOOLS[call.tool]().apply(context, **call.args)
    except Invalid:
        return True
    if not result.views:
        return True
    request = result.views[0]
    source = (*context.sources, *result.sources)[request.source]
    views = [view for view in context.views if view.parent >= 0]
    return any(context.sources[view.source] == source and iou(view.box, request.box) > 0.999 for view in views)


def _blank(source: Source, box: Box) -> Source:
    return Source.derived(source, "blank", onto(box), region=list(box))


def blank_pixels(image: Image.Image) -> Image.Image:
    """The image operation: a grey picture of the same size."""
    return Image.new("RGB", image.size, (127, 127, 127))
