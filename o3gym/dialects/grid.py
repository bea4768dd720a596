"""`grid`: short calls that name the cell of a grid, and boxes answered by place; the dialect of the built-in model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.calls import answer, crop, locate
from o3gym.dialects.last_line import LastLine, ReadAction, answer_form, refused_view
from o3gym.dialects.wording import refused_box
from o3gym.geometry import iou, pad
from o3gym.tools.base import MAX_TEXT, Tool
from o3gym.types import Box, Call, Task, View

GRID_ROWS = "abcdefghi"
CELL_MARGIN = 1.25
"""Side of the crop for a cell, in cells. The overlap shows an object on a border whole in one of its two cells."""
GRID_SHAPES: tuple[tuple[int, int], ...] = ((4, 4), (3, 3), (3, 6), (2, 3))
"""The (columns, rows) of the grids that `format` writes; `parse` reads any grid of up to nine columns and rows."""
PLACES = (6, 4)
"""Columns and rows of the places by which boxes in a view are answered: the image-token grid of a wide view."""
AROUND = 2.0
"""Side of the box for a place, in places. An object whose centre is in the place lies nearly whole inside the box.

With `CELL_MARGIN` instead, half of a card of the hidden family would lie outside.
"""
NOTHING = "@nothing"
"""The answer for "not in the picture"."""
_LOOK = re.compile(
    r"look[ \t]+(?P<columns>[1-9])x(?P<rows>[1-9])[ \t]+(?P<row>[a-i])(?P<column>[1-9])"
    r"(?:[ \t]+in[ \t]+(?P<view>[0-9]{1,6}))?"
)
_PLACE = re.compile(
    rf"@(?P<row>[a-{GRID_ROWS[PLACES[1] - 1]}])(?P<column>[1-{PLACES[0]}])(?:[ \t]+in[ \t]+(?P<view>[0-9]{{1,6}}))?"
)


def cell_box(columns: int, rows: int, column: int, row: int) -> Box:
    """The unit xyxy box shown for a cell (counted from 0).

    It is `CELL_MARGIN` cells wide and high; the boxes of a row or column are evenly spaced from edge to edge.
    """
    x0, x1 = _span(columns, column)
    y0, y1 = _span(rows, row)
    return (x0, y0, x1, y1)


def place_box(column: int, row: int) -> Box:
    """The unit xyxy box of a place (counted from 0) in its view: the place grown by `AROUND`, cut at the edges."""
    columns, rows = PLACES
    return pad((column / columns, row / rows, (column + 1) / columns, (row + 1) / rows), AROUND)


def _span(count: int, place: int) -> tuple[float, float]:
    side = min(1.0, CELL_MARGIN / count)
    low = place * (1.0 - side) / max(1, count - 1)
    return (low, low + side)


def cell_name(column: int, row: int) -> str:
    """The name of a cell: its row as a letter and its column as a number from 1; "a1" is the top left cell."""
    return f"{GRID_ROWS[row]}{column + 1}"


def read_look(action: str) -> ReadAction | str:
    """Reads "look 4x4 b3" or "look 3x6 e2 in 5" at the beginning of an action.

    Returns the reason if the grid has no such cell, and "" if the action does not have this form.
    """
    found = _LOOK.match(action)
    if found is None:
        return ""
    columns, rows = int(found["columns"]), int(found["rows"])
    column, row = int(found["column"]) - 1, GRID_ROWS.index(found["row"])
    if column >= columns or row >= rows:
        return f"a {columns}x{rows} grid has no cell {found['row']}{found['column']}"
    return ReadAction(crop(cell_box(columns, rows, column, row), int(found["view"] or 0)), found.end())


@dataclass(frozen=True)
class Grid(LastLine):
    """Free text, then on the last line `look 4x4 b3`, `look 3x6 e2 in 5` (a cell of view 5) or `answer TEXT`.

    A grid has up to nine columns and rows ("3x6" is three columns by six rows). A cell is shown with a margin of an
    eighth of its size on each side; a cell at an edge has a quarter on its inner side instead. Without "in", the cell
    belongs to view 0. A box is written as the cell of a 4×4, 3×3, 3×6 or 2×3 grid with which it has the highest IoU, so
    calls are deliberately coarse: a small model can learn one of sixteen places where it cannot learn four exact
    coordinates. Options are answered by their text, not by their letter. The last action counts.

    In region search, `answer @b3 in 5` divides view 5 into 6 columns and 4 rows and locates an object whose centre is
    in row b and column 3; `answer @nothing` says that it is not in the picture. Other answers never take these forms:
    an answer text that would is written after "- ".
    """

    name: ClassVar[str] = "grid"
    tools: ClassVar[tuple[str, ...]] = ("crop", "answer", "locate")
    actions: ClassVar[re.Pattern[str]] = re.compile(r"^[ \t]*(?:look\b|answer(?![^ \t\n]))", re.MULTILINE)
    missing: ClassVar[str] = 'the reply has no line "look …" and no line "answer …"'
    lines: ClassVar[tuple[str, ...]] = ("crop",)

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains both actions, or only the answer if `crop` is not enabled."""
        look = (
            'To look closer, end your reply with a line like "look 4x4 b3": divide the picture into 4 columns and 4 '
            "rows and look at the cell in row b (the second from the top) and column 3. Any grid up to 9x9 will do. "
            '"look 3x6 e2 in 5" looks at a cell of picture 5, which you were shown before. '
        )
        looks = look if "crop" in tools else ""
        if task.kind == "box":
            return f"{looks}{_box_form()}"
        return looks + answer_form(task)

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """Each picture after its number, then the question or an error; other feedback is left out."""
        parts: list[str | View] = []
        for view in views:
            parts += [f"picture {view.index}", view]
        shown = text if info.get("turn", 0) == 0 else _refusal(text, info["error"]) if info.get("error") else ""
        return [*parts, f"\n{shown}" if views else shown] if shown else parts

    def read_action(self, action: str, views: Sequence[View]) -> ReadAction | str:
        """Reads a look, or an answer in words or by a place."""
        if action.startswith("answer"):
            return ReadAction(_ending(action.removeprefix("answer").strip()), len(action))
        return read_look(action) or 'expected a line like "look 4x4 b3" or "look 3x6 e2 in 1"'

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Writes a call. Raises ValueError for a tool that the format cannot express."""
        thought = self.disarmed(thought.strip())
        lead = f"{thought}\n" if thought else ""
        if call.tool == "noop":
            return thought or "I do not know what to do."
        if call.tool == "answer":
            text = self.disarmed(call.args["text"])
            return f"{lead}answer {text if _ending(text.strip()).tool == 'answer' else f'- {text}'}"
        if call.tool == "locate":
            return f"{lead}answer {_place_of(call)}"
        if call.tool != "crop":
            raise ValueError(f'dialect {self.name} cannot express "{call.tool}"; it has {", ".join(self.tools)}')
        return f"{lead}look {nearest(call.args['box'])}{_in_view(call)}"


def _refusal(text: str, error: str) -> str:
    """The environment's feedback on a call that was refused, without the numbers of a box, which this format lacks."""
    box = refused_box(text)
    if box is None:
        return refused_view(text)
    fault = "too narrow" if error == "aspect" else "too small"
    return f"that cell of picture {box.view} is {fault}; look at a larger one"


def _box_form() -> str:
    """The sentences of the prompt that explain how to answer with a box."""
    columns, rows = PLACES
    return (
        'To answer, end your reply with a line like "answer @b3 in 5": of picture 5, divided into '
        f"{columns} columns and {rows} rows, row b (the second from the top) and column 3 hold the middle of what you "
        f'were asked to find. Without "in" it is picture 0. If it is not there, end with "answer {NOTHING}".'
    )


def _ending(text: str) -> Call:
    """Reads an answer: `locate` for a place or for `NOTHING`, else `answer`."""
    if text == NOTHING:
        return locate(None)
    found = _PLACE.fullmatch(text)
    if found is None:
        return answer(text[:MAX_TEXT])
    return locate(place_box(int(found["column"]) - 1, GRID_ROWS.index(found["row"])), int(found["view"] or 0))


def _place_of(call: Call) -> str:
    """Writes a located box as the place whose box has the highest IoU with it: "@b3 in 5"."""
    if call.args["box"] is None:
        return NOTHING
    x0, y0, x1, y1 = call.args["box"]
    places = [(column, row) for row in range(PLACES[1]) for column in range(PLACES[0])]
    best = max(places, key=lambda place: iou(place_box(*place), (x0, y0, x1, y1)))
    return f"@{cell_name(*best)}{_in_view(call)}"


def _in_view(call: Call) -> str:
    view = call.args.get("view", 0)
    return f" in {view}" if view else ""


def nearest(box: Sequence[float], shapes: Sequence[tuple[int, int]] = GRID_SHAPES) -> str:
    """The grid, one of `shapes`, and the cell with the highest IoU with a box, such as "4x4 b3"."""
    cells = [
        (columns, rows, column, row) for columns, rows in shapes for row in range(rows) for column in range(columns)
    ]
    x0, y0, x1, y1 = box
    columns, rows, column, row = max(cells, key=lambda cell: iou(cell_box(*cell), (x0, y0, x1, y1)))
    return f"{columns}x{rows} {cell_name(column, row)}"
