"""Wording shared by the dialects: system prompts, and refusals of boxes in a dialect's own numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from o3gym.dialects.frames import THOUSANDTHS, UNIT, Frame
from o3gym.dialects.times import durations
from o3gym.tools.crop import PIXELS_HINT
from o3gym.types import Task, View
from o3gym.worlds.records import task_world

if TYPE_CHECKING:
    from o3gym.dialects.tagged import Tagged
    from o3gym.tools.base import Tool
    from o3gym.tools.code_rules import CodeRule

NUMBER = r"-?[0-9]{1,16}(?:\.[0-9]{1,10})?(?:e-[0-9]{1,2})?"
REFUSED_BOX = re.compile(
    rf"\bbox \[({NUMBER}(?:, {NUMBER}){{3}})\] (?=(?:has no area inside|of) view ([0-9]{{1,6}})\b)"
)
"""How tools write a box that they refuse: in fractions of a view."""
MEASURE = re.compile(rf"\b({NUMBER})×({NUMBER}) pixels")
"""How size rules write a size: in native pixels of that view."""
VIEW_NUMBER = re.compile(r"\bview (-?[0-9]{1,20})\b")
"""How the environment writes the number of a view."""
NO_VIEW = re.compile(r"\bthere is no view (-?[0-9]{1,20}); views are numbered 0 to ([0-9]{1,6})\b")
"""How the environment refuses a view that does not exist."""


WORLD_SHOWN = "You solve a puzzle in a small world of square cells. A picture shows its present state."
"""The first sentences of a prompt for tasks of visual planning."""


class RefusedBox(NamedTuple):
    """A box in the environment's feedback: unit xyxy of a view, and where it is written."""

    values: tuple[float, ...]
    view: int
    start: int
    end: int


def refused_box(text: str) -> RefusedBox | None:
    """Finds the box that the environment's feedback says was refused; None if it names none."""
    found = REFUSED_BOX.search(text)
    if found is None:
        return None
    return RefusedBox(tuple(map(float, found[1].split(", "))), int(found[2]), found.start(), found.end())


def in_own_numbers(dialect: Tagged, text: str, views: Sequence[View]) -> str:
    """The environment's feedback with a refused box, and the sizes in pixels after it, as the dialect writes numbers.

    `views` are all views of the episode. Sizes of a view that is not among them stay in native pixels.
    """
    box = refused_box(text)
    if box is None:
        return text
    written, rest = dialect.from_unit(box.values, views, box.view), text[box.end :]
    if box.view < len(views):
        (width, height), frame = views[box.view].native, dialect.frame_for(box.values, views, box.view)
        per_pixel = (frame.width / width, frame.height / height)
        rest = rest if frame is UNIT else rest.replace(PIXELS_HINT, "")
        rest = MEASURE.sub(lambda m: _sides(float(m[1]) * per_pixel[0], float(m[2]) * per_pixel[1], frame), rest)
    return f"{text[: box.start]}box {written} {rest}"


def _sides(width: float, height: float, frame: Frame) -> str:
    digits = 4 if frame.decimals else 1
    unit = "" if frame in (UNIT, THOUSANDTHS) else " pixels"
    return f"{round(width, digits):g}{unit} wide and {round(height, digits):g}{unit} high"


def numbering(noun: str, first: int, last: int) -> str:
    """Says how the pictures of an episode are numbered, such as "pictures are numbered 0 to 3"."""
    return f"{noun}s are numbered {first} to {last}" if first < last else f"the only {noun} is number {first}"


def opening_words(dialect: Tagged, task: Task, looking: bool) -> str:
    """The first sentences of a prompt: the task, each video's length and, with `looking`, the advice to look closer."""
    if task_world(task) is not None:
        return f"{WORLD_SHOWN} Look for the shortest way."
    videos = durations(task)
    count = len(task.sources) - len(videos)
    pictures = ["a picture" if count == 1 else f"{count} pictures"] if count or not videos else []
    lengths = [f"{seconds:.2f} seconds" for _, seconds in videos]
    if len(videos) == 1:
        pictures.append(f"a video of {lengths[0]}")
    elif videos:
        each = [f"{dialect.video_name(i)} of {length}" for (i, _), length in zip(videos, lengths, strict=True)]
        pictures.append(f"{len(videos)} videos: {enumerated(each)}")
    goal = {"box": "Find a region in", "span": "Find an interval of"}.get(task.kind, "Answer a question about")
    too = "too short or too small" if videos else "too small"
    hint = f" What matters may be {too} to make out at first sight: look closer before you commit yourself."
    return f"{goal} {enumerated(pictures)}.{hint if looking else ''}"


def enumerated(words: Sequence[str]) -> str:
    """Words joined by commas and "and"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def compose_prompt(dialect: Tagged, task: Task, section: str, tools: Mapping[str, Tool]) -> str:
    """Composes a system prompt: the opening, the `section` on tools ("" if there are none), and the form of a reply.

    The answer is left out if the episode ends with a tool call instead.
    """
    forms, end = dialect.call_forms(tools) if section else [], dialect.ending(tools, task)
    if dialect.spoken(end):
        form = dialect.grounded_form(task) if end == "answer_with_span" else dialect.answer_form(task)
        forms.append(f"- once you are sure, the answer: {dialect.close('…')}, with {form}.")
    elif end == "answer_with_span":
        forms.append(f"- once you are sure, a call of {end}, whose text is {dialect.answer_form(task)}.")
    rule = f"Write every reply as {dialect.lead_form()}, followed by exactly one of these and nothing after it:"
    return "\n\n".join(filter(None, [opening_words(dialect, task, bool(section)), section, "\n".join([rule, *forms])]))


def code_words(rule: CodeRule) -> str:
    """Explains the names of the pictures in code, and what comes back from it."""
    names = f"{rule.name(0)}, {rule.name(1)}, {rule.name(2)} and so on"
    order = "in the order in which they are shown, in full resolution"
    if rule.workplace.variables == "files":
        given = f"The variables {names} hold the paths of the picture files, {order}."
        back = "At the end, print the result, or save a picture to a file and print its path to see it."
    else:
        given = f"The pictures are the variables {names}: PIL images, {order}."
        back = "You see what the code prints, and the pictures that it shows with image.show() or plt.show()."
    return f"numpy and Pillow are installed. {given} {back} Variables are kept for later code."
