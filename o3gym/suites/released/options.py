"""Readers of options, which released files write in four ways: in columns, in a list, on lines, or on one line."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import word
from o3gym.types import LETTERS

OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s*(.*)$", re.DOTALL)
"""Matches an option that begins with its letter: "(A) red", "A. red". The option may contain line breaks."""
OPTION_LINE = re.compile(r"^(?=[ \t]*\(?[A-Z][.):])", re.MULTILINE)
"""Matches the start of a line that begins with the letter of an option."""


def letter(row: Mapping[str, Any], field: str, choices: Sequence[str]) -> str:
    """The letter of the right option, from "B", "(B)" or "b"."""
    value = word(row, field).strip("().: ").upper()
    letters = LETTERS[: len(choices)]
    if len(value) != 1 or value not in letters:
        raise BadRow(field, f"one of the letters {letters} of the options", row.get(field))
    return value


def lettered(options: object, field: str) -> tuple[str, ...]:
    """Options that begin with their letters in order, "(A) red". If a letter occurs twice, its first option counts."""
    found: dict[str, str] = {}
    for option in options if isinstance(options, list) else []:
        match = OPTION.match(option) if isinstance(option, str) else None
        if match is None or not match[2].strip():
            raise BadRow(field, 'options that begin with their letters, such as "(A) red"', option)
        found.setdefault(match[1], match[2].strip())
    if len(found) < 2 or "".join(found) != LETTERS[: len(found)]:
        raise BadRow(field, "at least two options with the letters A, B, … in order", options)
    return tuple(found.values())


def lettered_lines(text: str, field: str) -> tuple[str, tuple[str, ...]]:
    """Split a text into its beginning and its options, each of which begins on its own line with its letter.

    The last line with an A begins the options, because a question may contain lines such as "A. Smith wrote". A line
    without a letter continues the option before it.
    """
    pieces = OPTION_LINE.split(text)
    first = max((i for i, piece in enumerate(pieces) if (match := OPTION.match(piece)) and match[1] == "A"), default=0)
    return "".join(pieces[:first]).strip(), lettered(pieces[first:], field)


def columns_of_options(row: Mapping[str, Any], letters: str) -> tuple[str, ...]:
    """Options from columns that are named by letter; trailing columns without a value are ignored.

    Only an empty cell or a null is missing: "None", "N/A" and "nan" are texts of options. (pandas reads them as missing
    values, and so do loaders that use it.)
    """
    options = [_cell(row.get(letter)) for letter in letters]
    while options and not options[-1]:
        options.pop()
    for name, option in zip(letters, options, strict=False):
        if not option:
            raise BadRow(name, "an option, because a later column has one", row.get(name))
    if len(options) < 2:
        raise BadRow(letters[0], "at least two options", options)
    return tuple(options)


def _cell(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value).strip()


def shuffled_options(choices: Sequence[str], right: str, seed: str) -> tuple[tuple[str, ...], str]:
    """Options shuffled by `seed`, and the new letter of the option that had the letter `right`."""
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)
    return tuple(choices[i] for i in order), LETTERS[order.index(LETTERS.index(right))]
