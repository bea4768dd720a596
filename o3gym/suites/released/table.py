"""The interface of tables of released benchmarks.

A row maps columns to values. The value of a picture column is a `Source`; all other values are as stored.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from o3gym.registry import closest
from o3gym.suites.base import BadRow, SuiteError

TableRow: TypeAlias = Mapping[str, Any]
WHOLE_ROW = "(whole row)"
"""Stands for the field where a row cannot be split into fields."""


class Table(Sequence[TableRow]):
    """A table of rows. Errors name the file and the row, counted from 1 as in an editor.

    A row that cannot be read keeps its index, and raises `BadRow` when it is requested.

    Attributes:
        columns: column names, in order.
        replaced: number of rows in which lone surrogates were replaced by U+FFFD. No UTF-8 file can hold a lone
            surrogate, but the escapes of JSON can, and it would fail when a run is written.
    """

    columns: tuple[str, ...] = ()
    replaced: int = 0

    @abstractmethod
    def where(self, index: int) -> str:
        """The file and row of the row at `index`, for error messages."""

    def readable(self) -> Iterator[tuple[int, TableRow]]:
        """Yield the index and the row of each row that can be read."""
        for index in range(len(self)):
            try:
                row = self[index]
            except BadRow:
                continue
            yield index, row

    def need(self, columns: Sequence[str], path: Path) -> None:
        """Raise `SuiteError` if a column is missing. `path` is named in the message."""
        for column in columns:
            if column not in self.columns:
                known = ", ".join(self.columns)
                raise SuiteError(f'{path}: no column "{column}"{closest(column, self.columns)} (it has: {known})')


def utf8_text(raw: bytes, where: str) -> str:
    """Decode UTF-8. Raises a `SuiteError` that names `where`, the file and the place in it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SuiteError(f"{where}: expected UTF-8 text ({error.reason} at byte {error.start})") from error


def utf8_cell(raw: bytes, field: str) -> str:
    """Decode UTF-8. Raises a `BadRow` that names `field` and the place in it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow(field, f"UTF-8 text ({error.reason} at byte {error.start})", raw) from error
