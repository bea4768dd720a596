from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.suites.base import SuiteError
from o3gym.synthesis.questions.page import write_page
from o3gym.synthesis.questions.proposals import Proposal
from o3gym.synthesis.questions.review import read_review, write_review
from o3gym.synthesis.questions.rows import worded

OPTIONS = ("=1+1", "-5", "1.50", "Oslo, Lima", 'say "x"', "No right choice")
CITING = "Step 1: see. [layout 1]\nStep 2: add. [layout 3]"


def row(name: str, **changes: Any) -> dict[str, Any]:
    proposal = Proposal(
        **{"question": "How many?", "options": OPTIONS, "answer": "C", "explanation": CITING, **changes}
    )
    infos = {i: {"layout_id": i, "bbox": [0.0, 0.0, 9.0, 9.0], "label": "<b>"} for i in ("1", "2", "3")}
    said = {**worded(proposal), "target_layouts": ["1", "3"]}
    return {"file_name": "a.png", "img_width": 40, "img_height": 30, "layout_infos": infos, "question_id": name, **said}


ROWS = [row("q1"), row("q2"), row("q3")]
Cells = list[dict[str, str]]


def marked(path: Path, change: Callable[[Cells], object], delimiter: str = ",") -> Path:
    """The table with every row kept, changed."""
    cells = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    names = list(cells[0])
    for one in cells:
        one["mark"] = "keep"
    change(cells)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, names, delimiter=delimiter)
        table.writeheader()
        table.writerows(cells)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_review(tmp_path / "review.csv", ROWS)
    return tmp_path / "review.csv"


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_keep_drop_and_edit(table: Path, delimiter: str) -> None:
    def change(cells: Cells) -> None:
        cells[0].update(mark=" Keep ", C="1.5", comment="fine")  # as a spreadsheet writes the number
        cells[1]["mark"] = "drop"
        cells[2].update(mark="edit", question="how  MANY", answer="b", layouts="2; 3", C="1.5", D="Rome")

    first, third = read_review(marked(table, change, delimiter), ROWS)
    assert first == ROWS[0]
    options = ROWS[2]["options"].replace("Oslo, Lima", "Rome")
    changes = {"question": "how MANY", "answer": "B", "target_layouts": ["2", "3"], "options": options}
    assert third == {**ROWS[2], **changes}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cells: cells[1].update(mark=""), 'row 3, field "mark": expected keep, drop or edit, got \'\''),
        (lambda cells: cells[1].update(mark="kep"), 'did you mean "keep"'),
        (lambda cells: cells[1].update(D="Rome"), "row 3, field \"D\": expected 'Oslo, Lima' under the mark keep"),
        (lambda cells: cells[1].update(id="q9"), 'row 3, field "id": expected the id of a question; did you mean'),
        (lambda cells: cells[1].update(id="q1"), "row 3, field \"id\": expected an id that no earlier row"),
        (lambda cells: cells.pop(1), 'expected a row for the question "q2"'),
        (lambda cells: cells[1].update(mark="edit", A="-5.0"), "got 'options that are alike'"),
        (lambda cells: cells[1].update(mark="edit", layouts="1"), "fewer than two layouts"),
        (lambda cells: cells[1].update(mark="edit", layouts="1; 4"), "not there"),
        (lambda cells: cells[1].update(mark="edit", answer="A or B"), "not exactly one right option"),
        (lambda cells: [one.update(mark="?") for one in cells], "(and 2 more bad rows)"),
    ],
)  # fmt: skip
def test_bad_marks_are_errors_with_file_and_row(table: Path, change: Callable[[Cells], object], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        read_review(marked(table, change), ROWS)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(table))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id;mark;question\n", 'row 1: expected a column "A"'),
        (b"id,marks\n", 'row 1: expected a column "mark"; did you mean "marks"'),
        (b"", 'row 1: expected a column "id"'),
        (b"\xff\xfe", "expected UTF-8"),
        (b'id,mark\n"' + b"x" * 200_000, "after line 1: expected CSV"),
    ],
)
def test_what_is_no_table_is_an_error(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "review.csv").write_bytes(content)
    with pytest.raises(SuiteError) as caught:
        read_review(tmp_path / "review.csv", ROWS)
    assert words in str(caught.value)


def test_marks_are_never_written_over(table: Path) -> None:
    blank = table.read_bytes()
    write_review(table, ROWS[:2])
    assert table.read_bytes() != blank
    before = marked(table, lambda cells: None).read_bytes()
    write_review(table, ROWS[:2])
    assert table.read_bytes() == before
    with pytest.raises(ValueError, match="has marks, but the questions are others"):
        write_review(table, ROWS)
    assert table.read_bytes() == before


CELL = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).map(
    lambda text: " ".join(text.split()) or "x"
)


@given(CELL, st.lists(CELL, min_size=5, max_size=5), CELL)
def test_any_text_comes_back_and_no_cell_is_a_formula(
    tmp_path_factory, question: str, options, explanation: str
) -> None:
    path = tmp_path_factory.mktemp("table") / "review.csv"
    rows = [row("q1", question=question, options=(*options, OPTIONS[5]), explanation=explanation)]
    write_review(path, rows)
    cells = next(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells.values())
    assert read_review(marked(path, lambda cells: None), rows) == rows


def test_the_page_shows_layouts_and_runs_nothing(tmp_path: Path) -> None:
    write_page(tmp_path / "review.html", [row("q1", question="<script>alert(1)</script> {x}")], "review.csv")
    page = (tmp_path / "review.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {x}" in page
    assert page.count("<rect") == 3
    assert page.count('<rect x="0.0" y="0.0" width="9.0" height="9.0" class="cited"/>') == 2
    assert page.count("<li class=right>") == 1
    assert "<li class=right>C. 1.50</li>" in page
    assert "1 &lt;b&gt;</text>" in page
