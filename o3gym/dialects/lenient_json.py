"""Reads JSON that a model wrote: strictly first, then leniently, in time linear in the text and never by `eval`.

Both readers return plain Python values. Numbers may still be absurd (1e300) or overflow to infinity; `number` and
`numbers` let only finite values through.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_LENIENT = 20_000
"""Maximum number of characters that the lenient reader scans: enough for 64 boxes of 16-digit numbers."""
MAX_DEPTH = 16
"""Maximum nesting depth of the lenient reader; a call needs four levels."""
MAX_DIGITS = 15
"""Maximum digits of an integer; longer ones become floats, because CPython refuses to parse more than 4300 digits."""

# A quote ends a string only where a value can end, so `'the man's hat'` is one string. Nothing after a repetition can
# fail to match, so the regex never backtracks and runs in linear time. (Possessive quantifiers would state this
# explicitly, but Python before 3.11.5 has bugs in them.)
TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.|"(?!\s*(?:[,:=\]})]|\Z)))*"?|'(?:[^'\\]|\\.|'(?!\s*(?:[,:=\]})]|\Z)))*'?)"""
    r"""|(?P<mark>[\[\](){}:=,])|(?P<word>[^\s\[\](){}:=,"']+)""",
    re.DOTALL,
)
WORDS = {"true": True, "false": False, "null": None, "none": None}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


_STRICT = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer)


def read_json(text: str) -> tuple[Any, bool]:
    """The value in `text`, and whether the whole text is strict JSON. Returns (None, False) if there is no value."""
    try:
        return _STRICT.decode(text.strip()), True
    except (ValueError, RecursionError):
        return read_lenient(text), False


class _Open:
    """A list or an object whose closing bracket has not been reached."""

    def __init__(self, mark: str) -> None:
        self.is_object = mark == "{"
        self.items: list[Any] = []
        self.pairs: dict[str, Any] = {}
        self.key: str | None = None

    def add(self, value: Any) -> None:
        if self.key is None:
            self.items.append(value)
        else:
            self.pairs[self.key] = value
            self.key = None

    def name(self) -> None:
        """Turns the scalar that was read last into a key, because ":" or "=" follows it."""
        if self.items and isinstance(self.items[-1], (str, int, float)):
            self.key = str(self.items.pop())

    def value(self) -> Any:
        return self.pairs if self.is_object else self.items


def read_lenient(text: str) -> Any:
    """The first object or list in `text`, or None if there is none or it is nested too deeply.

    Tolerated slips: surrounding text, code fences, single quotes, missing quotes, trailing or missing commas, round
    brackets, "=" instead of ":", and missing closing brackets.
    """
    return _scan(text)[0]


def is_whole(text: str) -> bool:
    """Whether the first object or list in `text` has all its closing brackets, so that it was not cut."""
    return _scan(text)[1]


def _scan(text: str) -> tuple[Any, bool]:
    """The first object or list in `text`, and whether it is closed."""
    starts = [start for start in (text.find("{"), text.find("[")) if start >= 0]
    if not starts:
        return None, False
    start = min(starts)
    stack: list[_Open] = []
    for token in TOKEN.finditer(text, start, start + MAX_LENIENT):
        mark = token["mark"]
        if mark is None:
            stack[-1].add(_scalar(token))
        elif mark in "{[(":
            if len(stack) == MAX_DEPTH:
                return None, False
            stack.append(_Open(mark))
        elif mark in "}])":
            value = stack.pop().value()
            if not stack:
                return value, True
            stack[-1].add(value)
        elif mark != ",":
            stack[-1].name()
    return _close(stack), False


def _close(stack: list[_Open]) -> Any:
    value = stack.pop().value()
    while stack:
        stack[-1].add(value)
        value = stack.pop().value()
    return value


def _scalar(token: re.Match[str]) -> Any:
    word = token["word"]
    if word is None:
        quoted: str = token["text"]
        end = -1 if len(quoted) > 1 and quoted[-1] == quoted[0] else len(quoted)
        return re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), quoted[1:end], flags=re.DOTALL)
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    value = number(word)
    if value is None:
        return word
    return int(value) if word.lstrip("+-").isdigit() and abs(value) < 10**MAX_DIGITS else value


def number(value: object) -> float | None:
    """Converts a number, or a string such as "0.25", to a finite float; None if that is not possible."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, str))
        or (isinstance(value, str) and len(value) > 40)
    ):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def numbers(value: object, count: int) -> list[float] | None:
    """Reads `count` finite floats from a list, a nested list ([[x, y, x, y]], [[x, y], [x, y]]) or either as a string.

    Returns None for any other value.
    """
    if isinstance(value, str):
        value = read_lenient(value if "[" in value else f"[{value}]")
    if isinstance(value, list) and 1 <= len(value) <= 2 and all(isinstance(part, list) for part in value):
        value = [item for part in value for item in part]
    if not isinstance(value, list) or len(value) != count:
        return None
    floats = [number(item) for item in value]
    return None if None in floats else [v for v in floats if v is not None]


def whole_numbers(value: object, most: int) -> list[int] | None:
    """Reads 1 to `most` whole numbers from a list, one number, or either as a string; None for any other value."""
    if isinstance(value, str):
        value = read_lenient(value if "[" in value else f"[{value}]")
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= most:
        return None
    whole = [whole_number(item) for item in items]
    return None if None in whole else [number for number in whole if number is not None]


def whole_number(value: object) -> int | None:
    """Converts a whole number of at most 15 digits (3, 3.0 or "3") to an int; None for any other value."""
    result = number(value)
    return int(result) if result is not None and result == int(result) and abs(result) < 10**MAX_DIGITS else None
