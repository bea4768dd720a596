"""What a tool is: declared arguments, and what it does to an episode.

The declaration (`Arg`) is the single source for the action space's shape check, `sample()`, the prompts of dialects and
the JSON schema of function tools. A tool never touches pixels: it answers with regions to look at (`ViewRequest`) and with new
derived sources; the environment turns both into views.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from o3gym.geometry import is_box, is_number
from o3gym.types import Box, Error, Size, Source, Task, View

ArgKind: TypeAlias = Literal["box", "box?", "boxes", "view", "point", "number", "text"]
SizeRule: TypeAlias = Callable[[Sequence[float], Size], tuple[int, int, int, int]]
MAX_TEXT = 100_000
"""Longest text argument, in characters; longer ones are not valid-shape."""
MAX_BOXES = 64
"""Most boxes in one "boxes" argument."""


class Invalid(Exception):  # noqa: N818 - not an error of the program: it becomes an observation
    """A call that cannot be carried out. The environment turns it into feedback and counts the turn."""

    def __init__(self, kind: Error, reason: str) -> None:
        super().__init__(reason)
        self.kind: Error = kind
        self.reason = reason


@dataclass(frozen=True)
class Arg:
    """One argument of a tool.

    Attributes:
        kind: "box" (unit xyxy of the named view), "box?" (a box or None), "boxes" (a list of boxes), "view" (index of a
            view), "point" (unit x, y), "number" or "text".
        doc: one sentence for prompts and schemas.
        low, high: inclusive bounds of a number; outside of them a call is not valid-shape.
        default: value when left out; arguments without default are required.
    """

    kind: ArgKind
    doc: str
    low: float = 0.0
    high: float = 1.0
    default: Any = None
    required: bool = True

    def accepts(self, value: Any) -> bool:
        """Whether `value` has the right shape. Views may be out of range and boxes empty: that is decided in `step`."""
        if self.kind == "box":
            return is_box(value)
        if self.kind == "box?":
            return value is None or is_box(value)
        if self.kind == "boxes":
            return isinstance(value, (list, tuple)) and 0 < len(value) <= MAX_BOXES and all(map(is_box, value))
        if self.kind == "view":
            return isinstance(value, int) and is_number(value)
        if self.kind == "point":
            return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(is_number, value))
        if self.kind == "number":
            return is_number(value) and self.low <= value <= self.high
        return isinstance(value, str) and len(value) <= MAX_TEXT

    def sample(self, rng: np.random.Generator, n_views: int) -> Any:
        """A random valid value: boxes have x0 < x1 and y0 < y1, views exist."""
        if self.kind in ("box", "box?"):
            return sample_box(rng)
        if self.kind == "boxes":
            return [sample_box(rng) for _ in range(int(rng.integers(1, 4)))]
        if self.kind == "view":
            return int(rng.integers(n_views))
        if self.kind == "point":
            return [float(v) for v in rng.random(2)]
        if self.kind == "number":
            return float(rng.uniform(self.low, self.high))
        return "ABCDEF"[int(rng.integers(6))]


def sample_box(rng: np.random.Generator) -> list[float]:
    """A random box with sides of at least 0.05, as a list."""
    size = rng.uniform(0.05, 1.0, 2)
    low = rng.random(2) * (1.0 - size)
    return [float(low[0]), float(low[1]), float(low[0] + size[0]), float(low[1] + size[1])]


@dataclass(frozen=True)
class ViewRequest:
    """A region to be shown as a new view.

    Attributes:
        source: index into the episode's sources; `len(scene.sources) + i` is the i-th source of the same outcome.
        box: region, unit xyxy of that source.
        parent: the view that the call named.
        magnify: if given, show at (about) this size even if the region has fewer pixels.
    """

    source: int
    box: Box
    parent: int
    magnify: Size | None = None


@dataclass(frozen=True)
class ToolResult:
    """What a valid call did: looks to show, sources it derived, words, and whether it ended the episode."""

    looks: tuple[ViewRequest, ...] = ()
    sources: tuple[Source, ...] = ()
    text: str = ""
    stop: Literal["", "answered", "located"] = ""
    answer: str = ""
    located: Box | None = None


@dataclass(frozen=True)
class ToolContext:
    """What a tool may see of the episode.

    Attributes:
        task: the task (tools may check an answer's form with it, never its truth).
        sources: the task's sources and the derived ones.
        views: all views so far.
        size_of: gives the native (width, height) of a source.
        size_rule: how boxes become pixels, see `o3gym.tools.size_rules`.
        focus: what `crop` does: "crop", "draw" (the box is drawn on the view) or "reuse" (the view again).
    """

    task: Task
    sources: tuple[Source, ...]
    views: tuple[View, ...]
    size_of: Callable[[Source], Size]
    size_rule: SizeRule
    focus: str = "crop"

    def view(self, index: int) -> View:
        """The view with that index, or `Invalid("bad_view")` naming the ones that exist."""
        if not 0 <= index < len(self.views):
            raise Invalid("bad_view", f"there is no view {index}; views are numbered 0 to {len(self.views) - 1}")
        return self.views[index]


class Tool:
    """Base of all tools. Subclass, set the class attributes and implement `apply`.

    Attributes:
        name: the name in a `Call`.
        doc: one sentence for prompts and schemas.
        args: declared arguments in order.
        ends: a valid call ends the episode.
        results: of a delegated tool, the arguments that whoever carries its calls out adds to them before `step`. No
            dialect reads or writes them, so a model cannot make them up. Empty for tools that need nobody's help.
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    args: ClassVar[Mapping[str, Arg]]
    ends: ClassVar[bool] = False
    results: ClassVar[Mapping[str, Arg]] = {}

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        """Carry out a valid-shape call. Raises `Invalid` where the call cannot be done in this episode."""
        raise NotImplementedError

    def subtask(self, scene: ToolContext, **args: Any) -> Task:
        """What a call of a delegated tool (one with `results`) asks of another agent. Raises `Invalid` as `apply`."""
        raise NotImplementedError

    def accepts(self, args: Any) -> str:
        """What is wrong with `args` in words, "" if it has the declared keys and shapes."""
        if not isinstance(args, dict):
            return f"arguments must be an object, got {type(args).__name__}"
        for key in args:
            if key not in self.args and key not in self.results:
                return f'"{key!s:.40}" is not an argument of {self.name} (it takes {", ".join(self.args) or "none"})'
        for key, arg in self.args.items():
            if key not in args and arg.required:
                return f'{self.name} needs "{key}": {arg.doc}'
        for key, arg in {**self.args, **self.results}.items():
            if key in args and not arg.accepts(args[key]):
                return f'"{key}" of {self.name} must be {describe_tools(arg)}, got {brief(args[key])}'
        return ""

    def complete(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """`args` with defaults filled in."""
        defaults = {key: arg.default for key, arg in self.args.items() if not arg.required}
        return {**defaults, **args}


ARGUMENT_SHAPES: Mapping[str, str] = {
    "box": "a box [x0, y0, x1, y1] of four finite numbers",
    "box?": "a box [x0, y0, x1, y1] of four finite numbers, or null",
    "boxes": f"a list of 1 to {MAX_BOXES} boxes [x0, y0, x1, y1]",
    "view": "the number of a view",
    "point": "a point [x, y] of two finite numbers",
    "text": f"text of at most {MAX_TEXT} characters",
}


def brief(value: object) -> str:
    """The start of a value that came from outside: it may be huge, or nested too deeply to be written."""
    try:
        return f"{reprlib.repr(value):.60}"
    except (ValueError, RecursionError):
        return type(value).__name__


def describe_tools(arg: Arg) -> str:
    """The expected shape of an argument in words."""
    return ARGUMENT_SHAPES.get(arg.kind, f"a number from {arg.low:g} to {arg.high:g}")
