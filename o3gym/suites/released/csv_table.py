"""CSV tables: released annotations of at most some megabytes, which are read whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from o3gym.suites.base import BadRow, SuiteError
from o3gym.suites.released.table import WHOLE_ROW, Table, utf8_text, with_surrogates, without_surrogates

LONGEST_FIELD = 1 << 20
"""Maximum number of characters of a field."""


class CsvTable(Table):
    """A CSV file with a header. Every value is text, and fields in quotes may contain line breaks.

    Rows are counted from 1, without the header. A row with another number of fields than the header keeps its index
    and raises `BadRow`.

    Raises:
        SuiteError: the file is not UTF-8, has no header, or ends inside of a field in quotes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = _lines(path)
        self.columns = tuple(next(lines, ()))
        if not self.columns:
            raise SuiteError(f"{path}: expected a header, got an empty file")
        written = [line for line in lines if line]
        self._lines: list[list[str]] = [without_surrogates(line) for line in written]
        self.replaced = sum(new != old for new, old in zip(self._lines, written, strict=True))

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        fields = self._lines[index]
        if len(fields) != len(self.columns):
            raise BadRow(WHOLE_ROW, f"{len(self.columns)} fields", len(fields))
        return dict(zip(self.columns, fields, strict=True))

    def where(self, index: int) -> str:
        """The file and row of the row at `index`."""
        return f"{self.path}, row {index + 1}"


def _lines(path: Path) -> Iterator[list[str]]:
    text = utf8_text(path.read_bytes(), str(path), with_surrogates).removeprefix("\ufeff")
    before = csv.field_size_limit(LONGEST_FIELD)  # the limit is one of the whole process
    try:
        yield from list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise SuiteError(f"{path}: expected CSV ({error}); is the download complete?") from error
    finally:
        csv.field_size_limit(before)
