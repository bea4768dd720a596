"""What the dialects share: reasoning, then one tagged action, with the rest of the format as class attributes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.base import MAX_REPLY, Dialect, unreadable
from o3gym.dialects.frames import UNIT, Frame, read_box, write_box, write_point
from o3gym.dialects.lenient_json import numbers, read_json
from o3gym.dialects.tags import TagBlock, disarm, keeps_shape, tag_blocks, thought_before
from o3gym.tools.base import MAX_TEXT, Tool
from o3gym.types import Call, Parsed, Task, View, answer, locate


def on_lines(parts: Sequence[str | View]) -> list[str | View]:
    """The parts with line breaks: between texts, which become one, and in front of text after a picture."""
    result: list[str | View] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, str) and isinstance(last, str):
            result[-1] = f"{last}\n{part}"
        elif isinstance(part, str) and last is not None and not part.startswith("</"):
            result.append(f"\n{part}")
        else:
            result.append(part)
    return result


class Unreadable(Exception):  # noqa: N818 - not an error of the program: it becomes feedback
    """A call or an answer is there but cannot be read; the message says why."""


@dataclass(frozen=True)
class Tagged(Dialect):
    """Base of the dialects whose replies are reasoning and then `<call_tag>…</call_tag>` or `<answer>…</answer>`.

    A box is answered as `<answer>{"bbox_2d": [...]}</answer>`, or with null for "not in the picture", in the frame that
    the dialect's calls have on view 0. The released systems without region search do not have this; it is ours.

    Attributes:
        call_tag: tag of a call.
        wins: the tag that is looked at when a reply holds both; "" for the one written last.
        think: the reasoning stands in one `<think>` block; otherwise it is plain text.
        corners: a box in words, for prompts.
        reminder: the last text part after new pictures.
    """

    call_tag: ClassVar[str] = "tool_call"
    wins: ClassVar[str] = ""
    think: ClassVar[bool] = True
    corners: ClassVar[str] = "[x1, y1, x2, y2]"
    reminder: ClassVar[str] = ""

    @property
    def tags(self) -> tuple[str, str]:
        """Both action tags, the winning one first."""
        return ("answer", self.call_tag) if self.wins == "answer" else (self.call_tag, "answer")

    def frame_of(self, views: Sequence[View], view: int) -> Frame:
        """What coordinates on view `view` are counted in; unit coordinates unless a dialect says otherwise."""
        return UNIT

    def to_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[float]:
        """A box or point as written, in unit coordinates of view `view`, unclamped."""
        return read_box(values, self.frame_of(views, view))

    def from_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[Any]:
        """A unit box or point of view `view` as written; a box with an area keeps one."""
        write = write_box if len(values) == 4 else write_point
        return list(write(values, self.frame_of(views, view)))

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """The call in a `call_tag` block, and whether it keeps the format. Raises `Unreadable`."""
        raise NotImplementedError

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The body of a `call_tag` block. Raises ValueError for what the format cannot name."""
        raise NotImplementedError

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Read a reply; the attribute `wins` decides between a call and an answer, and the last of each counts."""
        text = text[-MAX_REPLY:]
        block = self.choose(text)
        if block is None:
            return unreadable("void", self.missing(text), thought_before(text, len(text)))
        thought = thought_before(text, block.start)
        try:
            read_body = self.read_call if block.tag == self.call_tag else self.read_answer
            call, strict = read_body(block.body, views)
        except Unreadable as problem:
            return unreadable("parse", str(problem), thought)
        return Parsed(call, strict and self.well_formed(text, block), thought)

    def choose(self, text: str) -> TagBlock | None:
        """The block that counts."""
        found = tag_blocks(text, self.tags)
        return found[0] if found and self.wins else max(found, key=lambda block: block.start, default=None)

    def missing(self, text: str) -> str:
        """What a reply without a block lacks, in words."""
        return f"the reply has neither <{self.call_tag}>…</{self.call_tag}> nor <answer>…</answer>"

    def well_formed(self, text: str, block: TagBlock) -> bool:
        """Whether a reply whose `block` is fine has the right form around it."""
        return keeps_shape(text, block.tag, self.tags, self.think)

    def read_answer(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """`answer` with the text, or `locate` for an object whose only key is "bbox_2d"."""
        text = body.strip()
        if text.startswith("{") and "bbox_2d" in text:
            value, strict = read_json(text)
            if isinstance(value, dict) and list(value) == ["bbox_2d"]:
                return self.read_located(value["bbox_2d"], views), strict
        return answer(text[:MAX_TEXT]), True

    def read_located(self, value: object, views: Sequence[View]) -> Call:
        """`locate` with a box of view 0 as written, or with None for null."""
        if value is None:
            return locate(None)
        box = numbers(value, 4)
        if box is None:
            raise Unreadable(f"the answer must be a box {self.corners} of four numbers")
        return locate(self.to_unit(box, views, 0))

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """The text between answer tags."""
        if call.tool == "answer":
            return disarm(call.args["text"], (*self.tags, "think"))
        if call.args.get("view", 0) != 0:
            raise ValueError(f"dialect {self.name} answers with boxes of view 0 only, got view {call.args['view']}")
        box = call.args["box"]
        return json.dumps({"bbox_2d": None if box is None else self.from_unit(box, views, 0)})

    def spoken(self, tool: str) -> bool:
        """Whether a call of `tool` is written as an answer."""
        return tool in ("answer", "locate")

    def expresses(self, tool: str) -> bool:
        """Whether the format has a form for calls of `tool`."""
        return tool in self.tools

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Write a call; raises ValueError for a tool or a view that the format cannot name."""
        thought = disarm(thought.strip(), (*self.tags, "think"))
        if call.tool == "noop":
            return thought or "I do not know what to do."
        if not self.expresses(call.tool):
            raise ValueError(f'dialect {self.name} cannot express "{call.tool}"; it has {", ".join(self.tools)}')
        if self.spoken(call.tool):
            return self.lead(thought) + self.close(self.write_answer(call, views))
        return f"{self.lead(thought)}<{self.call_tag}>{self.write_call(call, views)}</{self.call_tag}>"

    def lead(self, thought: str) -> str:
        """The reasoning as it stands in front of an action."""
        if self.think:
            return f"<think>{thought}</think>\n"
        return f"{thought}\n" if thought else ""

    def lead_form(self) -> str:
        """What stands in front of an action, for the prompt."""
        return "<think>your reasoning</think>" if self.think else "your reasoning"

    def close(self, text: str) -> str:
        """An answer in its tags."""
        return f"<answer>{text}</answer>"

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """Pictures, each after its label, then the text: the question at reset, feedback and a reminder later.

        Parts read well when they are put together without anything between them, as chat templates do.
        """
        parts: list[str | View] = []
        for view in views:
            parts += [label, view] if (label := self.label(view)) else [view]
        if info.get("turn", 0) == 0:
            return on_lines([*parts, text])
        if info.get("error"):
            return on_lines([*parts, self.trouble(self.rename(text))])
        return on_lines(self.observation(parts + ([self.rename(text)] if text else [])))

    def label(self, view: View) -> str:
        """What stands in front of a picture: the name by which calls refer to it, "" where they cannot."""
        return ""

    def called(self, index: int) -> str:
        """How the dialect names the view with that index."""
        return f"view {index}"

    def rename(self, text: str) -> str:
        """Feedback of the environment, with the dialect's names of views."""
        return re.sub(r"\bview ([0-9]{1,6})\b", lambda match: self.called(int(match[1])), text)

    def trouble(self, reason: str) -> str:
        """Feedback on a call that was not carried out."""
        return f"Error: {reason}"

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """The message after a call that was carried out."""
        return [*parts, self.reminder] if self.reminder else parts

    def answer_form(self, task: Task) -> str:
        """What to write as the answer, by the kind of the task."""
        if task.kind == "choice":
            return f"the letter of the right option ({', '.join(task.letters)}) and nothing else"
        if task.kind == "free":
            return "a short text: a word, a number or a phrase"
        return (
            f'{{"bbox_2d": {self.corners}}} around what is asked for in the first picture, '
            'or {"bbox_2d": null} if it is not there'
        )

    def usable(self, tools: Mapping[str, Tool], task: Task) -> list[Tool]:
        """The enabled tools that are written as calls, in order, without the ending that does not fit the task."""
        unfit = "answer" if task.kind == "box" else "locate"
        return [
            tool for name, tool in tools.items() if self.expresses(name) and not self.spoken(name) and name != unfit
        ]

    def call_form(self) -> str:
        """A call as it looks inside its tags, for the prompt."""
        raise NotImplementedError
