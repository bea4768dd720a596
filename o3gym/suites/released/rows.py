"""Tables of released benchmarks in JSON, JSON Lines and Parquet, and the choice of a reader by a file's suffix.

Embedded pictures are not copied: their values are `Source`s that point into the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o3gym.media.embedded import in_cell
from o3gym.registry import require
from o3gym.suites.base import SuiteError
from o3gym.suites.released.table import Table, utf8_text
from o3gym.suites.released.tsv import TsvTable

SURROGATE = re.compile("[\ud800-\udfff]")
"""Matches a lone surrogate. The JSON parser has already joined the pairs."""
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
"""Matches the escape of a surrogate, lone or in a pair. JSON text without any need not be searched value by value."""


class JsonTable(Table):
    """A JSON list of objects, or JSON Lines with one object per line.

    Args:
        path: the file; the suffix `.jsonl` means JSON Lines.
        lines: read the file as JSON Lines, whatever its suffix.
    """

    def __init__(self, path: Path, lines: bool = False) -> None:
        self.path = path
        self._lines = lines or path.suffix == ".jsonl"
        text = _content(path)
        self._rows = self._parse_lines(text) if self._lines else self._parse_list(text)
        if SURROGATE_ESCAPE.search(text):
            rows = [(number, _without_surrogates(row)) for number, row in self._rows]
            self.replaced = sum(new != old for new, old in zip(rows, self._rows, strict=True))
            self._rows = rows
        self.columns = tuple(dict.fromkeys(key for _, row in self._rows for key in row))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index][1]

    def where(self, index: int) -> str:
        """The file and line, or the file and the number of the object in the list."""
        return f"{self.path}, {'line' if self._lines else 'row'} {self._rows[index][0]}"

    def _parse_lines(self, text: str) -> list[tuple[int, dict[str, Any]]]:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        return [(number, _object(_json(line, self.path, number), self.path, number)) for number, line in lines]

    def _parse_list(self, text: str) -> list[tuple[int, dict[str, Any]]]:
        value = _json(text, self.path, 1)
        if not isinstance(value, list):
            raise SuiteError(f"{self.path}: expected a list of objects, got {type(value).__name__}")
        return [(number, _object(item, self.path, number)) for number, item in enumerate(value, 1)]


class ParquetTable(Table):
    """Parquet files, concatenated. Picture columns are not read; their values are `Source`s that point to the cells.

    Args:
        paths: the files, which must have the same columns.
        pictures: columns that hold pictures.
    """

    def __init__(self, paths: Sequence[Path], pictures: Sequence[str] = ("image",)) -> None:
        parquet = require("pyarrow.parquet", "suites")
        self._pictures = pictures
        self._places: list[tuple[Path, int]] = []
        self._rows: list[dict[str, Any]] = []
        for path in paths:
            try:
                schema = parquet.read_schema(path)
                columns = [name for name in schema.names if name not in pictures]
                rows = parquet.read_table(path, columns=columns).to_pylist()
            except Exception as error:  # pyarrow raises many kinds of errors; all mean a broken or incomplete file
                raise SuiteError(f"{path}: not a complete Parquet file ({error})") from error
            self.columns = self.columns or tuple(schema.names)
            if tuple(schema.names) != self.columns:
                known, names = ", ".join(self.columns), ", ".join(schema.names)
                raise SuiteError(f"{path}: expected the columns of the files before it ({known}), got {names}")
            self._places += [(path, row) for row in range(len(rows))]
            self._rows += [{column: None if _is_nan(value) else value for column, value in row.items()} for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        path, row = self._places[index]
        pictures = [column for column in self._pictures if column in self.columns]
        return {**self._rows[index], **{column: in_cell(path, column, row) for column in pictures}}

    def where(self, index: int) -> str:
        """The file and row of the row at `index`."""
        path, row = self._places[index]
        return f"{path}, row {row + 1}"


class JoinedTable(Table):
    """Tables, concatenated. They may have different columns; `columns` is the union."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        self._places = [(table, row) for table in tables for row in range(len(table))]
        self.columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
        self.replaced = sum(table.replaced for table in tables)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        table, row = self._places[index]
        return table[row]

    def where(self, index: int) -> str:
        """The file and row of the row at `index`."""
        table, row = self._places[index]
        return table.where(row)


def open_table(files: Sequence[Path], pictures: Sequence[str] = ("image",)) -> Table:
    """Open files of one format, given by the suffix of the first, as one table with picture columns `pictures`."""
    if files[0].suffix == ".parquet":
        return ParquetTable(files, pictures)
    tables = [TsvTable(file, pictures) if file.suffix == ".tsv" else JsonTable(file) for file in files]
    return tables[0] if len(tables) == 1 else JoinedTable(tables)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that contains one object."""
    value: dict[str, Any] = _without_surrogates(_object(_json(_content(path), path, 1), path, 1))
    return value


def _content(path: Path) -> str:
    return utf8_text(path.read_bytes(), str(path)).lstrip("\ufeff")


def _json(text: str, path: Path, number: int) -> Any:
    try:
        return json.loads(text, parse_constant=_null)
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{path}, line {number}: expected JSON ({error}); is the download complete?") from error


def _null(constant: str) -> None:
    """The value of NaN and Infinity, which are not JSON, but which pandas writes for missing values."""


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value


def _without_surrogates(value: Any) -> Any:
    """A JSON value with U+FFFD for every lone surrogate in its texts and keys."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _object(value: Any, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SuiteError(f"{path}, row {number}: expected an object, got {type(value).__name__}")
    return value
