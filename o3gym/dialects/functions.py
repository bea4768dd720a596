"""The dialects that write a call as a named JSON function, driven by what the tools declare (`Tool.args`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.lenient_json import number, numbers, read_json, whole_number
from o3gym.dialects.schemas import describe_functions, signature
from o3gym.dialects.tagged import Tagged, Unreadable
from o3gym.dialects.wording import compose_prompt
from o3gym.registry import TOOLS
from o3gym.tools.base import MAX_BOXES, MAX_TEXT, Arg, Tool
from o3gym.types import Call, Task, View

MISSING: Any = object()
"""An argument that is not there, or not of its shape."""


def dump(value: Any) -> str:
    """JSON on one line, with every "<" escaped: no string in it can look like a tag."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def named(body: str) -> tuple[str, dict[str, Any], bool]:
    """Function name, arguments and strictness of a call's body. Raises `Unreadable`.

    The format is `{"name": …, "arguments": {…}}`. Also read, as not strict: arguments as a JSON string, arguments
    beside the name (the flat form of an unused DeepEyes prompt), the nested `{"function": {…}}` of the OpenAI API, and
    a list of calls, whose last one counts.
    """
    value, strict = read_json(body)
    if isinstance(value, list) and value:
        value, strict = value[-1], False
    if not isinstance(value, dict):
        raise Unreadable("the call is not a JSON object")
    if isinstance(value.get("function"), dict):
        value, strict = value["function"], False
    name = value.get("name", value.get("function"))
    if not isinstance(name, str) or not name.strip():
        raise Unreadable('the call has no "name"')
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        arguments, strict = read_json(arguments)[0], False
    if not isinstance(arguments, dict):
        arguments = {key: item for key, item in value.items() if key not in ("name", "function", "arguments")}
        strict = False
    return name.strip(), arguments, strict and set(value) == {"name", "arguments"}


@dataclass(frozen=True)
class Functions(Tagged):
    """Base of the dialects whose calls are `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

    Attributes:
        names: names of tools as written; others keep theirs.
        keys: names of arguments as written; others keep theirs.
        numbered: calls name the view they work on; otherwise that is always view 0, and it is not written.
        first: the number written for view 0.
        labelled: a crop may carry a "label" for what it shows, which is not looked at.
        point, noun: a point and a view in words, for prompts.
    """

    names: ClassVar[Mapping[str, str]] = {}
    keys: ClassVar[Mapping[str, str]] = {"box": "bbox_2d"}
    numbered: ClassVar[bool] = False
    first: ClassVar[int] = 0
    labelled: ClassVar[bool] = False
    point: ClassVar[str] = "[x, y]"
    noun: ClassVar[str] = "picture"

    def tool_of(self, name: str) -> str:
        """The tool that a written name means, "" if there is none; tools' own names are understood too."""
        known = {written: tool for tool, written in self.names.items()}
        tool = known.get(name, name)
        return tool if self.expresses(tool) and tool in TOOLS and tool != "noop" else ""

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """A call of a known function; one of an unknown function keeps its name, for the environment to refuse."""
        name, arguments, strict = named(body)
        tool = self.tool_of(name)
        if tool:
            return self.read_function(tool, arguments, views, strict)
        if name in TOOLS:
            raise Unreadable(f'there is no function "{name}"; there are {", ".join(map(self.written, self.tools))}')
        return Call(name[:80], {}), False

    def written(self, tool: str) -> str:
        """The name of a tool in this dialect."""
        return self.names.get(tool, tool)

    def visible(self, declared: Mapping[str, Arg]) -> dict[str, Arg]:
        """The arguments that are written, as the released systems order them: the view last, or not at all."""
        order = sorted(declared.items(), key=lambda item: item[1].kind == "view")
        return {key: arg for key, arg in order if self.numbered or arg.kind != "view"}

    def read_function(
        self, tool: str, arguments: Mapping[str, Any], views: Sequence[View], strict: bool
    ) -> tuple[Call, bool]:
        """A call of `tool` from its arguments as written; strict if there is no unknown key among them."""
        declared: Mapping[str, Arg] = TOOLS[tool].args
        args: dict[str, Any] = {}
        for key, arg in sorted(declared.items(), key=lambda item: item[1].kind != "view"):
            value = self.find(tool, key, arg, arguments)
            if value is not MISSING:
                args[key] = self.read_value(key, arg, value, views, args.get("view", 0))
        known = {self.keys.get(key, key) for key in self.visible(declared)}
        return Call(tool, args), strict and set(arguments) <= known | ({"label"} if self.labelled else set())

    def find(self, tool: str, key: str, arg: Arg, arguments: Mapping[str, Any]) -> Any:
        """The written value of an argument or its default; `MISSING` for an optional one that has none."""
        if arg.kind == "view" and not self.numbered:
            return 0
        for written in (self.keys.get(key, key), key, "bbox" if key == "box" else key):
            if written in arguments and (arg.required or arguments[written] is not None):
                return arguments[written]
        if arg.required:
            raise Unreadable(f'{self.written(tool)} needs "{self.keys.get(key, key)}"')
        if arg.default is None:
            return MISSING
        return arg.default + self.first if arg.kind == "view" else arg.default

    def read_value(self, key: str, arg: Arg, value: Any, views: Sequence[View], view: int) -> Any:
        """An argument in o3gym's own terms. Raises `Unreadable`."""
        result = self._read(arg, value, views, view)
        if result is MISSING:
            raise Unreadable(f'"{self.keys.get(key, key)}" must be {describe_functions(self, arg)}')
        return result

    def _read(self, arg: Arg, value: Any, views: Sequence[View], view: int) -> Any:
        if arg.kind == "box?" and (value is None or (isinstance(value, str) and value.lower() in ("null", "none"))):
            return None
        if arg.kind in ("box", "box?", "point"):
            floats = numbers(value, 2 if arg.kind == "point" else 4)
            return MISSING if floats is None else self.to_unit(floats, views, view)
        if arg.kind == "boxes":
            return self._read_boxes(value, views, view)
        if arg.kind == "view":
            index = whole_number(value)
            return MISSING if index is None else index - (self.first if self.numbered else 0)
        if arg.kind == "number":
            return _or_missing(number(value))
        return value[:MAX_TEXT] if isinstance(value, str) else MISSING if number(value) is None else str(value)

    def _read_boxes(self, value: Any, views: Sequence[View], view: int) -> Any:
        boxes = [value] if numbers(value, 4) is not None else value
        if not isinstance(boxes, list) or not 0 < len(boxes) <= MAX_BOXES:
            return MISSING
        floats = [numbers(box, 4) for box in boxes]
        return MISSING if None in floats else [self.to_unit(box, views, view) for box in floats if box is not None]

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The call as JSON; arguments that were left out stay so."""
        declared: Mapping[str, Arg] = TOOLS[call.tool].args
        view = call.args.get("view", 0)
        if view != 0 and not self.numbered:
            raise ValueError(f"calls of dialect {self.name} work on view 0 only, got view {view}")
        written = {key: arg for key, arg in self.visible(declared).items() if key in call.args}
        arguments = {
            self.keys.get(key, key): self._write(arg, call.args[key], views, view) for key, arg in written.items()
        }
        return dump({"name": self.written(call.tool), "arguments": arguments})

    def _write(self, arg: Arg, value: Any, views: Sequence[View], view: int) -> Any:
        if value is None or arg.kind == "text":
            return value
        if arg.kind == "view":
            return value + self.first
        if arg.kind == "boxes":
            return [self.from_unit(box, views, view) for box in value]
        if arg.kind == "number":
            return int(value) if value == int(value) else round(float(value), 4)
        return self.from_unit(value, views, view)

    def coordinates(self) -> str:
        """The frame of boxes and points in words, for the prompt."""
        raise NotImplementedError

    def call_form(self) -> str:
        """A call as it looks inside its tags, for the prompt."""
        return '{"name": "…", "arguments": {…}}'

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """The enabled functions as JSON schemas, the frame of their boxes, and how to write a reply."""
        functions = [dump(signature(self, tool)) for tool in self.usable(tools, task)]
        lines = ["Functions, one of which you can call in each reply:", "<tools>", *functions, "</tools>"]
        section = "\n".join([*lines, self.coordinates()]) if functions else ""
        return compose_prompt(self, task, section, answered=not (task.kind == "box" and not self.spoken("locate")))


def _or_missing(value: float | None) -> Any:
    return MISSING if value is None else value
