"""`openai`: native function tools of the OpenAI Chat Completions API, in unit coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.base import CUT, MAX_REPLY, unreadable
from o3gym.dialects.functions import Functions, dump
from o3gym.dialects.lenient_json import is_whole, read_json
from o3gym.dialects.tagged import WORLD_TOOLS
from o3gym.dialects.wording import numbering, opening_words
from o3gym.registry import TOOLS
from o3gym.tools.base import Tool
from o3gym.types import Parsed, Task, View


@dataclass(frozen=True)
class OpenAIFunctions(Functions):
    """Native function calls with o3gym's own names and coordinates; the server gets the tools from `schema(tools)`.

    Boxes are unit xyxy of the view they name, with four decimals. A `Reply` holds only text, so the backend appends
    each native call of a message to the content with `call_text`:
    `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. `format` writes the same form. Answers are calls of
    `answer`, but `<answer>…</answer>` in the content is accepted too. If a reply has several calls, the last one
    counts; backends should request a single call (`parallel_tool_calls=False`).

    Source: the function calling guide of the OpenAI API (`tools=[{"type": "function", "function": {…}}]`).
    """

    name: ClassVar[str] = "openai"
    tools: ClassVar[tuple[str, ...]] = (
        *("crop", "zoom", "reuse", "answer", "locate", "rotate", "draw"),
        *("frames", "clip", "locate_span", "answer_with_span", "code", "move"),
    )
    think: ClassVar[bool] = False
    keys: ClassVar[Mapping[str, str]] = {}
    numbered: ClassVar[bool] = True
    videos: ClassVar[bool] = True
    noun: ClassVar[str] = "view"
    corners: ClassVar[str] = "[x0, y0, x1, y1]"

    def schema(self, tools: Mapping[str, Tool]) -> list[dict[str, Any]]:
        """The enabled tools as JSON values for the `tools=` parameter of a chat completion."""
        return [self.function_schema(tool) for name, tool in tools.items() if self.expresses(name)]

    def spoken(self, tool: str) -> bool:
        """False for every tool: answers are calls, too."""
        return False

    def expresses(self, tool: str) -> bool:
        """True for every registered tool but `noop`."""
        return tool in TOOLS and tool != "noop"

    def coordinates(self) -> str:
        """Explains that coordinates are fractions of the named view."""
        return (
            "Coordinates are fractions (0 to 1) of the width and height of the view they refer to, counted from its "
            "top left corner. Views are numbered from 0 in the order they are shown."
        )

    def parse_cut(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a cut reply as other dialects do; the arguments of a native call must be whole as well.

        The backend writes the closing tag of a native call itself, so the tag says nothing about the arguments, which
        stay text if they are no JSON.
        """
        block = self.choose(self.actionable(text[-MAX_REPLY:], cut=True))
        value = read_json(block.body)[0] if block and block.tag == self.call_tag else None
        arguments = value.get("arguments") if isinstance(value, dict) else None
        if isinstance(arguments, str) and not is_whole(arguments):
            return unreadable("parse", CUT)
        return super().parse_cut(text, views)

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains the coordinates and how to end the episode; the functions themselves are in `schema(tools)`."""
        usable = self.usable(tools, task)
        names = [tool.name for tool in usable]
        looking = any(not tool.ends for tool in usable)
        end = self.ending(tools, task)
        form = self.grounded_form(task) if end == "answer_with_span" else self.answer_form(task)
        first = "Make moves until you have reached the goal, or" if "move" in names else "Once you are sure,"
        parts = [
            opening_words(self, task, looking),
            f"Call exactly one function in every reply. You have {', '.join(names)}." if names else "",
            "" if names and {"answer", *WORLD_TOOLS}.issuperset(names) else self.coordinates(),
            self.timing(usable, task),
            f"{first} call {end} with {form}." if end in names else "",
        ]
        return "\n\n".join(filter(None, parts))

    def answer_form(self, task: Task) -> str:
        """Describes the argument of the function that ends the episode."""
        if task.kind == "box":
            return f"the box {self.corners} of what is asked for, or null if it is not there"
        if task.kind == "span":
            return "the interval [start, end], in seconds, of what is asked for"
        return super().answer_form(task)

    def grounded_form(self, task: Task) -> str:
        """Describes the arguments of the function that gives an answer and the interval that shows it."""
        return f"{self.answer_form(task)}, and the interval [start, end], in seconds, that shows it"

    def label(self, view: View) -> str:
        """The view's index, which is the value of the argument `view`."""
        return f"View {view.index}:"

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """The refusal of a view that does not exist, with the numbers that `view` takes."""
        return f"there is no view {index}; {numbering('view', 0, last)}"


def call_text(name: str, arguments: str) -> str:
    """The text form of a native tool call with the given name and `arguments` (JSON text, as the API returns them).

    Arguments that are not strict JSON are kept as text, so that `parse` reports what is wrong with them.
    """
    value, strict = read_json(arguments)
    return f"<tool_call>{dump({'name': name, 'arguments': value if strict else arguments})}</tool_call>"
