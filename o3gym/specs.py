"""Specs: how a text such as "openai:MODEL?key=value" names a plug-in and its options."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from operator import attrgetter
from typing import Any

from o3gym.registry import Registry, UnknownName, closest, is_missing


def build_plugin(kind: str, name: str, factory: Any, argument: str = "", **options: Any) -> Any:
    """Calls `factory` as the spec "name:argument?option=value" asks.

    The factory receives the argument only if it has a parameter with the name `argument`.

    Raises:
        TypeError: the factory takes no argument, or has no such option; the message gives the closest option.
    """
    parameters = _parameters(factory)
    if argument and "argument" not in parameters:
        raise TypeError(f'{kind} "{name}" takes nothing after ":", got "{argument}"')
    for option in options:
        if option not in parameters:
            known = ", ".join(p for p in parameters if p != "argument") or "none"
            raise TypeError(f'{kind} "{name}" has no option "{option}"{closest(option, parameters)} (known: {known})')
    return factory(**({"argument": argument} if "argument" in parameters else {}), **options)


def find_entry(
    registry: Registry, spec: str, error: type[ValueError] = UnknownName
) -> tuple[str, Any, str, dict[str, Any]]:
    """Looks up "name:argument?option=value", or the same with "package.module:Class" for a name.

    Args:
        registry: the plug-ins of one kind.
        spec: the spec.
        error: the exception for a module that does not have the attribute.

    Returns:
        The name, or "package.module:Class"; what it stands for; the argument; and the options.

    Raises:
        UnknownName: there is neither an entry nor a module with this name; the message suggests the closest entry.
    """
    name, argument, options = parse_spec(spec)
    if name in registry:
        return name, registry[name], argument, options
    attribute, _, argument = argument.partition(":")
    module = _import(name) if attribute else None
    if module is None:
        names = ", ".join(sorted(registry))
        raise UnknownName(
            f'unknown {registry.kind} "{name}"{closest(name, registry)} (known: {names}, or "package.module:attribute")'
        )
    try:
        return f"{name}:{attribute}", attrgetter(attribute)(module), argument, options
    except AttributeError:
        hint = closest(attribute, vars(module))
        raise error(f'module {name} has no class or function "{attribute}"{hint}') from None


def _import(name: str) -> Any:
    """Imports a module. Returns None if it does not exist; an error inside the module is raised."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not is_missing(name, error):
            raise
        return None


def _parameters(factory: Any) -> list[str]:
    """Returns the parameter names; where a class passes `**options` on, those of its base class follow."""
    signature = inspect.signature(factory).parameters.values()
    names = [p.name for p in signature if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if isinstance(factory, type) and any(p.kind is p.VAR_KEYWORD for p in signature):
        names += [name for name in _parameters(factory.__mro__[1]) if name not in names]
    return names


def stands_alone(factory: Any, given: int = 0) -> bool:
    """Whether a factory needs no arguments, such as a model's name or a file, beyond the first `given` ones."""
    parameters = list(inspect.signature(factory).parameters.values())[given:]
    return all(p.default is not p.empty for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))


def parse_spec(spec: str) -> tuple[str, str, dict[str, Any]]:
    """Splits "name:argument?key=value&key=value" into (name, argument, options).

    Option values are parsed as JSON where they are JSON (numbers, true, lists) and are text otherwise:
    `parse_spec("local:photos/index.jsonl?split=test")` gives `("local", "photos/index.jsonl", {"split": "test"})`.

    A name that is composed of others is written "name(key=spec, key=spec)"; its options are those specs, as text.
    """
    if not isinstance(spec, str):
        raise TypeError(f'expected a spec as text, like "name:argument?option=value", got {spec!r:.60}')
    if composed := re.match(r"\s*(\w+)\(", spec):
        return composed[1], "", _parts(spec, composed.end())
    head, _, tail = spec.partition("?")
    name, _, argument = head.partition(":")
    options: dict[str, Any] = {}
    for item in filter(None, tail.split("&")):
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f'"{item}" in "{spec}": expected key=value')
        options[key] = parse_value(value)
    return name, argument, options


def _parts(spec: str, start: int) -> dict[str, str]:
    """Returns the parts of a composed spec by key; `start` is the place behind its opening bracket."""
    parts: dict[str, str] = {}
    for part in _split_parts(spec, start):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key in parts:
            raise ValueError(f'"{part.strip()}" in "{spec}": expected key=value, each key once')
        parts[key] = value
    return parts


def _split_parts(spec: str, start: int) -> list[str]:
    """Splits at commas that a "key=" follows, outside of inner brackets, up to the closing bracket of the spec."""
    depth, marks = 1, [start]
    for at in range(start, len(spec)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(spec[at], 0)
        if depth == 1 and spec[at] == "," and re.match(r"\s*\w+\s*=", spec[at + 1 :]):
            marks.append(at + 1)
        if depth == 0:
            break
    if depth or spec[at + 1 :].strip():
        raise ValueError(f'"{spec}": expected one closing bracket for each opening one, and nothing after the last')
    return [spec[begin:end] for begin, end in zip(marks, [*(mark - 1 for mark in marks[1:]), at], strict=True)]


def parse_value(text: str) -> Any:
    """Returns a command-line value: parsed if it is JSON, otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
