"""Tables of released benchmarks in JSON, JSON Lines and Parquet, and the choice of a reader by a file's suffix.

Embedded pictures are not copied: their values are `Source`s that point into the file.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from o3gym.media.embedded import in_cell
from o3gym.registry import require
from o3gym.suites.base import BadRow, SuiteError
from o3gym.suites.released.csv_table import CsvTable
from o3gym.suites.released.table import (
    SURROGATE,
    WHOLE_ROW,
    Table,
    utf8_cell,
    utf8_text,
    with_surrogates,
    without_surrogates,
)
from o3gym.suites.released.tsv import TsvTable

SURROGATE_BYTES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""Matches a surrogate, escaped or encoded, lone or in a pair. JSON text without any is not searched value by value."""


class JsonTable(Table):
    """A JSON list of objects, or JSON Lines with one object per line.

    Args:
        path: the file; the suffix `.jsonl` means JSON Lines.
        lines: read the file as JSON Lines, whatever its suffix.
        missing: the value of NaN and Infinity, which are not JSON, but which pandas writes for missing values.

    Raises:
        SuiteError: the file is not JSON, is not a list, or none of its rows is an object.
    """

    def __init__(self, path: Path, lines: bool = False, missing: Any = None) -> None:
        self.path = path
        self._lines = lines or path.suffix == ".jsonl"
        self._missing = missing
        raw = path.read_bytes()
        self._rows = list(self._parse_lines(raw) if self._lines else self._parse_list(raw))
        if self._rows and all(isinstance(row, BadRow) for _, row in self._rows):
            raise SuiteError(f"{self.where(0)}, {self._rows[0][1]}; no row of the file is good")
        if SURROGATE_BYTES.search(raw):
            self._replace_surrogates()
        self.columns = tuple(dict.fromkeys(key for _, row in self._rows if isinstance(row, dict) for key in row))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        row = self._rows[index][1]
        if isinstance(row, BadRow):
            raise row.with_traceback(None)  # otherwise the traceback would grow with every request
        return row

    def number(self, index: int) -> int:
        """The line of the row at `index`, or its number in the list, counted from 1."""
        return self._rows[index][0]

    def where(self, index: int) -> str:
        """The file and line, or the file and the number of the object in the list."""
        return f"{self.path}, {'line' if self._lines else 'row'} {self.number(index)}"

    def _parse_lines(self, raw: bytes) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
        for number, line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                yield number, _object(_json(utf8_cell(line, WHOLE_ROW, with_surrogates), self._missing))
            except BadRow as problem:
                yield number, problem

    def _parse_list(self, raw: bytes) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
        values = _whole_json(raw, self.path, self._missing)
        if not isinstance(values, list):
            raise SuiteError(f"{self.path}: expected a list of objects, got {type(values).__name__}")
        for number, value in enumerate(values, 1):
            try:
                yield number, _object(value)
            except BadRow as problem:
                yield number, problem

    def _replace_surrogates(self) -> None:
        rows = [(number, without_surrogates(row)) for number, row in self._rows]
        self.replaced = sum(new != old for new, old in zip(rows, self._rows, strict=True))
        self._rows = rows


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
        self._rows: list[dict[str, Any] | BadRow] = []
        self._null: dict[tuple[Path, str], frozenset[int]] = {}
        for path in paths:
            try:
                schema = parquet.read_schema(path)
                columns = [name for name in schema.names if name not in pictures]
                rows, replaced = parquet_rows(parquet.read_table(path, columns=columns))
            except Exception as error:  # pyarrow raises many kinds of errors; all mean a broken or incomplete file
                raise SuiteError(f"{path}: not a complete Parquet file ({error})") from error
            self.columns = self.columns or tuple(schema.names)
            if tuple(schema.names) != self.columns:
                known, names = ", ".join(self.columns), ", ".join(schema.names)
                raise SuiteError(f"{path}: expected the columns of the files before it ({known}), got {names}")
            self._places += [(path, row) for row in range(len(rows))]
            self._rows += rows
            self.replaced += replaced

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        path, row = self._places[index]
        values = self._rows[index]
        if isinstance(values, BadRow):
            raise values.with_traceback(None)
        columns = [column for column in self._pictures if column in self.columns]
        missing = [column for column in columns if row in self._without_picture(path, column)]
        pictures = {column: in_cell(path, column, row) for column in columns}
        return {**values, **pictures, **dict.fromkeys(missing)}

    def _without_picture(self, path: Path, column: str) -> frozenset[int]:
        """The rows of a file whose cell in a picture column is null."""
        if (path, column) not in self._null:
            self._null[path, column] = frozenset(_null_cells(path, column))
        return self._null[path, column]

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
    tables = [_open_text(file, pictures) for file in files]
    return tables[0] if len(tables) == 1 else JoinedTable(tables)


def _open_text(file: Path, pictures: Sequence[str]) -> Table:
    if file.suffix == ".tsv":
        return TsvTable(file, pictures)
    return CsvTable(file) if file.suffix == ".csv" else JsonTable(file)


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that contains one object. Raises `SuiteError` if it does not, `OSError` if it cannot be read."""
    value: Any = without_surrogates(_whole_json(path.read_bytes(), path, None))
    if not isinstance(value, dict):
        raise SuiteError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def _whole_json(raw: bytes, path: Path, missing: Any) -> Any:
    try:
        return json.loads(utf8_text(raw, str(path), with_surrogates).lstrip("\ufeff"), parse_constant=lambda _: missing)
    except (ValueError, RecursionError) as error:
        if isinstance(error, SuiteError):
            raise
        raise SuiteError(f"{path}: expected JSON ({error}); is the download complete?") from error


def _json(text: str, missing: Any) -> Any:
    try:
        return json.loads(text, parse_constant=lambda _: missing)
    except (ValueError, RecursionError) as error:
        raise BadRow(WHOLE_ROW, f"a JSON object ({error})", text) from error


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRow(WHOLE_ROW, "a JSON object", value)
    return value


def parquet_rows(table: Any) -> tuple[list[dict[str, Any] | BadRow], int]:
    """The rows of a table, with null for NaN, and the number of rows in which lone surrogates were replaced by U+FFFD.

    Parquet does not check that texts are UTF-8. A row with other bytes than encoded surrogates is a `BadRow`.
    """
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except UnicodeDecodeError:
        if len(table) == 1:
            return _odd_row(table)
        middle = len(table) // 2
        (first, count), (second, more) = parquet_rows(table.slice(0, middle)), parquet_rows(table.slice(middle))
        return [*first, *second], count + more
    return [{column: None if _is_nan(value) else value for column, value in row.items()} for row in rows], 0


def _odd_row(table: Any) -> tuple[list[dict[str, Any] | BadRow], int]:
    """The only row of a table that has a text which is not UTF-8, and 1 if that text could be mended."""
    row, broken = {}, []
    for name in table.column_names:
        column = table.column(name)
        try:
            row[name] = column.to_pylist()[0]
        except UnicodeDecodeError:
            try:  # nested texts cannot be cast
                row[name] = SURROGATE.sub("\ufffd", with_surrogates(column.cast("binary").to_pylist()[0]))
            except (ValueError, NotImplementedError):
                broken.append(name)
    if broken:
        return [BadRow(WHOLE_ROW, "UTF-8 text", f"other bytes in {', '.join(broken)}")], 0
    return [{column: None if _is_nan(value) else value for column, value in row.items()}], 1


def _null_cells(path: Path, column: str) -> Iterator[int]:
    """Yield the rows whose picture, the cell itself or its field `bytes`, is null.

    The file's statistics say which row groups have any, so pictures are usually not read. Lists are not searched.
    """
    file = require("pyarrow.parquet", "suites").ParquetFile(path, memory_map=True)
    row = 0
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        chunks = [group.column(i) for i in range(group.num_columns)]
        for name in [chunk.path_in_schema for chunk in chunks if _may_have_null_pictures(chunk, column)]:
            batches = file.iter_batches(16, row_groups=[number], columns=[name], use_threads=False)
            values = (value for batch in batches for value in batch.column(0))
            yield from (row + i for i, value in enumerate(values) if _is_null(value.as_py()))
        row += group.num_rows


def _may_have_null_pictures(chunk: Any, column: str) -> bool:
    if chunk.path_in_schema not in (column, f"{column}.bytes"):
        return False
    statistics = chunk.statistics
    return statistics is not None and statistics.has_null_count and statistics.null_count > 0


def _is_null(value: Any) -> bool:
    return (value.get("bytes") if isinstance(value, dict) else value) is None


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value
