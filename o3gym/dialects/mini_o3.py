"""`mini_o3`: the wire format of Mini-o3."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from o3gym.calls import crop
from o3gym.dialects.functions import dump
from o3gym.dialects.lenient_json import numbers, read_json
from o3gym.dialects.tagged import Tagged, Unreadable
from o3gym.dialects.wording import compose_prompt
from o3gym.tools.base import Tool
from o3gym.types import Call, Task, View

SOURCE = re.compile(r"\s*(?:(original_image)(?:_([0-9]{1,6}))?|observation[_ ]([0-9]{1,6}))\s*", re.IGNORECASE)


@dataclass(frozen=True)
class MiniO3(Tagged):
    """`<think>…</think><grounding>{"bbox_2d": [x0, y0, x1, y1], "source": "original_image"}</grounding>`.

    Boxes are unit xyxy of the named source, so a crop of a crop is possible; four decimals are written. Sources are
    `original_image` (view 0) and `observation_i` (view i, which in a task with one picture is the i-th successful
    call). In tasks with several pictures, which Mini-o3 does not have, the k-th picture is `original_image_k`.
    Observations are numbered by their view, so the first one of a task with two pictures is `observation_2`.

    Of several groundings, the last one counts, and a grounding takes precedence over an answer. A missing source means
    `original_image`.

    Source: github.com/Mini-o3/Mini-o3 (verl/trainer/constants.py, vllm_async_engine.py), arXiv 2509.07969. In that
    code, the label of an observation counts turns while its number counts successful calls, so the two differ after an
    error; here they agree.
    """

    name: ClassVar[str] = "mini_o3"
    tools: ClassVar[tuple[str, ...]] = ("crop", "answer", "locate", "locate_span", "answer_with_span")
    size_rule: ClassVar[str] = "mini_o3"
    stop: ClassVar[tuple[str, ...]] = ("</grounding>",)
    call_tag: ClassVar[str] = "grounding"
    wins: ClassVar[str] = "grounding"
    corners: ClassVar[str] = "[x0, y0, x1, y1]"
    reminder: ClassVar[str] = "Think on. Ground another region of any picture so far, or answer."

    def lead(self, thought: str) -> str:
        """The think block, with nothing between it and the action."""
        return f"<think>{thought}</think>"

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads a crop of the named source."""
        value, strict = read_json(body)
        if not isinstance(value, dict):
            raise Unreadable("the grounding is not a JSON object")
        box = numbers(value.get("bbox_2d"), 4)
        if box is None:
            raise Unreadable(f'"bbox_2d" must be a box {self.corners} of four numbers')
        source = value.get("source", "original_image")
        match = SOURCE.fullmatch(source) if isinstance(source, str) else None
        if match is None:
            raise Unreadable('"source" must be "original_image" or "observation_i", where i is the number of one')
        view = int(match[2] or 1) - 1 if match[1] else int(match[3])
        return crop(self.to_unit(box, views, view), view), strict and set(value) == {"bbox_2d", "source"}

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """Writes a crop as a grounding."""
        view = call.args.get("view", 0)
        source = self.source_name(view, given=view == 0 or (view < len(views) and views[view].parent < 0))
        return dump({"bbox_2d": self.from_unit(call.args["box"], views, view), "source": source})

    def source_name(self, view: int, given: bool) -> str:
        """The name of a view; `given` says whether it was shown at reset."""
        if not given:
            return f"observation_{view}"
        return "original_image" if view == 0 else f"original_image_{view + 1}"

    def label(self, view: View) -> str:
        """The view's name, such as "original_image:" or "Observation 1 (observation_1):"."""
        name = self.source_name(view.index, given=view.parent < 0)
        return f"{name}:" if view.parent < 0 else f"Observation {view.index} ({name}):"

    def called(self, index: int) -> str:
        """The view's name, such as "original_image" or "observation_1"."""
        return self.source_name(index, given=index == 0)

    def named(self, index: int, views: Sequence[View]) -> str:
        """The view's name. A number below 0 comes from "original_image_0", since observations have none."""
        return self.source_name(index, given=index < max(1, _pictures(views)))

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """The refusal of a source that does not exist, with the names of those that do."""
        given = max(1, _pictures(views))
        sources = [self.source_name(i, given=True) for i in range(min(given, last + 1))]
        if last >= given:
            first, final = self.source_name(given, given=False), self.source_name(last, given=False)
            sources.append(first if first == final else f"{first} to {final}")
        exist = f"{', '.join(sources[:-1])} and {sources[-1]} exist" if sources[1:] else f"only {sources[0]} exists"
        return f"there is no {self.named(index, views)}; {exist}"

    def call_form(self) -> str:
        """The body of a grounding as the prompt shows it."""
        return f'{{"bbox_2d": {self.corners}, "source": "…"}}'

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains grounding, if `crop` is enabled, and the form of a reply."""
        names = ['"original_image"', *(f'"original_image_{i}"' for i in range(2, len(task.sources) + 1))]
        section = (
            f"You can zoom in by grounding a region: {self.corners} are its left, top, right and bottom edge, where "
            "the width and the height of the source picture both count as 1.0. The region is cut from the source "
            "at full resolution and shown to you as an observation. The source is "
            f'{", ".join(names)}, or "observation_i" for the observation with number i.'
        )
        return compose_prompt(self, task, section if self.usable(tools, task) else "", tools)


def _pictures(views: Sequence[View]) -> int:
    """The number of pictures that were shown at reset."""
    return sum(view.parent < 0 for view in views)
