"""The cells of `grid`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.calls import answer, crop, locate
from o3gym.dialects.grid import GRID_SHAPES, PLACES, Grid, cell_box, nearest, place_box
from o3gym.geometry import coverage, iou
from o3gym.types import Call
from tests.dialects.dialect_samples import BOX, CHOICE, FREE, TOOLSET, VIEWS, boxes

GRID = Grid()
SPOTS = [(column, row) for row in range(PLACES[1]) for column in range(PLACES[0])]
CELLS = [(*shape, column, row) for shape in GRID_SHAPES for row in range(shape[1]) for column in range(shape[0])]


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


# ── Boxes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", SPOTS)
@pytest.mark.parametrize("view", [0, 1, 27])
def test_a_place_is_written_as_itself(place: tuple[int, int], view: int) -> None:
    call = locate(place_box(*place), view)
    parsed = GRID.parse(GRID.format(call, VIEWS, "There it is."), VIEWS)
    assert (parsed.call, parsed.thought, parsed.well_formed) == (call, "There it is.", True)


@given(box=boxes(), view=st.integers(0, 40))
def test_no_other_place_overlaps_more_than_the_one_written(box: list[float], view: int) -> None:
    read = GRID.parse(GRID.format(locate(box, view), VIEWS), VIEWS).call
    x0, y0, x1, y1 = box
    assert (read.tool, read.args["view"]) == ("locate", view)
    assert iou(read.args["box"], (x0, y0, x1, y1)) == max(iou(place_box(*spot), (x0, y0, x1, y1)) for spot in SPOTS)


@given(st.floats(0, 0.999), st.floats(0, 0.999), st.floats(0.01, 1 / 6), st.floats(0.01, 1 / 4))
def test_the_place_of_its_middle_shows_all_of_a_thing_no_larger_than_a_place(
    x: float, y: float, width: float, height: float
) -> None:
    place = place_box(int(x * PLACES[0]), int(y * PLACES[1]))
    thing = (max(0, x - width / 2), max(0, y - height / 2), min(1, x + width / 2), min(1, y + height / 2))
    assert coverage(place, thing) == pytest.approx(1)


@pytest.mark.parametrize(
    ("said", "call"),
    [
        ("@nothing", locate(None)),
        ("@a1", locate(place_box(0, 0))),
        (" @d6  in  12 ", locate(place_box(5, 3), 12)),
        ("@e1", answer("@e1")),
        ("@a7", answer("@a7")),
        ("@b3 in 5 or so", answer("@b3 in 5 or so")),
        ("@b3\nin 5", answer("@b3\nin 5")),
        ("b3", answer("b3")),
        ("nothing", answer("nothing")),
    ],
)
def test_only_the_whole_form_is_a_box(said: str, call: Call) -> None:
    assert GRID.parse(f"answer {said}", VIEWS).call == call


@pytest.mark.parametrize("text", ["@b3", "@b3 in 5", "@nothing", " @nothing "])
def test_words_are_never_written_as_a_box(text: str) -> None:
    assert GRID.parse(GRID.format(answer(text), VIEWS), VIEWS).call == answer(f"- {text}".strip())


def test_boxes_are_explained_where_they_are_asked_for() -> None:
    asked = GRID.prompt(TOOLSET, BOX)
    assert all(form in asked for form in ('"look 4x4 b3"', '"answer @b3 in 5"', '"answer @nothing"'))
    assert "TEXT" not in asked
    assert not any("@" in GRID.prompt(TOOLSET, task) for task in (CHOICE, FREE))
    assert "look" not in GRID.prompt({"locate": TOOLSET["locate"]}, BOX)
