"""Controls: the same episode with the search taken away, to tell looking from guessing.

A control is an argument of the environment, not a wrapper around it, because the views that a trajectory records must
be the ones that were shown: the viewer and the trainer make their pixels again from those records.
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
    """Changes nothing; subclasses override what they take away."""

    def tools(self, names: Sequence[str]) -> tuple[str, ...]:
        """The tools that stay enabled."""
        return tuple(names)

    def call(self, call: Call, scene: ToolContext, rng: np.random.Generator) -> Call:
        """The call that is carried out instead of a valid-shape `call`."""
        return call

    def outcome(self, outcome: ToolResult, scene: ToolContext) -> ToolResult:
        """What is shown instead of `outcome`."""
        return outcome


class NoTool(Control):
    """Only tools that end the episode: the picture as shown at reset must do."""

    def tools(self, names: Sequence[str]) -> tuple[str, ...]:
        """Answer and locate, where enabled."""
        return tuple(name for name in names if TOOLS[name].ends)


class BlankCrop(Control):
    """Every new view is grey: turns and tokens stay, evidence goes."""

    def outcome(self, outcome: ToolResult, scene: ToolContext) -> ToolResult:
        """Replace each look by one at a blank source of the same region."""
        sources = (*scene.sources, *outcome.sources)
        blanks = tuple(_blank(sources[look.source], look.box) for look in outcome.looks)
        first = len(scene.sources)
        looks = tuple(replace(look, source=first + i, box=FULL) for i, look in enumerate(outcome.looks))
        return replace(outcome, looks=looks, sources=blanks)


class RandomCrop(Control):
    """Every crop, and what a search found, keeps its size and view and goes somewhere else, uniformly at random."""

    def call(self, call: Call, scene: ToolContext, rng: np.random.Generator) -> Call:
        """Move the box or the centre."""
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
    """Every crop, and every search, goes to the next target that no view shows yet (at last to the last).

    It is what perfect search gives.
    """

    def call(self, call: Call, scene: ToolContext, rng: np.random.Generator) -> Call:
        """Look at the target with half its size as margin."""
        if call.tool not in ("crop", "zoom", "search") or not scene.task.targets:
            return call
        calls = [_towards(call, target) for target in scene.task.targets]
        return next((c for c in calls if not _is_shown(c, scene)), calls[-1])


def _towards(call: Call, target: Target) -> Call:
    box = surround(target.box)
    if call.tool == "search":
        return Call("search", {**call.args, "view": target.source, "box": list(box)})
    if call.tool == "crop":
        return Call("crop", {"view": target.source, "box": list(box)})
    factor = min(max(1.0 / max(box[2] - box[0], box[3] - box[1]), 1.0), 16.0)
    return Call("zoom", {"view": target.source, "center": list(center(box)), "factor": factor})


def _is_shown(call: Call, scene: ToolContext) -> bool:
    """Whether some view shows what `call` would; True for what the size rule refuses, which cannot be shown."""
    try:
        outcome = TOOLS[call.tool]().apply(scene, **call.args)
    except Invalid:
        return True
    if not outcome.looks:
        return True
    look = outcome.looks[0]
    source = (*scene.sources, *outcome.sources)[look.source]
    views = [view for view in scene.views if view.parent >= 0]
    return any(scene.sources[view.source] == source and iou(view.box, look.box) > 0.999 for view in views)


def _blank(source: Source, box: Box) -> Source:
    return Source.derived(source, "blank", onto(box), region=list(box))


def blank_pixels(image: Image.Image) -> Image.Image:
    """The operation: a grey picture of the same size."""
    return Image.new("RGB", image.size, (127, 127, 127))
