"""Tables of released benchmarks, row by row: TSV, JSON, JSON lines and Parquet. Pictures in them stay where they are.

A row is a mapping from column to value; a column of pictures gives a `Source`, anything else the value as it is stored.
Text in a TSV is text; "" stands for an empty field.
"""

from __future__ import annotations

import csv
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from o3gym.packed import in_cell, in_text
from o3gym.registry import closest, require
from o3gym.suites.base import SuiteError
from o3gym.types import Source

Row: TypeAlias = Mapping[str, Any]

READ_AHEAD = 1 << 22
"""Bytes read at a time from a TSV, whose rows are megabytes long."""
REFERENCE = 64
"""A text this short in a column of base64 pictures is the `index` of the row that has the picture (VLMEvalKit)."""


class Rows(Sequence[Row]):
    """A table. Errors name the file and the row, counted from 1 as an editor or a viewer would.

    Attributes:
        columns: names, in order.
    """

    columns: tuple[str, ...] = ()

    @abstractmethod
    def where(self, index: int) -> str:
        """File and row, for errors."""

    def need(self, columns: Sequence[str], path: Path) -> None:
        """Raise `SuiteError` where a column is missing."""
        for column in columns:
            if column not in self.columns:
                known = ", ".join(self.columns)
                raise SuiteError(f'{path}: no column "{column}"{closest(column, self.columns)} (it has: {known})')


class TsvRows(Rows):
    """A TSV with base64 pictures, which may be many gigabytes.

    It is read once, as far as rows are asked for; what is kept of a row is its text.

    Args:
        path: the file; the first line has the names of the columns.
        pictures: columns of pictures as base64 text.
    """

    def __init__(self, path: Path, pictures: Sequence[str] = ("image",)) -> None:
        self.path, self._pictures = path, pictures
        with path.open("rb") as file:
            header = file.readline()
        self.columns = tuple(_text(header.rstrip(b"\r\n"), f"{path}, line 1").lstrip("\ufeff").split("\t"))
        self._rows: list[dict[str, Any]] = []
        self._end, self._done = len(header), False
        self._by_index: dict[str, int] = {}

    def __len__(self) -> int:
        self._read(None)
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        self._read(index)
        if not 0 <= index < len(self._rows):
            raise IndexError(index)
        return {column: self._resolved(column, value) for column, value in self._rows[index].items()}

    def where(self, index: int) -> str:
        """File and row."""
        return f"{self.path}, row {index + 1}"

    def _read(self, index: int | None) -> None:
        """Read on to the row at `index`, or to the end."""
        if self._done or (index is not None and index < len(self._rows)):
            return
        with self.path.open("rb", buffering=READ_AHEAD) as file:
            file.seek(self._end)
            while index is None or index >= len(self._rows):
                record = _record(file)
                if not record:
                    self._done = True
                    return
                start, self._end = self._end, self._end + len(record)
                body = record.rstrip(b"\r\n")
                if body:
                    self._keep(body, start)

    def _keep(self, record: bytes, start: int) -> None:
        where = self.where(len(self._rows))
        fields = _plain(record, start) if b'"' not in record else _quoted(record, start, where)
        if len(fields) != len(self.columns):
            raise SuiteError(
                f"{where}: expected {len(self.columns)} fields, got {len(fields)}; is the file downloaded whole?"
            )
        row: dict[str, Any] = {}
        for column, (offset, raw) in zip(self.columns, fields, strict=True):
            if column in self._pictures and len(raw) > REFERENCE:
                row[column] = in_text(self.path, offset, len(raw))
            else:
                row[column] = _text(bytes(raw), where)
        self._by_index.setdefault(row.get("index", ""), len(self._rows))
        self._rows.append(row)

    def _resolved(self, column: str, value: Any) -> Any:
        """A value; for a reference, the picture of the row that it names."""
        if column not in self._pictures or isinstance(value, Source) or not value:
            return value
        if value not in self._by_index:
            self._read(None)
        found = self._by_index.get(value)
        other = None if found is None else self._rows[found][column]
        if not isinstance(other, Source):
            raise SuiteError(f'{self.path}: column "{column}" refers to row {value!r}, which has no picture')
        return other


def _record(file: BinaryIO) -> bytes:
    """The next record: a line, or more where a quoted field has line breaks in it."""
    record = file.readline()
    while record.count(b'"') % 2:
        more = file.readline()
        if not more:
            return record
        record += more
    return record


def _plain(record: bytes, start: int) -> list[tuple[int, memoryview]]:
    """Fields without quotes, with their offsets in the file; nothing is copied."""
    fields, begin, view = [], 0, memoryview(record)
    while True:
        end = record.find(b"\t", begin)
        stop = len(record) if end < 0 else end
        fields.append((start + begin, view[begin:stop]))
        if end < 0:
            return fields
        begin = end + 1


def _quoted(record: bytes, start: int, where: str) -> list[tuple[int, memoryview]]:
    """Fields of a record with quoted ones. A picture is found again by its text, which is nowhere else in the row."""
    csv.field_size_limit(max(len(record), csv.field_size_limit()))
    (values,) = csv.reader([_text(record, where)], delimiter="\t")
    fields, begin = [], 0
    for value in values:
        raw = value.encode()
        at = record.find(raw, begin) if len(raw) > REFERENCE else -1
        begin = at + len(raw) if at >= 0 else begin
        fields.append((start + at, memoryview(raw)))
    return fields


class JsonRows(Rows):
    """A JSON list of objects, or one object per line.

    Args:
        path: the file; `.jsonl` has one object per line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = path.suffix == ".jsonl"
        text = _content(path)
        self._rows = self._parsed_lines(text) if self._lines else self._parsed(text)
        self.columns = tuple(dict.fromkeys(key for _, row in self._rows for key in row))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index][1]

    def where(self, index: int) -> str:
        """File and line, or number of the object."""
        return f"{self.path}, {'line' if self._lines else 'row'} {self._rows[index][0]}"

    def _parsed_lines(self, text: str) -> list[tuple[int, dict[str, Any]]]:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        return [(number, _object(_json(line, self.path, number), self.path, number)) for number, line in lines]

    def _parsed(self, text: str) -> list[tuple[int, dict[str, Any]]]:
        value = _json(text, self.path, 1)
        if not isinstance(value, list):
            raise SuiteError(f"{self.path}: expected a list of objects, got {type(value).__name__}")
        return [(number, _object(item, self.path, number)) for number, item in enumerate(value, 1)]


class ParquetRows(Rows):
    """Parquet files, one after the other; of columns of pictures only their place is read.

    Args:
        paths: the files.
        pictures: columns of pictures.
    """

    def __init__(self, paths: Sequence[Path], pictures: Sequence[str] = ("image",)) -> None:
        parquet = require("pyarrow.parquet", "suites")
        self._pictures = pictures
        self._places: list[tuple[Path, int]] = []
        self._rows: list[dict[str, Any]] = []
        for path in paths:
            try:
                schema = parquet.read_schema(path)
                light = [name for name in schema.names if name not in pictures]
                rows = parquet.read_table(path, columns=light).to_pylist()
            except Exception as error:  # pyarrow's errors are of many kinds; all mean that the file is not whole
                raise SuiteError(f"{path}: not a Parquet file that can be read whole ({error})") from error
            self.columns = self.columns or tuple(schema.names)
            if tuple(schema.names) != self.columns:
                raise SuiteError(f"{path}: columns {', '.join(schema.names)}; the files before it have {self.columns}")
            self._places += [(path, row) for row in range(len(rows))]
            self._rows += rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        path, row = self._places[index]
        here = [column for column in self._pictures if column in self.columns]
        return {**self._rows[index], **{column: in_cell(path, column, row) for column in here}}

    def where(self, index: int) -> str:
        """File and row."""
        path, row = self._places[index]
        return f"{path}, row {row + 1}"


class JoinedRows(Rows):
    """Tables one after the other, each with columns of its own; those that any of them has are its columns."""

    def __init__(self, tables: Sequence[Rows]) -> None:
        self._tables = tables
        self._places = [(table, row) for table in tables for row in range(len(table))]
        self.columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        table, row = self._places[index]
        return table[row]

    def where(self, index: int) -> str:
        """File and row."""
        table, row = self._places[index]
        return table.where(row)


def open_rows(files: Sequence[Path], pictures: Sequence[str] = ("image",)) -> Rows:
    """The table in files of one kind, which their ending tells, with `pictures` in these columns."""
    if files[0].suffix == ".parquet":
        return ParquetRows(files, pictures)
    tables = [TsvRows(file, pictures) if file.suffix == ".tsv" else JsonRows(file) for file in files]
    return tables[0] if len(tables) == 1 else JoinedRows(tables)


def read_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds, where it holds only one."""
    return _object(_json(_content(path), path, 1), path, 1)


def _content(path: Path) -> str:
    return _text(path.read_bytes(), str(path)).lstrip("\ufeff")


def _text(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SuiteError(f"{where}: expected UTF-8 text ({error.reason} at byte {error.start})") from error


def _json(text: str, path: Path, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{path}, line {number}: expected JSON ({error}); is the file downloaded whole?") from error


def _object(value: Any, path: Path, number: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SuiteError(f"{path}, row {number}: expected an object, got {type(value).__name__}")
    return value
