"""The table in which reviewers mark questions: written for them, and read back.

It is a CSV file for any spreadsheet, with a row for each question and a column `mark` that takes one of

- `keep`: the question is used unchanged; a row with changes is an error,
- `drop`: the question is not used,
- `edit`: the question is used as its row says now. A flaw in the form of an edited question is an error. Its labels are
  not compared with the notes, because people see what models missed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from o3gym.append_log import write_whole
from o3gym.registry import closest
from o3gym.suites.base import BadRow, SuiteError
from o3gym.synthesis.questions.proposals import OPTION_LETTERS, Proposal, bare_letter, cited, one_line
from o3gym.synthesis.questions.rows import QuestionRow, proposal_of, worded
from o3gym.synthesis.questions.validation import structural_flaw

MARKS = ("keep", "drop", "edit")
CHANGEABLE_COLUMNS = ("question", *OPTION_LETTERS, "answer", "layouts", "explanation")
REVIEW_COLUMNS = ("id", "mark", "comment", "picture", *CHANGEABLE_COLUMNS)
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""Beginnings of cells that get an apostrophe in front: a spreadsheet could run a model's text as a formula."""


def write_review(path: Path, rows: Sequence[QuestionRow]) -> None:
    """Writes the table, unless it exists with the same questions, which may be marked already.

    Raises:
        ValueError: the table exists and has marks for other questions.
    """
    if path.exists():
        existing = _cells(path)
        if [cells["id"] for _, cells in existing] == [row["question_id"] for row in rows]:
            return
        if any(cells["mark"].strip() for _, cells in existing):
            raise ValueError(f"{path}: has marks, but the questions are others by now; move it away and try again")
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, REVIEW_COLUMNS)
    table.writeheader()
    table.writerows({name: _safe(cell) for name, cell in _row_cells(row).items()} for row in rows)
    write_whole(path, file.getvalue().encode("utf-8-sig"))


def read_review(path: Path, rows: Sequence[QuestionRow]) -> list[QuestionRow]:
    """Returns the rows that the reviewers keep, with their edits, in the order of `rows`.

    Args:
        path: the marked table.
        rows: the questions of the table.

    Raises:
        SuiteError: a mark or an edit is bad, or a question has no row. The message names file, row (the header is row
            1) and column of the first problem, and the number of the others.
    """
    known = {row["question_id"]: row for row in rows}
    marked: dict[str, QuestionRow | None] = {}
    problems = []
    for number, cells in _cells(path):
        try:
            name = cells["id"].strip()
            if name not in known:
                raise BadRow("id", f"the id of a question{closest(name, known)}", name)
            if name in marked:
                raise BadRow("id", "an id that no earlier row has", name)
            marked[name] = None
            marked[name] = _marked(known[name], cells)
        except BadRow as problem:
            problems.append(f"{path}, row {number}, {problem}")
    missing = [name for name in known if name not in marked]
    problems += [f'{path}: expected a row for the question "{name}", there is none' for name in missing]
    if problems:
        more = f" (and {len(problems) - 1} more bad rows)" if len(problems) > 1 else ""
        raise SuiteError(problems[0] + more)
    return [found for name in known if (found := marked[name]) is not None]


def _marked(row: QuestionRow, cells: Mapping[str, str]) -> QuestionRow | None:
    mark = cells["mark"].strip().lower()
    if mark not in MARKS:
        raise BadRow("mark", f"keep, drop or edit{closest(mark, MARKS)}", cells["mark"])
    if mark == "drop":
        return None
    if mark == "edit":
        return _edited(row, cells)
    for name, was in _row_cells(row).items():
        if name in CHANGEABLE_COLUMNS and not _same(cells[name], was):
            raise BadRow(
                name, f"{was!r:.80} under the mark keep; mark it edit if it was changed on purpose", cells[name]
            )
    return row


def _edited(row: QuestionRow, cells: Mapping[str, str]) -> QuestionRow:
    """Applies the cells to the row. A cell that differs only in a spreadsheet's formatting keeps its old text."""
    was = _row_cells(row)
    now = {name: was[name] if _same(cells[name], was[name]) else cells[name].strip() for name in CHANGEABLE_COLUMNS}
    options = tuple(one_line(now[name]) for name in OPTION_LETTERS)
    proposal = Proposal(one_line(now["question"]), options, bare_letter(now["answer"]), now["explanation"])
    proposal = replace(proposal, layouts=cited(now["layouts"]))
    if flaw := structural_flaw(proposal, row["layout_infos"]):
        raise BadRow("mark", "an edit without a flaw", flaw)
    return {**row, **worded(proposal)}


def _same(cell: str, was: str) -> bool:
    """Whether two cells are equal up to white space and the formatting of a number: spreadsheets turn 1.50 into 1.5."""
    if cell.split() == was.split():
        return True
    return bool(_NUMBER.fullmatch(cell.strip()) and _NUMBER.fullmatch(was.strip()) and Decimal(cell) == Decimal(was))


def _row_cells(row: QuestionRow) -> dict[str, str]:
    proposal = proposal_of(row)
    return {
        "id": row["question_id"],
        "mark": "",
        "comment": "",
        "picture": row["file_name"],
        "question": proposal.question,
        **dict(zip(OPTION_LETTERS, proposal.options, strict=True)),
        "answer": proposal.answer,
        "layouts": "; ".join(proposal.layouts),
        "explanation": proposal.explanation,
    }


def _cells(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Reads the rows of a table with their numbers. Some spreadsheets write semicolons instead of commas."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}: expected UTF-8 text ({error.reason} at byte {error.start})") from error
    head = text.partition("\n")[0]
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        rows = list(enumerate(table, 2))
    except csv.Error as error:
        raise SuiteError(f"{path}, after line {table.line_num}: expected CSV ({error})") from error
    for name in ("id", "mark", *CHANGEABLE_COLUMNS):
        if name not in (table.fieldnames or ()):
            near = closest(name, table.fieldnames or ())
            raise SuiteError(f'{path}, row 1: expected a column "{name}"{near} (of {", ".join(REVIEW_COLUMNS)})')
    return [
        (number, {name: _plain(row[name] or "") for name in ("id", "mark", *CHANGEABLE_COLUMNS)})
        for number, row in rows
    ]


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
