"""Base class of most dialects: reasoning and then one tagged action, with the details as class attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.calls import answer, answer_with_span, locate, locate_span
from o3gym.dialects.base import CUT, MAX_REPLY, Dialect, unreadable
from o3gym.dialects.frames import UNIT, Frame, read_box, write_box, write_point
from o3gym.dialects.lenient_json import number, numbers, read_json
from o3gym.dialects.tags import TagBlock, disarm, keeps_shape, quote_in_thoughts, tag_blocks, thought_before
from o3gym.dialects.times import NO_FRAME, NO_VIDEO, begins, durations, several_videos, write_seconds
from o3gym.dialects.wording import NO_VIEW, VIEW_NUMBER, enumerated, in_own_numbers
from o3gym.tools.base import MAX_TEXT, Tool
from o3gym.types import ENDING_TOOLS, Call, Parsed, Task, View
from o3gym.worlds.records import task_world

ENDING = {"box": "locate", "span": "locate_span"}
"""The tool that ends tasks of a kind, apart from those that ask for words."""
WORLD_TOOLS = frozenset({"move", "draw_state"})
"""The tools that only tasks of visual planning have a use for."""
PLAN_FORM = "the whole plan from the start to the goal: names of moves with spaces between them"
"""The form of the answer to a task of visual planning."""


def on_lines(parts: Sequence[str | View]) -> list[str | View]:
    """Joins message parts with line breaks: adjacent texts are merged, and text after a picture starts a new line.

    A closing tag directly after a picture stays on the picture's line.
    """
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


class Unreadable(Exception):  # noqa: N818 - a fault of the reply, not of the program; it becomes feedback
    """Raised for a call or an answer that is present but unreadable; the message says why."""


@dataclass(frozen=True)
class Tagged(Dialect):
    """Base of the dialects whose replies are reasoning and then `<call_tag>…</call_tag>` or `<answer>…</answer>`.

    A box is answered as `<answer>{"bbox_2d": [...]}</answer>`, with null for "not in the picture", in the frame that
    the dialect's calls use on view 0. An interval of the first video is answered as `{"span": [start, end]}`, in
    seconds, and an answer with the interval that shows it as `{"answer": "…", "span": [start, end]}`. These forms are
    our own: the released systems have no region search, and most have no videos.

    Attributes:
        thought_answers: whether `<answer>` inside a think block counts, as in the released code of most systems. By
            default, a model may weigh an answer in its thoughts without giving it.
        call_tag: the tag of a call.
        wins: the tag that takes precedence if a reply has both a call and an answer; "" if the last block counts.
        think: whether the reasoning is in one `<think>` block rather than plain text.
        corners: how prompts write a box.
        reminder: the text that follows new pictures.
    """

    thought_answers: bool = False
    call_tag: ClassVar[str] = "tool_call"
    wins: ClassVar[str] = ""
    think: ClassVar[bool] = True
    corners: ClassVar[str] = "[x1, y1, x2, y2]"
    reminder: ClassVar[str] = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The action tags, in order of precedence."""
        return ("answer", self.call_tag) if self.wins == "answer" else (self.call_tag, "answer")

    def frame_of(self, views: Sequence[View], view: int) -> Frame:
        """The coordinate frame of calls on view `view`: unit coordinates unless a dialect overrides this."""
        return UNIT

    def frame_for(self, values: Sequence[float], views: Sequence[View], view: int) -> Frame:
        """The frame in which the unit coordinates `values` of view `view` are written."""
        return self.frame_of(views, view)

    def to_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[float]:
        """Converts a written box or point to unit coordinates of view `view`, without clamping."""
        return read_box(values, self.frame_of(views, view))

    def from_unit(self, values: Sequence[float], views: Sequence[View], view: int) -> list[Any]:
        """Converts a unit box or point of view `view` to written numbers. A box with an area keeps an area."""
        write = write_box if len(values) == 4 else write_point
        return list(write(values, self.frame_of(views, view)))

    def read_block(self, block: TagBlock, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads the block that counts as (call, strict). Raises `Unreadable`."""
        read_body = self.read_call if block.tag == self.call_tag else self.read_answer
        return read_body(block.body, views)

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads the body of a `call_tag` block as (call, strict). Raises `Unreadable`."""
        raise NotImplementedError

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The body of a `call_tag` block. Raises ValueError for a view that the format cannot name."""
        raise NotImplementedError

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply. `wins` decides between a call and an answer; of several calls or answers, the last counts."""
        text = text[-MAX_REPLY:]
        block = self.choose(self.actionable(text))
        if block is None:
            return unreadable("void", self.missing(text), thought_before(text, len(text)))
        thought = thought_before(text, block.start)
        try:
            call, strict = self.read_block(block, views)
        except Unreadable as problem:
            return unreadable("parse", str(problem), thought)
        return Parsed(call, strict and self.well_formed(text, block), thought)

    def parse_cut(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply that was cut by its token limit: only a block with its closing tag counts."""
        text = self.actionable(text[-MAX_REPLY:], cut=True)
        block = self.choose(text)
        if block is None or not block.closed:
            end = block.start if block else len(text)
            return unreadable("parse" if block else "void", CUT, thought_before(text, end))
        return self.parse(text, views)

    def actionable(self, text: str, cut: bool = False) -> str:
        """`text` with the answers in its thoughts quoted, unless the dialect reads them; positions do not move."""
        return text if self.thought_answers else quote_in_thoughts(text, "answer", cut)

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the block that counts, from a text whose thoughts hold no answers."""
        found = tag_blocks(text, self.tags)
        return found[0] if found and self.wins else max(found, key=lambda block: block.start, default=None)

    def missing(self, text: str) -> str:
        """The feedback on a reply without a call or an answer."""
        return f"the reply has neither <{self.call_tag}>…</{self.call_tag}> nor <answer>…</answer>"

    def well_formed(self, text: str, block: TagBlock) -> bool:
        """Whether the text around a readable `block` keeps the format."""
        return keeps_shape(text, block.tag, self.tags, self.think)

    def read_answer(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads the body of an answer as (call, strict).

        It is `locate` for an object with only "bbox_2d", `locate_span` for one with only "span", `answer_with_span` for
        one with "answer" and "span", and otherwise `answer`.
        """
        text = body.strip()
        if text.startswith("{") and ("bbox_2d" in text or "span" in text):
            value, strict = read_json(text)
            keys = set(value) if isinstance(value, dict) else set()
            if keys == {"bbox_2d"}:
                return self.read_located(value["bbox_2d"], views), strict
            if keys in ({"span"}, {"answer", "span"}):
                return self.read_spanned(value), strict
        return answer(text[:MAX_TEXT]), True

    def read_spanned(self, value: Mapping[str, Any]) -> Call:
        """A call that ends the episode with the written "span" and, if there is one, the written "answer"."""
        span = numbers(value["span"], 2)
        if span is None:
            raise Unreadable('"span" must be a list [start, end] of two numbers, in seconds')
        if "answer" not in value:
            return locate_span(*span)
        said = value["answer"]
        if not isinstance(said, str) and number(said) is None:
            raise Unreadable('"answer" must be a text')
        return answer_with_span(str(said)[:MAX_TEXT], *span)

    def read_located(self, value: object, views: Sequence[View]) -> Call:
        """A `locate` call with the written box of view 0, or with None for null."""
        if value is None:
            return locate(None)
        box = numbers(value, 4)
        if box is None:
            raise Unreadable(f"the answer must be a box {self.corners} of four numbers")
        return locate(self.to_unit(box, views, 0))

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """The body of an answer. Raises ValueError for a box of another view than 0."""
        if call.tool == "answer":
            return disarm(call.args["text"], (*self.tags, "think"))
        if call.tool in ("locate_span", "answer_with_span"):
            said = {"answer": call.args["text"]} if call.tool == "answer_with_span" else {}
            spanned = {**said, "span": write_seconds(call.args["span"])}
            # Backslashes become \u005c, because one before a brace would be taken for LaTeX inside of \boxed{}.
            text = json.dumps(spanned, ensure_ascii=False).replace("\\\\", "\\u005c")
            return text.replace("<", "\\u003c")
        if call.args.get("view", 0) != 0:
            raise ValueError(f"dialect {self.name} answers with boxes of view 0 only, got view {call.args['view']}")
        box = call.args["box"]
        return json.dumps({"bbox_2d": None if box is None else self.from_unit(box, views, 0)})

    def spoken(self, tool: str) -> bool:
        """Whether calls of `tool` are written as answers."""
        return tool in ("answer", "locate", "locate_span", "answer_with_span")

    def expresses(self, tool: str) -> bool:
        """Whether the format can express calls of `tool`."""
        return tool in self.tools

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Writes a call. Raises ValueError for a tool or a view that the format cannot express."""
        thought = disarm(thought.strip(), (*self.tags, "think"))
        if call.tool == "noop":
            return thought or "I do not know what to do."
        if not self.expresses(call.tool):
            raise ValueError(f'dialect {self.name} cannot express "{call.tool}"; it has {", ".join(self.tools)}')
        if self.spoken(call.tool):
            return self.lead(thought) + self.close(self.write_answer(call, views))
        return f"{self.lead(thought)}<{self.call_tag}>{self.write_call(call, views)}</{self.call_tag}>"

    def lead(self, thought: str) -> str:
        """The reasoning as written before an action."""
        if self.think:
            return f"<think>{thought}</think>\n"
        return f"{thought}\n" if thought else ""

    def lead_form(self) -> str:
        """The reasoning before an action as the prompt shows it."""
        return "<think>your reasoning</think>" if self.think else "your reasoning"

    def close(self, text: str) -> str:
        """Wraps an answer in its tags."""
        return f"<answer>{text}</answer>"

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """Each picture after its label, then the text: the question at reset, feedback and a reminder later.

        The parts contain all line breaks, because chat templates concatenate parts without a separator.
        """
        parts: list[str | View] = []
        known = info.get("views", views)
        for view in views:
            parts += [label, view] if (label := self.headline(view, known)) else [view]
        if info.get("turn", 0) == 0:
            return on_lines([*parts, text])
        text = self.rename(in_own_numbers(self, text, known), known)
        if info.get("error"):
            return on_lines([*parts, self.trouble(text)])
        return on_lines(self.observation(parts + ([text] if text else [])))

    def label(self, view: View) -> str:
        """The text before a picture: the name by which calls refer to it, or "" if they cannot."""
        return ""

    def headline(self, view: View, views: Sequence[View]) -> str:
        """The label of a picture; that of a frame also gives its number, its time and, of several videos, its own."""
        label = self.label(view)
        if view.video is None or view.frame is None:
            return label
        words = f"frame {self.frame_number(view.frame, views)} at {begins(view):.2f} s:"
        if several_videos(views):
            words = f"{self.video_name(view.video)}, {words}"
        elif not label:
            words = words.capitalize()
        return f"{label.removesuffix(':')}, {words}" if label else words

    def frame_number(self, frame: int, views: Sequence[View]) -> int:
        """The number that this dialect writes for a frame, whose number in its video counts from 0."""
        return frame

    def video_name(self, index: int) -> str:
        """The name of the video with that index among the task's sources."""
        return f"video {index}"

    def missing_frame(self, refused: int, known: tuple[int, int] | None, views: Sequence[View]) -> str:
        """The refusal of a frame.

        Args:
            refused: the number that was asked for.
            known: the first and the last number that exist, or None if only the frames of the overview may be named.
            views: all views of the episode.
        """
        which = "those shown at the start" if known is None else f"{known[0]} to {known[1]}"
        return f"there is no frame {refused}; frames are {which}"

    def called(self, index: int) -> str:
        """The dialect's name for the view with that index."""
        return f"view {index}"

    def named(self, index: int, views: Sequence[View]) -> str:
        """The dialect's name for the view with that index, where the names depend on which `views` were given."""
        return self.called(index)

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """The refusal of a view that does not exist, with the names of views 0 to `last`, which do."""
        exist = f"{self.called(0)} to {self.called(last)} exist" if last else f"only {self.called(0)} exists"
        return f"there is no {self.named(index, views)}; {exist}"

    def missing_video(self, refused: int, known: str) -> str:
        """The refusal of a video that does not exist, with the names of those that do; `known` lists their numbers."""
        names = [self.video_name(int(number)) for number in known.split(",") if number.strip()]
        return f"there is no {self.video_name(refused)}; the task has {enumerated(names)}"

    def rename(self, text: str, views: Sequence[View]) -> str:
        """The environment's feedback with views renamed to the dialect's names. `views` are all of the episode."""
        text = NO_VIEW.sub(lambda match: self.missing_view(int(match[1]), int(match[2]), views), text)
        text = NO_VIDEO.sub(lambda match: self.missing_video(int(match[1]), match[2]), text)
        text = NO_FRAME.sub(lambda match: self.missing_frame(int(match[1]), _range(match[2], match[3]), views), text)
        return VIEW_NUMBER.sub(lambda match: self.named(int(match[1]), views), text)

    def trouble(self, reason: str) -> str:
        """The message after a call that was refused."""
        return f"Error: {reason}"

    def observation(self, parts: list[str | View]) -> list[str | View]:
        """The message after a call that was executed."""
        return [*parts, self.reminder] if self.reminder else parts

    def answer_form(self, task: Task) -> str:
        """Describes in the prompt what to write as the answer, by the task's kind."""
        if task.kind == "choice":
            return f"the letter of the right option ({', '.join(task.letters)}) and nothing else"
        if task.kind == "free":
            in_world = task_world(task) is not None
            return PLAN_FORM if in_world else "a short text: a word, a number or a phrase"
        if task.kind == "span":
            return '{"span": [start, end]}, the start and end in seconds of what is asked for'
        return (
            f'{{"bbox_2d": {self.corners}}} around what is asked for in the first picture, '
            'or {"bbox_2d": null} if it is not there'
        )

    def grounded_form(self, task: Task) -> str:
        """Describes in the prompt what to write as an answer with the interval that shows it."""
        form = '{"answer": "…", "span": [start, end]}'
        return f"{form}: {self.answer_form(task)}, and the interval in seconds that shows it"

    def ending(self, tools: Mapping[str, Tool], task: Task) -> str:
        """The tool that ends the task, if it is enabled."""
        if task.kind in ENDING:
            return ENDING[task.kind]
        return "answer_with_span" if "answer_with_span" in tools and "answer" not in tools else "answer"

    def usable(self, tools: Mapping[str, Tool], task: Task) -> list[Tool]:
        """The enabled tools that are written as calls, in order.

        Ending tools that do not fit the task are left out, and so are tools for videos or worlds if the task has none.
        """
        unfit = ENDING_TOOLS - ({ENDING[task.kind]} if task.kind in ENDING else {"answer", "answer_with_span"})
        videos = bool(durations(task))
        written = [tool for name, tool in tools.items() if self.expresses(name) and not self.spoken(name)]
        unfit = unfit if task_world(task) is not None else unfit | WORLD_TOOLS
        return [tool for tool in written if tool.name not in unfit and (videos or not _needs_video(tool))]

    def before_call(self) -> str:
        """What stands between the reasoning and a call, as the prompt shows it; "" if nothing does."""
        return ""

    def call_form(self) -> str:
        """The body of a call as the prompt shows it."""
        raise NotImplementedError

    def call_forms(self, tools: Mapping[str, Tool]) -> list[str]:
        """The forms of a call, one a line, as the prompt lists them."""
        return [f"- a call: {self.before_call()}<{self.call_tag}>{self.call_form()}</{self.call_tag}>"]


def _needs_video(tool: Tool) -> bool:
    return any(arg.kind in ("video", "numbers", "span") for arg in tool.args.values())


def _range(first: str | None, last: str | None) -> tuple[int, int] | None:
    return None if first is None or last is None else (int(first), int(last))
