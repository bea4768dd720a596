"""Tools as JSON schemas of functions, in the names and frames of a dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from o3gym.tools.base import MAX_BOXES, Arg, Tool

if TYPE_CHECKING:
    from o3gym.dialects.functions import Functions

ONE_PICTURE: Mapping[str, str] = {
    "crop": "Look at a part of the picture in full resolution.",
    "zoom": "Magnify the picture around a point.",
    "reuse": "Show the picture again.",
    "rotate": "Turn the picture counter-clockwise.",
    "draw": "Show the picture with boxes drawn on it.",
}
"""What the tools do where a call cannot name a view, so that all of them work on view 0."""


def describe_functions(dialect: Functions, arg: Arg) -> str:
    """The shape of an argument as written, in words."""
    return {
        "box": f"a box {dialect.corners} of four numbers",
        "box?": f"a box {dialect.corners} of four numbers, or null if it is not there",
        "boxes": f"a list of 1 to {MAX_BOXES} boxes {dialect.corners}",
        "point": f"a point {dialect.point} of two numbers",
        "view": f"the number of a {dialect.noun}",
        "number": f"a number from {arg.low:g} to {arg.high:g}",
        "text": "a text",
    }[arg.kind]


def signature(dialect: Functions, tool: Tool) -> dict[str, Any]:
    """A tool as `{"type": "function", "function": {name, description, parameters}}`."""
    visible = dialect.visible(tool.args)
    properties = {dialect.keys.get(key, key): property_of(dialect, arg) for key, arg in visible.items()}
    if dialect.labelled and tool.name == "crop":
        properties["label"] = {"type": "string", "description": "what the box shows"}
    parameters = {
        "type": "object",
        "properties": properties,
        "required": [dialect.keys.get(key, key) for key, arg in visible.items() if arg.required],
    }
    doc = re.sub(r"\bview\b", dialect.noun, tool.doc)
    doc = doc if dialect.numbered else ONE_PICTURE.get(tool.name, doc)
    function = {"name": dialect.written(tool.name), "description": doc, "parameters": parameters}
    return {"type": "function", "function": function}


def property_of(dialect: Functions, arg: Arg) -> dict[str, Any]:
    """The JSON schema of an argument."""
    coordinates = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    shapes: dict[str, dict[str, Any]] = {
        "box": coordinates,
        "box?": {**coordinates, "type": ["array", "null"]},
        "boxes": {"type": "array", "items": coordinates, "minItems": 1, "maxItems": MAX_BOXES},
        "point": {**coordinates, "minItems": 2, "maxItems": 2},
        "view": {"type": "integer", "minimum": dialect.first},
        "number": {"type": "number", "minimum": arg.low, "maximum": arg.high},
        "text": {"type": "string"},
    }
    result = {**shapes[arg.kind], "description": describe_functions(dialect, arg)}
    if arg.default is not None:
        result["default"] = arg.default + dialect.first if arg.kind == "view" else arg.default
    return result
