"""The tool interface: declared arguments, and the effect of a call on an episode.

The declarations (`Arg`) are the single source of the action space's shape check, of `sample()`, of the prompts of
dialects and of the JSON schemas of function tools. A tool never touches pixels: it returns the regions to show
(`ViewRequest`) and new derived sources, and the environment turns both into views.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np

from o3gym.geometry import is_box, is_number
from o3gym.types import Box, Error, Size, Source, Span, Task, View

if TYPE_CHECKING:
    from o3gym.sandbox import Outcome
    from o3gym.tools.code_rules import CodeRule
    from o3gym.tools.time_rules import TimeRule

ArgKind: TypeAlias = Literal["box", "box?", "boxes", "view", "point", "number", "text", "span", "numbers", "video"]
SizeRule: TypeAlias = Callable[[Sequence[float], Size], tuple[int, int, int, int]]
MAX_TEXT = 100_000
"""Maximum length of a text argument in characters unless it declares another; longer texts fail the shape check."""
MAX_BOXES = 64
"""Maximum number of boxes in a "boxes" argument."""
MAX_NUMBERS = 1024
"""Maximum length of a "numbers" argument; more frames than any rule shows at once."""


class Invalid(Exception):  # noqa: N818 - a fault of the call, not of the program; it becomes an observation
    """Raised for a call that cannot be executed. The environment turns it into feedback and counts the turn."""

    def __init__(self, kind: Error, reason: str) -> None:
        super().__init__(reason)
        self.kind: Error = kind
        self.reason = reason


@dataclass(frozen=True)
class Arg:
    """One argument of a tool.

    Attributes:
        kind: "box" (unit xyxy of the named view), "box?" (a box or None), "boxes" (a list of boxes), "view" (index of a
            view), "point" (unit x, y), "number", "text", "span" (start and end in seconds), "numbers" (a list of whole
            numbers) or "video" (index of a video among the task's sources).
        doc: one sentence for prompts and schemas.
        low, high: inclusive bounds of a number; a number outside them fails the shape check.
        default: the value of an argument that is left out, if it is not required.
        required: whether every call must give the argument.
        words: the texts that `sample` draws from.
        longest: maximum length of a text in characters.
    """

    kind: ArgKind
    doc: str
    low: float = 0.0
    high: float = 1.0
    default: Any = None
    required: bool = True
    words: tuple[str, ...] = tuple("ABCDEF")
    longest: int = MAX_TEXT

    def accepts(self, value: Any) -> bool:
        """Whether `value` has the right shape. A view may not exist, and a box or span be empty; `step` checks that."""
        if self.kind == "box":
            return is_box(value)
        if self.kind == "box?":
            return value is None or is_box(value)
        if self.kind == "boxes":
            return isinstance(value, (list, tuple)) and 0 < len(value) <= MAX_BOXES and all(map(is_box, value))
        if self.kind in ("view", "video"):
            return fits_index(value)
        if self.kind in ("point", "span"):
            return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(is_number, value))
        if self.kind == "numbers":
            return isinstance(value, (list, tuple)) and 0 < len(value) <= MAX_NUMBERS and all(map(fits_index, value))
        if self.kind == "number":
            return is_number(value) and self.low <= value <= self.high
        return isinstance(value, str) and len(value) <= self.longest

    def sample(self, rng: np.random.Generator, n_views: int, duration: float = 1.0, n_frames: int = 1) -> Any:
        """Samples a valid value: boxes have x0 < x1 and y0 < y1, and views exist.

        Spans lie within `duration` seconds, and numbers are those of frames of a video that has `n_frames`.
        """
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
        if self.kind == "span":
            length = float(rng.uniform(0.2, 1.0)) * duration
            start = float(rng.random()) * (duration - length)
            return [start, start + length]
        if self.kind == "numbers":
            return sorted({int(number) for number in rng.integers(n_frames, size=4)})
        if self.kind == "video":
            return 0
        return self.words[int(rng.integers(len(self.words)))]

    def describe(self) -> str:
        """The expected shape in words."""
        if self.kind == "text":
            return f"text of at most {self.longest} characters"
        return ARGUMENT_SHAPES.get(self.kind, f"a number from {self.low:g} to {self.high:g}")


def sample_box(rng: np.random.Generator) -> list[float]:
    """Samples a unit box with sides of at least 0.05, as a list."""
    size = rng.uniform(0.05, 1.0, 2)
    low = rng.random(2) * (1.0 - size)
    return [float(low[0]), float(low[1]), float(low[0] + size[0]), float(low[1] + size[1])]


@dataclass(frozen=True)
class ViewRequest:
    """A region to show as a new view.

    Attributes:
        source: index into the episode's sources; `len(context.sources) + i` is the i-th source of the same result.
        box: the region, unit xyxy of that source.
        parent: index of the view that the call named.
        magnify: if given, the region is enlarged to about this (width, height) even if it has fewer pixels.
        frame_pixels: if given, the least and greatest number of pixels shown, instead of the environment's budget.
    """

    source: int
    box: Box
    parent: int
    magnify: Size | None = None
    frame_pixels: tuple[int, int] | None = None


@dataclass(frozen=True)
class ToolResult:
    """The effect of a valid call.

    Attributes:
        views: the regions to show as new views, in order.
        sources: new sources derived by the call; they are appended to the episode's sources.
        text: feedback to show with the new views, or instead of any.
        stop: the reason if the call ends the episode, else "".
        answer: the answer text, for "answered"; for "located" the box or interval as JSON.
        span: the answered interval of the first video in seconds, or None if there is none.
        located: for "located", the box in unit xyxy of the task's first picture, or None for "not in the picture".
        error: the kind of error if the call was carried out and failed, as code that raises does. Its views and text
            are shown all the same.
    """

    views: tuple[ViewRequest, ...] = ()
    sources: tuple[Source, ...] = ()
    text: str = ""
    stop: Literal["", "answered", "located"] = ""
    answer: str = ""
    located: Box | None = None
    span: Span | None = None
    error: Error = ""


@dataclass(frozen=True)
class ToolContext:
    """The part of the episode's state that tools can see.

    Attributes:
        task: the task. Tools may use it to check the form of an answer, never its truth.
        sources: the task's sources and then the frames and derived pictures.
        views: all views so far.
        size_of: returns the native (width, height) of a source in pixels.
        size_rule: converts boxes to pixels, see `o3gym.tools.size_rules`.
        focus: the effect of `crop`: "crop", "draw" (draws the box on the view) or "reuse" (shows the view again).
        keeps_canvas: whether a rotated picture keeps its size, so that its corners are lost.
        time_rule: converts times and frame numbers of videos to frames, see `o3gym.tools.time_rules`.
        run_code: runs Python source in the episode's sandbox, where the views so far are at hand; None if there is no
            sandbox.
        code_rule: what code finds in the sandbox and which of its pictures are shown, see `o3gym.tools.code_rules`.
    """

    task: Task
    sources: tuple[Source, ...]
    views: tuple[View, ...]
    size_of: Callable[[Source], Size]
    size_rule: SizeRule
    time_rule: TimeRule
    focus: str = "crop"
    keeps_canvas: bool = False
    run_code: Callable[[str], Outcome] | None = None
    code_rule: CodeRule | None = None

    def view(self, index: int) -> View:
        """The view with that index. Raises `Invalid("bad_view")`, which names the existing ones, if there is none."""
        if not 0 <= index < len(self.views):
            raise Invalid("bad_view", f"there is no view {index}; views are numbered 0 to {len(self.views) - 1}")
        return self.views[index]


class Tool:
    """Base of all tools. Subclass, set the class attributes and implement `apply`.

    Attributes:
        name: the name in a `Call`.
        doc: one sentence for prompts and schemas.
        args: the declared arguments, in order.
        ends: whether a valid call ends the episode.
        may_end: whether a call may end the episode, as a move to the goal does. No other tool is then needed to end it,
            and calls are carried out in the last turn, too.
        slow: whether a call may take long enough to hold up other episodes, so that a rollout steps it on a thread.
        results: for a delegated tool, the arguments that its delegate adds to a call before `step`. No dialect reads or
            writes them, so a model cannot forge them. Empty for tools that are not delegated. The rollout knows four:
            "box" and "span" (what the delegate located), "text" (its answer) and "reason" (why there is no result).
    """

    name: ClassVar[str]
    doc: ClassVar[str]
    args: ClassVar[Mapping[str, Arg]]
    ends: ClassVar[bool] = False
    may_end: ClassVar[bool] = False
    slow: ClassVar[bool] = False
    results: ClassVar[Mapping[str, Arg]] = {}

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Executes a call that passed the shape check. Raises `Invalid` if the call is impossible in this episode."""
        raise NotImplementedError

    def subtask(self, context: ToolContext, **args: Any) -> Task:
        """The task for the delegate of a call, if the tool has `results`. Raises `Invalid` like `apply`."""
        raise NotImplementedError

    def accepts(self, args: Any) -> str:
        """Checks `args` for the declared keys and shapes; returns what is wrong in words, "" if nothing is."""
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
                return f'"{key}" of {self.name} must be {arg.describe()}, got {brief(args[key])}'
        return ""

    def complete(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """`args` with defaults added for optional arguments that are left out."""
        defaults = {key: arg.default for key, arg in self.args.items() if not arg.required}
        return {**defaults, **args}


ARGUMENT_SHAPES: Mapping[str, str] = {
    "box": "a box [x0, y0, x1, y1] of four finite numbers",
    "box?": "a box [x0, y0, x1, y1] of four finite numbers, or null",
    "boxes": f"a list of 1 to {MAX_BOXES} boxes [x0, y0, x1, y1]",
    "view": "the number of a view",
    "point": "a point [x, y] of two finite numbers",
    "span": "a list [start, end] of two finite numbers, in seconds",
    "numbers": f"a list of 1 to {MAX_NUMBERS} whole numbers",
    "video": "the number of a video",
}


def fits_index(value: object) -> bool:
    """Whether `value` is an int that fits into a float."""
    return isinstance(value, int) and is_number(value)


def brief(value: object) -> str:
    """The start of an untrusted value's repr; the type's name if it is nested too deeply or has too many digits."""
    try:
        return f"{reprlib.repr(value):.60}"
    except (ValueError, RecursionError):
        return type(value).__name__
