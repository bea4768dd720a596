"""Conversion of dataclasses to JSON and back, driven by their annotations.

Every record that is written to disk or sent to another process passes through `encode` and `decode`, so a new field of
a record is stored and read without a second list of names. Only the types that records use are supported: dataclasses,
named tuples, tuples, mappings, lists, optionals, literals and plain values. Unions of two records are deliberately not
supported.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

_T = TypeVar("_T")


class DecodeError(ValueError):
    """A JSON value does not match the type of its field; the message names the field."""


def encode(value: Any) -> Any:
    """Convert records to plain JSON values (dict, list, str, int, float, bool, None).

    Dataclass fields declared with `metadata={"json": False}` are left out, because JSON cannot represent them. Those
    declared with `metadata={"json": "if set"}` are left out while they have their default.
    """
    if value is None or isinstance(value, (str, bool, int, float)):  # first, because token ids are by far the most
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in _fields(type(value)) if not _unset(value, f)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {k: encode(v) for k, v in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if hasattr(value, "item"):  # NumPy scalars, which tools and rewards may return by accident
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r:.80}")


def decode(cls: type[_T], data: Any, where: str = "") -> _T:
    """Read a record of type `cls` from plain JSON values.

    Missing fields take their defaults, and unknown keys are ignored, so that an older package can read a newer file.
    Raises `DecodeError`, which names the field, the expected type and the actual value.
    """
    return typing.cast(_T, _decode(cls, data, where or getattr(cls, "__name__", str(cls))))


def canonical(value: Any) -> Any:
    """JSON values with whole floats as integers, for hashes that must not change if JSON turns 90.0 into 90."""
    if isinstance(value, dict):
        return {k: canonical(v) for k, v in value.items()}
    if isinstance(value, list):
        return [canonical(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@cache
def _fields(cls: type) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(f for f in dataclasses.fields(cls) if f.metadata.get("json", True))


def _unset(value: Any, field: dataclasses.Field[Any]) -> bool:
    return field.metadata.get("json") == "if set" and getattr(value, field.name) == field.default


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(hint: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any or hint is object:
        return data
    if origin in (typing.Union, types.UnionType):
        return _decode_optional(hint, data, where)
    if origin is typing.Literal:
        return _expect(data in typing.get_args(hint), data, f"one of {typing.get_args(hint)}", where)
    if dataclasses.is_dataclass(hint):
        return _decode_record(hint, data, where)
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return _decode_named_tuple(hint, data, where)
    if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return _decode_sequence(hint, data, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        _expect(isinstance(data, Mapping), data, "an object", where)
        item = typing.get_args(hint)[1]
        return {k: _decode(item, v, f"{where}.{k}") for k, v in data.items()}
    return _decode_plain(hint, data, where)


def _decode_plain(hint: Any, data: Any, where: str) -> Any:
    if hint is float:
        number = isinstance(data, (int, float)) and not isinstance(data, bool)
        return float(_expect(number, data, "a number", where))
    if hint is int:
        return _expect(isinstance(data, int) and not isinstance(data, bool), data, "an integer", where)
    if isinstance(hint, type):
        return _expect(isinstance(data, hint), data, hint.__name__, where)
    raise TypeError(f"{where}: cannot read {hint!r} from JSON")


def _expect(ok: bool, data: Any, what: str, where: str) -> Any:
    if not ok:
        raise DecodeError(f"{where}: expected {what}, got {type(data).__name__} {data!r:.80}")
    return data


def _decode_optional(hint: Any, data: Any, where: str) -> Any:
    options = [a for a in typing.get_args(hint) if a is not types.NoneType]
    if data is None and len(options) < len(typing.get_args(hint)):
        return None
    failures = []
    for option in options:
        try:
            return _decode(option, data, where)
        except DecodeError as error:
            failures.append(error)
    raise failures[-1]


def _decode_record(cls: Any, data: Any, where: str) -> Any:
    _expect(isinstance(data, Mapping), data, f"an object ({cls.__name__})", where)
    hints = _hints(cls)
    values = {f.name: _decode(hints[f.name], data[f.name], f"{where}.{f.name}") for f in _fields(cls) if f.name in data}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise DecodeError(f"{where}: {error}") from error


def _decode_named_tuple(cls: Any, data: Any, where: str) -> Any:
    _expect(isinstance(data, Mapping) and set(data) == set(cls._fields), data, f"keys {cls._fields}", where)
    hints = _hints(cls)
    return cls(**{k: _decode(hints[k], data[k], f"{where}.{k}") for k in cls._fields})


def _decode_sequence(hint: Any, data: Any, where: str) -> Any:
    _expect(isinstance(data, (list, tuple)), data, "a list", where)
    origin, items = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and not (len(items) == 2 and items[1] is ...):
        _expect(len(data) == len(items), data, f"{len(items)} values", where)
        return tuple(_decode(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(items, data, strict=True)))
    values = [_decode(items[0], v, f"{where}[{i}]") for i, v in enumerate(data)]
    return values if origin is list else tuple(values)
