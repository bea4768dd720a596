"""Fields of rows: each is read as what it must be, or is a `BadRow` that says what was expected."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from o3gym.geometry import from_pixels, is_box, is_empty
from o3gym.media.images import PictureError, shared_store
from o3gym.registry import closest
from o3gym.suites.base import BadRow
from o3gym.types import LETTERS, Box, Size, Source, Target

OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s*(.*)$")
"""An option with its letter: "(A) red", "A. red"."""
IMAGE_MARK = "<image>"
"""Where a picture stands in a question that was written for a model."""
ROUNDING = 2.0
"""Pixels by which a released box may leave its picture; it is cut there."""


def text(row: Mapping[str, Any], field: str) -> str:
    """A field that must be a text with something in it."""
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(field, "a text", value)
    return value.strip()


def unmarked(said: str) -> str:
    """A question without the marks of its pictures."""
    return said.replace(IMAGE_MARK, "").strip()


def word(row: Mapping[str, Any], field: str) -> str:
    """A field as a text: numbers are written out."""
    value = row.get(field)
    if value is None or isinstance(value, (list, dict)) or not str(value).strip():
        raise BadRow(field, "a text or number", value)
    return str(value).strip()


def picture(folder: Path, name: str, field: str = "image") -> Source:
    """A picture file, which must be there."""
    path = folder / name
    if not path.is_file():
        near = closest(path.name, [p.name for p in path.parent.glob("*")][:1000] if path.parent.is_dir() else [])
        raise BadRow(field, f"an existing file{near}", str(path))
    return Source.file(str(path))


def packed(row: Mapping[str, Any], field: str = "image") -> Source:
    """A picture that is in the table itself."""
    value = row.get(field)
    if not isinstance(value, Source):
        raise BadRow(field, "a picture", value)
    return value


def pixel_box(box: object, source: Source, field: str) -> Box:
    """[x0, y0, x1, y1] in pixels of a picture as unit xyxy; it must lie inside."""
    if not is_box(box):
        raise BadRow(field, "[x0, y0, x1, y1] of four numbers", box)
    assert isinstance(box, (list, tuple))
    width, height = picture_size(source, field)
    x0, y0, x1, y1 = box
    inside = min(x0, y0) >= -ROUNDING and x1 <= width + ROUNDING and y1 <= height + ROUNDING
    if is_empty(box) or not inside:
        raise BadRow(field, f"x0 < x1 and y0 < y1 inside the picture of {width}×{height} pixels", box)
    cut = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    return from_pixels(cut, (width, height))


def picture_size(source: Source, field: str) -> Size:
    """Width and height of a picture, which must be readable."""
    try:
        return shared_store().size(source)
    except PictureError as error:
        raise BadRow(field, "a readable picture", str(error)) from error


def letter(row: Mapping[str, Any], field: str, choices: Sequence[str]) -> str:
    """The right letter, "B", "(B)" or "b"; it must have an option."""
    value = word(row, field).strip("().: ").upper()
    letters = LETTERS[: len(choices)]
    if len(value) != 1 or value not in letters:
        raise BadRow(field, f"one of the letters {letters}, for which there are options", row.get(field))
    return value


def lettered(options: object, field: str) -> tuple[str, ...]:
    """Options that begin with their letters, "(A) red", in order; of a letter that comes twice the first is taken."""
    found: dict[str, str] = {}
    for option in options if isinstance(options, list) else []:
        match = OPTION.match(option) if isinstance(option, str) else None
        if match is None or not match[2].strip():
            raise BadRow(field, 'options that begin with their letters, like "(A) red"', option)
        found.setdefault(match[1], match[2].strip())
    if len(found) < 2 or "".join(found) != LETTERS[: len(found)]:
        raise BadRow(field, "at least two options with the letters A, B, … in order", options)
    return tuple(found.values())


def boxes(value: object, field: str) -> list[Any]:
    """A list of boxes, which may be written out as text; each is still to be checked."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRow(field, "a list of boxes", value) from error
    if not isinstance(value, list) or not value:
        raise BadRow(field, "a list of boxes", value)
    return value


def evidence(row: Mapping[str, Any], field: str, source: Source) -> tuple[Target, ...]:
    """Targets in a picture, from a field that lists their boxes in its pixels."""
    return tuple(Target(pixel_box(box, source, field)) for box in boxes(row[field], field))


def columns_of_options(row: Mapping[str, Any], letters: str) -> tuple[str, ...]:
    """Options in columns named by their letters, as far as there are any."""
    options = [str(row.get(letter) or "").strip() for letter in letters]
    while options and options[-1].lower() in ("", "nan", "none"):
        options.pop()
    for name, option in zip(letters, options, strict=False):
        if not option:
            raise BadRow(name, "an option, since later ones are there", row.get(name))
    if len(options) < 2:
        raise BadRow(letters[0], "at least two options", options)
    return tuple(options)


def shuffled_options(choices: Sequence[str], right: str, seed: str) -> tuple[tuple[str, ...], str]:
    """Options in the order that `seed` gives, and the letter of the one that had the letter `right`."""
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)
    return tuple(choices[i] for i in order), LETTERS[order.index(LETTERS.index(right))]
