"""Pictures with layouts: the boxes of their parts, such as charts, tables and legends, from a detector or a person.

The file has one JSON object per line:

| key | value |
|---|---|
| `image` | path, relative to the file's folder; each picture once |
| `layouts` | list of `{"id": 1, "label": "table", "box": [x0, y0, x1, y1]}`, boxes in pixels of the picture |
| `subset` | "chart" (diagrams, tables, documents) or "map"; optional |

Ids are numbers or words, unique within a picture. Labels are optional. Other keys are ignored.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o3gym.registry import closest
from o3gym.specs import parse_spec
from o3gym.suites.base import BadRow, BadTask, SuiteError, check_bad_share, make_suite, some_of
from o3gym.suites.released.fields import picture, pixel_box, text
from o3gym.suites.released.rows import JsonTable
from o3gym.suites.synthetic import Synthetic, true_layouts
from o3gym.synthesis.files import save
from o3gym.types import Box, Source

SUBSETS = ("chart", "map")
"""The two subsets of O3-Bench."""
ID = re.compile(r"[\w.-]{1,40}")
"""The pattern of an id, which a writer must be able to cite as "[layout ID]"."""
WITH_LAYOUTS = {"chart": "chart", "map": "map"}
"""Synthetic families whose scenes have known layouts, and the subset of their pictures."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SheetLayout:
    """A part of a picture: its id as text, its kind ("" if unknown), and its box in unit xyxy."""

    id: str
    label: str
    box: Box


@dataclass(frozen=True)
class LayoutSheet:
    """A picture file with at least one layout; ids are unique within it."""

    image: Source
    subset: str
    layouts: tuple[SheetLayout, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its layouts, in order."""
        return tuple(layout.id for layout in self.layouts)


def open_sheets(spec: str, out: Path, subset: str = "chart") -> list[LayoutSheet]:
    """Opens the pictures of a file of rows, or synthetic pictures with their true layouts.

    Args:
        spec: a jsonl file, or a spec like "synthetic?family=chart&n=20".
        out: folder for synthetic pictures, written as PNGs in `images`; unused for a file.
        subset: the subset of rows that name none.

    Raises:
        SuiteError: no row is good, or more than 5% are bad; the message has file, row and field. Other bad rows are
            skipped, and named in the log.
        ValueError: `spec` is neither a file nor a synthetic suite, or `subset` is not in `SUBSETS`.
    """
    if subset not in SUBSETS:
        raise ValueError(f'subset: unknown "{subset}"{closest(subset, SUBSETS)} (known: chart, map)')
    if Path(spec).is_file():
        return _read(Path(spec), subset)
    if parse_spec(spec)[0] != "synthetic":
        raise ValueError(f'layouts: expected an existing .jsonl file or "synthetic?family=chart", got "{spec}"')
    return _drawn(spec, out)


def _read(path: Path, subset: str) -> list[LayoutSheet]:
    rows, sheets, bad = JsonTable(path), dict[Source, LayoutSheet](), list[BadTask]()
    for number in range(len(rows)):
        try:
            sheet = _sheet(rows[number], path.parent, subset)
            if sheet.image in sheets:
                raise BadRow("image", "a picture that no earlier row has", sheet.image.ref)
            sheets[sheet.image] = sheet
        except BadRow as problem:
            bad.append(problem.at(rows.where(number)))
    if not sheets:
        raise SuiteError(some_of(bad) or f"{path}: expected at least one row, the file is empty")
    check_bad_share(str(path), bad, len(rows))
    if bad:
        _logger.warning("%d of %d rows are bad and skipped: %s", len(bad), len(rows), some_of(bad))
    return list(sheets.values())


def _sheet(row: Mapping[str, Any], folder: Path, subset: str) -> LayoutSheet:
    image = picture(folder, text(row, "image"))
    named, layouts = row.get("subset", subset), row.get("layouts")
    if named not in SUBSETS:
        raise BadRow("subset", f'"chart" or "map"{closest(str(named), SUBSETS)}', named)
    if not isinstance(layouts, list) or not layouts:
        raise BadRow("layouts", "a list of at least one layout", layouts)
    found = tuple(_layout(layout, image) for layout in layouts)
    again = next((one.id for i, one in enumerate(found) if one.id in {other.id for other in found[:i]}), None)
    if again is not None:
        raise BadRow("layouts", "ids that no other layout of the picture has", again)
    return LayoutSheet(image, named, found)


def _layout(entry: Any, image: Source) -> SheetLayout:
    if not isinstance(entry, dict):
        raise BadRow("layouts", 'objects like {"id": 1, "label": "table", "box": [x0, y0, x1, y1]}', entry)
    identity, label = entry.get("id"), entry.get("label", "")
    if isinstance(identity, bool) or not isinstance(identity, int | str) or not ID.fullmatch(str(identity)):
        raise BadRow("layouts", 'an "id" that is a number or a word of up to 40 letters, digits and .-_', identity)
    if not isinstance(label, str):
        raise BadRow("layouts", 'a "label" that is a text', label)
    return SheetLayout(str(identity), label.strip(), pixel_box(entry.get("box"), image, "layouts"))


def _drawn(spec: str, out: Path) -> list[LayoutSheet]:
    """Writes the scenes of a synthetic suite, each once; their layouts are numbered from 1."""
    suite = make_suite(spec)
    assert isinstance(suite, Synthetic)
    for family in suite.families:
        if family not in WITH_LAYOUTS:
            known = ", ".join(WITH_LAYOUTS)
            raise ValueError(
                f'layouts: scenes of family "{family}" have none; write "synthetic?family=chart" ({known})'
            )
    sheets = []
    for task in suite:
        layouts = [SheetLayout(str(i), label, box) for i, (label, box) in enumerate(true_layouts(task.sources[0]), 1)]
        image = Source.file(os.fspath(out / "images" / save(task.sources[0], out / "images")))
        sheets.append(LayoutSheet(image, WITH_LAYOUTS[task.tags["family"]], tuple(layouts)))
    return sheets
