"""Dialects that write a call as a named JSON function and describe tools by JSON schemas, both from `Tool.args`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.lenient_json import number, numbers, read_json, read_lenient, whole_number, whole_numbers
from o3gym.dialects.tagged import WORLD_TOOLS, Tagged, Unreadable
from o3gym.dialects.times import leading_video, write_seconds
from o3gym.dialects.wording import code_words, compose_prompt
from o3gym.registry import CODE_RULES, TOOLS
from o3gym.tools.base import MAX_BOXES, MAX_NUMBERS, MAX_TEXT, Arg, Tool
from o3gym.types import Call, Task, View

MISSING: Any = object()
"""Stands for an argument that is absent or does not have the declared shape."""
FUNCTION, PARAMETER = "<function=", "<parameter="
"""Starts of the tags of an XML call, which continue with a name and ">"."""
ONE_PICTURE: Mapping[str, str] = {
    "crop": "Look at a part of the picture in full resolution.",
    "zoom": "Magnify the picture around a point.",
    "reuse": "Show the picture again.",
    "rotate": "Turn the picture counter-clockwise.",
    "draw": "Show the picture with boxes drawn on it.",
    "image_search": "Search the web for pictures like the first one and read what the pages say about them.",
}
"""Descriptions of tools for dialects whose calls cannot name a view, so that every tool works on view 0."""


def dump(value: Any) -> str:
    """`value` as JSON on one line, with every "<" escaped so that no string inside can be mistaken for a tag."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def named(body: str) -> tuple[str, dict[str, Any], bool]:
    """Reads the body of a call as (function name, arguments, strict). Raises `Unreadable`.

    The strict format is `{"name": …, "arguments": {…}}`. Four other forms are accepted as not strict: arguments as a
    JSON string, arguments beside the name (the flat form of an unused DeepEyes prompt), the nested `{"function": {…}}`
    of the OpenAI API, and a list of calls, of which the last one counts.
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


def named_in_xml(body: str) -> tuple[str, dict[str, Any], bool] | None:
    """Reads the body of a call in Qwen3.5's XML form as `named` does; None if it has another form.

    The strict form is `<function=NAME>`, one `<parameter=KEY>` with its closing tag per argument, and `</function>`,
    with nothing but white space between them. Closing tags may be missing. All values are texts;
    `Functions.read_value` converts them by the declared arguments of the tool.
    """
    text = body.strip()
    if not text.startswith(FUNCTION) or ">" not in text:
        return None
    name, _, inner = text.removeprefix(FUNCTION).partition(">")
    inner, closing, rest = inner.partition("</function>")
    first, *parts = inner.split(PARAMETER)
    strict = bool(closing) and not first.strip() and not rest.strip()
    arguments = {}
    for part in parts:
        key, mark, value = part.partition(">")
        value, end, after = value.partition("</parameter>")
        strict = strict and bool(mark and end) and not after.strip() and key not in arguments
        arguments[key.strip()] = value.strip("\n" if end else None)
    if not name.strip():
        raise Unreadable("the call has no function name")
    return name.strip(), arguments, strict


@dataclass(frozen=True)
class Functions(Tagged):
    """Base of the dialects whose calls are `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.

    Attributes:
        names: tool name → name written in calls; tools that are not listed keep their own name.
        keys: argument name → key written in calls; arguments that are not listed keep their own name.
        numbered: whether calls name the view they work on. If not, they work on view 0 and never write a view.
        first: the number written for view 0.
        videos: whether calls name the video they work on. If not, they work on the first one.
        span_keys: the keys of the start and end of an interval; () if both are written as a list.
        most_frames: the maximum number of frames in a call, as prompts and schemas give it.
        labelled: whether a crop may carry a "label" that says what it shows. The label is ignored.
        point, noun: how prompts write a point and what they call a view.
    """

    names: ClassVar[Mapping[str, str]] = {}
    keys: ClassVar[Mapping[str, str]] = {"box": "bbox_2d"}
    numbered: ClassVar[bool] = False
    first: ClassVar[int] = 0
    videos: ClassVar[bool] = False
    span_keys: ClassVar[tuple[str, ...]] = ()
    most_frames: ClassVar[int] = MAX_NUMBERS
    labelled: ClassVar[bool] = False
    point: ClassVar[str] = "[x, y]"
    noun: ClassVar[str] = "picture"

    def tool_of(self, name: str) -> str:
        """The tool that a written name refers to, "" if there is none. A tool's own name is accepted too."""
        known = {written: tool for tool, written in self.names.items()}
        tool = known.get(name, name)
        return tool if self.expresses(tool) and tool in TOOLS and tool != "noop" else ""

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads a call. A call of an unknown function keeps its name, so that the environment refuses it."""
        name, arguments, strict = self.read_named(body)
        tool = self.tool_of(name)
        if tool:
            return self.read_function(tool, arguments, views, strict)
        if name in TOOLS:
            raise Unreadable(f'there is no function "{name}"; there are {", ".join(map(self.written, self.tools))}')
        return Call(name[:80], {}), False

    def read_named(self, body: str) -> tuple[str, dict[str, Any], bool]:
        """Reads the body of a call as (function name, arguments, strict). Raises `Unreadable`."""
        return named(body)

    def written(self, tool: str) -> str:
        """The name that this dialect writes for a tool."""
        return self.names.get(tool, tool)

    def visible(self, declared: Mapping[str, Arg]) -> dict[str, Arg]:
        """The arguments that are written, in the order of the released systems: the view comes last, if at all."""
        order = sorted(declared.items(), key=lambda item: item[1].kind == "view")
        hidden = {"view": not self.numbered, "video": not self.videos}
        return {key: arg for key, arg in order if not hidden.get(arg.kind)}

    def keys_of(self, key: str, arg: Arg) -> tuple[str, ...]:
        """The keys that are written for an argument: two for an interval if the dialect has `span_keys`."""
        return self.span_keys if arg.kind == "span" and self.span_keys else (self.keys.get(key, key),)

    def read_function(
        self, tool: str, arguments: Mapping[str, Any], views: Sequence[View], strict: bool
    ) -> tuple[Call, bool]:
        """Reads a call of `tool` from its written arguments. An unknown key among them makes it not strict."""
        declared: Mapping[str, Arg] = TOOLS[tool].args
        args: dict[str, Any] = {}
        # The view comes first: the frame of every other coordinate depends on it.
        for key, arg in sorted(declared.items(), key=lambda item: item[1].kind != "view"):
            if arg.kind == "video" and not self.videos:
                args[key] = leading_video(views)
                continue
            value = self.find(tool, key, arg, arguments)
            if value is not MISSING:
                args[key] = self.read_value(key, arg, value, views, args.get("view", 0))
        if tool == "code" and len(args["source"]) >= MAX_TEXT:  # cut code would be other code
            raise Unreadable(f'"source" must have fewer than {MAX_TEXT} characters')
        known = {written for key, arg in self.visible(declared).items() for written in self.keys_of(key, arg)}
        return Call(tool, args), strict and set(arguments) <= known | ({"label"} if self.labelled else set())

    def find(self, tool: str, key: str, arg: Arg, arguments: Mapping[str, Any]) -> Any:
        """The written value of an argument, else its default, else `MISSING`. Raises `Unreadable` if it is required."""
        if arg.kind == "view" and not self.numbered:
            return 0
        if len(ends := self.keys_of(key, arg)) > 1:
            if not all(end in arguments for end in ends):
                raise Unreadable(f'{self.written(tool)} needs "{ends[0]}" and "{ends[1]}"')
            return [arguments[end] for end in ends]
        for written in (self.keys.get(key, key), key, "bbox" if key == "box" else key):
            if written in arguments and (arg.required or arguments[written] is not None):
                return arguments[written]
        if arg.required:
            raise Unreadable(f'{self.written(tool)} needs "{self.keys.get(key, key)}"')
        if arg.default is None:
            return MISSING
        return arg.default + self.first if arg.kind == "view" else arg.default

    def read_value(self, key: str, arg: Arg, value: Any, views: Sequence[View], view: int) -> Any:
        """Converts a written argument to the core action language. Raises `Unreadable`."""
        result = self._read(arg, value, views, view)
        if result is MISSING:
            written = " and ".join(f'"{name}"' for name in self.keys_of(key, arg))
            raise Unreadable(f"{written} must be {self.describe(arg)}")
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
        if arg.kind == "span":
            return _or_missing(numbers(value, 2))
        if arg.kind == "numbers":
            whole = whole_numbers(value, MAX_NUMBERS)
            return MISSING if whole is None else self.to_frames(whole, views)
        if arg.kind == "video":
            return _or_missing(whole_number(value))
        return value[: arg.longest] if isinstance(value, str) else MISSING if number(value) is None else str(value)

    def _read_boxes(self, value: Any, views: Sequence[View], view: int) -> Any:
        value = read_lenient(value) if isinstance(value, str) else value
        boxes = [value] if numbers(value, 4) is not None else value
        if not isinstance(boxes, list) or not 0 < len(boxes) <= MAX_BOXES:
            return MISSING
        floats = [numbers(box, 4) for box in boxes]
        return MISSING if None in floats else [self.to_unit(box, views, view) for box in floats if box is not None]

    def to_frames(self, written: Sequence[int], views: Sequence[View]) -> list[int]:
        """Converts the written numbers of frames to the numbers that the tool takes."""
        return list(written)

    def from_frames(self, frames: Sequence[int], views: Sequence[View]) -> list[int]:
        """Converts the numbers of frames that a tool takes to those that are written."""
        return [int(frame) for frame in frames]

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The call as JSON. Arguments that the call leaves out are not written."""
        declared: Mapping[str, Arg] = TOOLS[call.tool].args
        view = call.args.get("view", 0)
        if view != 0 and not self.numbered:
            raise ValueError(f"calls of dialect {self.name} work on view 0 only, got view {view}")
        if "video" in call.args and not self.videos and call.args["video"] != leading_video(views):
            raise ValueError(
                f"calls of dialect {self.name} work on the first video only, got video {call.args['video']}"
            )
        arguments: dict[str, Any] = {}
        for key, arg in self.visible(declared).items():
            if key in call.args:
                value, names = self._write(arg, call.args[key], views, view), self.keys_of(key, arg)
                arguments.update(zip(names, value if len(names) > 1 else [value], strict=True))
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
        if arg.kind == "span":
            return write_seconds(value)
        if arg.kind == "numbers":
            return self.from_frames(value, views)
        if arg.kind == "video":
            return int(value)
        return self.from_unit(value, views, view)

    def coordinates(self) -> str:
        """The sentences of the prompt that explain the frame of boxes and points."""
        raise NotImplementedError

    def describe(self, arg: Arg) -> str:
        """The shape of an argument as this dialect writes it, in words."""
        return {
            "box": f"a box {self.corners} of four numbers",
            "box?": f"a box {self.corners} of four numbers, or null if it is not there",
            "boxes": f"a list of 1 to {MAX_BOXES} boxes {self.corners}",
            "point": f"a point {self.point} of two numbers",
            "view": f"the number of a {self.noun}",
            "number": f"a number from {arg.low:g} to {arg.high:g}",
            "text": "a text",
            "span": "two numbers, in seconds" if self.span_keys else "a list [start, end] of two numbers, in seconds",
            "numbers": f"a list of 1 to {self.most_frames} whole numbers",
            "video": "the number of a video",
        }[arg.kind]

    def function_schema(self, tool: Tool) -> dict[str, Any]:
        """A tool as `{"type": "function", "function": {name, description, parameters}}`."""
        visible = self.visible(tool.args)
        properties = {
            name: self.end_schema(name) if arg.kind == "span" and self.span_keys else self.argument_schema(arg)
            for key, arg in visible.items()
            for name in self.keys_of(key, arg)
        }
        if self.labelled and tool.name == "crop":
            properties["label"] = {"type": "string", "description": "what the box shows"}
        parameters = {
            "type": "object",
            "properties": properties,
            "required": [name for key, arg in visible.items() if arg.required for name in self.keys_of(key, arg)],
        }
        doc = re.sub(r"\bview\b", self.noun, tool.doc)
        doc = doc if self.numbered else ONE_PICTURE.get(tool.name, doc)
        if tool.name == "code":
            doc = f"{doc} {code_words(CODE_RULES[self.code_rule])}"
        function = {"name": self.written(tool.name), "description": doc, "parameters": parameters}
        return {"type": "function", "function": function}

    def end_schema(self, key: str) -> dict[str, Any]:
        """The JSON schema of the start or the end of an interval, in seconds."""
        end = "start" if key == self.span_keys[0] else "end"
        return {"type": "number", "description": f"the {end} of the interval, in seconds"}

    def argument_schema(self, arg: Arg) -> dict[str, Any]:
        """The JSON schema of an argument."""
        coordinates = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
        shapes: dict[str, dict[str, Any]] = {
            "box": coordinates,
            "box?": {**coordinates, "type": ["array", "null"]},
            "boxes": {"type": "array", "items": coordinates, "minItems": 1, "maxItems": MAX_BOXES},
            "point": {**coordinates, "minItems": 2, "maxItems": 2},
            "view": {"type": "integer", "minimum": self.first},
            "number": {"type": "number", "minimum": arg.low, "maximum": arg.high},
            "text": {"type": "string"},
            "span": {**coordinates, "minItems": 2, "maxItems": 2},
            "numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": self.most_frames},
            "video": {"type": "integer", "minimum": 0},
        }
        result = {**shapes[arg.kind], "description": self.describe(arg)}
        if arg.default is not None:
            result["default"] = arg.default + self.first if arg.kind == "view" else arg.default
        return result

    def timing(self, tools: Sequence[Tool], task: Task) -> str:
        """The sentences of the prompt that explain the numbers of frames and times; "" if no tool takes them."""
        kinds = {arg.kind for tool in tools for arg in tool.args.values()}
        told = "Times are seconds from the start of the video." if "span" in kinds else ""
        if "numbers" in kinds:
            told += " The frames of a video are numbered from 0; most of them have not been shown."
        if "video" in kinds and self.videos and len(task.sources) > 1:
            told += " Videos have the numbers given above."
        return told.strip()

    def call_form(self) -> str:
        """The body of a call as the prompt shows it."""
        return '{"name": "…", "arguments": {…}}'

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Lists the enabled functions as JSON schemas, the frame of their boxes, and the form of a reply."""
        usable = self.usable(tools, task)
        functions = [dump(self.function_schema(tool)) for tool in usable]
        lines = ["Functions, one of which you can call in each reply:", "<tools>", *functions, "</tools>"]
        spatial = {tool.name for tool in usable} - WORLD_TOOLS
        explained = [self.coordinates() if spatial else "", self.timing(usable, task)]
        section = "\n".join([*lines, *filter(None, explained)]) if functions else ""
        return compose_prompt(self, task, section, tools)


def _or_missing(value: object) -> Any:
    return MISSING if value is None else value
