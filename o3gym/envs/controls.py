"""Controls: ablations of visual search that tell whether a policy relies on what it sees.

A control is an argument of the environment, not a wrapper around it, because a trajectory must record the views that
were actually shown: the viewer and the trainer render their pixels from that record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from o3gym.geometry import center, clamp, iou, onto, surround
from o3gym.registry import TOOLS
from o3gym.tools.base import Invalid, ToolContext, ToolResult
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
    """Moves every crop, zoom and search result to a uniformly random place; its view and size are kept."""

    def call(self, call: Call, context: ToolContext, rng: np.random.Generator) -> Call:
        """Moves the box or the centre."""
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

    This is the upper bound given by perfect search.
    """

    def call(self, call: Call, context: ToolContext, rng: np.random.Generator) -> Call:
        """Moves the call to the next target, with half the target's size as margin on each side."""
        if call.tool not in ("crop", "zoom", "search") or not context.task.targets:
            return call
        calls = [_towards(call, target) for target in context.task.targets]
        return next((c for c in calls if not _is_shown(c, context)), calls[-1])


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
