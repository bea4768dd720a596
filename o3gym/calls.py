"""Builders of calls: `crop((0.1, 0.1, 0.5, 0.5))` is the call that a policy makes to look at that part of a view."""

from __future__ import annotations

from collections.abc import Sequence

from o3gym.types import Box, Call, Error


def crop(box: Box | list[float], view: int = 0) -> Call:
    """View `box` (unit xyxy of view `view`) at native resolution."""
    return Call("crop", {"view": view, "box": [float(v) for v in box]})


def zoom(center: tuple[float, float] | list[float], factor: float = 2.0, view: int = 0) -> Call:
    """Magnify view `view` by `factor` around `center` (unit x, y of that view)."""
    return Call("zoom", {"view": view, "center": [float(v) for v in center], "factor": float(factor)})


def reuse(view: int = 0) -> Call:
    """Show an earlier view again; 0 is the original picture."""
    return Call("reuse", {"view": view})


def search(description: str, view: int = 0) -> Call:
    """Have another agent find the described region of picture `view`, and view it."""
    return Call("search", {"view": view, "description": description})


def frames(numbers: Sequence[int], video: int = 0) -> Call:
    """Show frames of a video of the task by their numbers, which count from 0."""
    return Call("frames", {"numbers": [int(number) for number in numbers], "video": video})


def clip(start: float, end: float, video: int = 0) -> Call:
    """Show evenly spaced frames of the interval [`start`, `end`) of a video of the task, in seconds."""
    return Call("clip", {"span": [float(start), float(end)], "video": video})


def code(source: str) -> Call:
    """Run Python `source` in the episode's sandbox, and view the pictures that it shows."""
    return Call("code", {"source": source})


def answer(text: str) -> Call:
    """End the episode with an answer: a letter for multiple choice, otherwise text."""
    return Call("answer", {"text": text})


def locate(box: Box | list[float] | None, view: int = 0) -> Call:
    """End a region search with `box` (unit xyxy of view `view`), or None for "not in the picture"."""
    return Call("locate", {"view": view, "box": None if box is None else [float(v) for v in box]})


def locate_span(start: float, end: float) -> Call:
    """End a temporal grounding with the interval [`start`, `end`) of the task's first video, in seconds."""
    return Call("locate_span", {"span": [float(start), float(end)]})


def answer_with_span(text: str, start: float, end: float) -> Call:
    """End the episode with an answer and the interval of the first video, in seconds, that shows it."""
    return Call("answer_with_span", {"text": text, "span": [float(start), float(end)]})


def noop(kind: Error, reason: str) -> Call:
    """The call that a dialect returns for a reply without a usable call; `kind` is "parse" or "void"."""
    return Call("noop", {"kind": kind, "reason": reason})
