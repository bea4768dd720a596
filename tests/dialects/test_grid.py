"""The cells of `grid`."""

from __future__ import annotations

import pytest
from dialect_samples import CHOICE, VIEWS, boxes
from hypothesis import given
from hypothesis import strategies as st

from o3gym.dialects.grid import SHAPES, Grid, cell_box, nearest
from o3gym.geometry import coverage, iou
from o3gym.types import crop

GRID = Grid()
CELLS = [(*shape, column, row) for shape in SHAPES for row in range(shape[1]) for column in range(shape[0])]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_written_as_itself(cell: tuple[int, int, int, int]) -> None:
    call = crop(cell_box(*cell), view=1)
    parsed = GRID.parse(GRID.format(call, VIEWS, "There it is."), VIEWS)
    assert (parsed.call, parsed.thought, parsed.well_formed) == (call, "There it is.", True)


@given(box=boxes())
def test_no_other_cell_overlaps_more_than_the_one_written(box: list[float]) -> None:
    read = GRID.parse(GRID.format(crop(box), VIEWS), VIEWS).call.args["box"]
    x0, y0, x1, y1 = box
    assert iou(read, (x0, y0, x1, y1)) == max(iou(cell_box(*cell), (x0, y0, x1, y1)) for cell in CELLS)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_cells_cover_the_picture_with_margins_and_stay_inside(columns: int, rows: int, data: st.DataObject) -> None:
    column, row = data.draw(st.integers(0, columns - 1)), data.draw(st.integers(0, rows - 1))
    box = cell_box(columns, rows, column, row)
    assert min(box) >= 0
    assert max(box) <= 1 + 1e-12
    plain = (column / columns, row / rows, (column + 1) / columns, (row + 1) / rows)
    assert coverage(box, plain) == pytest.approx(1)


@pytest.mark.parametrize(
    ("reply", "tool", "formed"),
    [
        ("look 4x4 b3", "crop", True),
        ("  look  4x4  b3  ", "crop", True),
        ("look 4x4 b3 please", "crop", False),
        ("look 4x4 b3\nanswer red", "answer", False),
        ("answer red\nlook 4x4 b3", "crop", False),
        ("I look around", "noop", False),
        ("answers vary", "noop", False),
        ("look 4x4 e1", "noop", False),
        ("look 4x4", "noop", False),
    ],
)
def test_the_last_action_counts(reply: str, tool: str, formed: bool) -> None:
    parsed = GRID.parse(reply, VIEWS)
    assert (parsed.call.tool, parsed.well_formed) == (tool, formed)


def test_options_are_named_by_their_texts() -> None:
    assert GRID.options(CHOICE) == CHOICE.choices
    assert nearest((0, 0, 0.3, 0.3)) == "4x4 a1"
