"""Suites with a file for each kind of question, whose rows do not state the kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o3gym.suites.released.base import Released
from o3gym.suites.released.rows import JoinedTable, open_table
from o3gym.suites.released.table import Table

FILE_COLUMN = "(file)"
"""The column that holds the name of a row's file."""


class FileNameTable(Table):
    """A table with a further column, `FILE_COLUMN`, that has the same value in every row."""

    def __init__(self, table: Table, name: str) -> None:
        self._table, self._name = table, name
        self.columns, self.replaced = (*table.columns, FILE_COLUMN), table.replaced

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, index: Any) -> Any:
        return {**self._table[index], FILE_COLUMN: self._name}

    def where(self, index: int) -> str:
        """The file and row of the row at `index`."""
        return self._table.where(index)


class FileNames(Released):
    """A suite whose rows get the name of their file. The files may have different columns."""

    def file_name(self, file: Path) -> str:
        """The name for the rows of a file; by default the file's name without its suffix."""
        return file.stem

    def open_files(self, files: Sequence[Path]) -> Table:
        """Open each file as a table of its own and join them."""
        return JoinedTable([FileNameTable(open_table([file], self.pictures), self.file_name(file)) for file in files])
