"""Tables of released benchmarks, row by row: TSV, JSON, JSON lines and Parquet. Pictures in them stay where they are.

A row is a mapping from column to value; a column of pictures gives a `Source`, anything else the value as it is stored.
Text in a TSV is text; "" stands for an empty field.
"""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from o3gym.media.embedded import in_cell, in_text
from o3gym.registry import closest, require
from o3gym.suites.base import SuiteError
from o3gym.types import Source

TableRow: TypeAlias = Mapping[str, Any]

CHUNK = 1 << 20
"""Bytes read at a time where a TSV is only looked through for the ends of its rows."""
QUOTE = ord('"')
REFERENCE = 64
"""A text this short in a column of base64 pictures is the `index` of the row that has the picture (VLMEvalKit)."""


class Table(Sequence[TableRow]):
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


class TsvTable(Table):
    """A TSV with base64 pictures, which may be many gigabytes.

    The file is looked through for the ends of its rows, as far as a row is asked for, and no byte of it is kept. A row
    is read when it is asked for; what is kept of it is its text and where its pictures are. Counting reads the whole
    file, at the speed of the disk, and only the last row's fields are checked: that is the one that a broken download
    cuts.

    Args:
        path: the file; the first line has the names of the columns.
        pictures: columns of pictures as base64 text.
    """

    def __init__(self, path: Path, pictures: Sequence[str] = ("image",)) -> None:
        self.path, self._pictures = path, pictures
        with path.open("rb") as file:
            header = file.readline()
        self.columns = tuple(_text(header.rstrip(b"\r\n"), f"{path}, line 1").lstrip("\ufeff").split("\t"))
        self._starts: list[int] = []
        self._end, self._done = len(header), False
        self._kept: dict[int, dict[str, Any]] = {}
        self._by_index: dict[str, int] = {}
        self._named = 0

    def __len__(self) -> int:
        self._look(None)
        if self._starts:
            self._row(len(self._starts) - 1)
        return len(self._starts)

    def __bool__(self) -> bool:
        return self._has(0)

    def __getitem__(self, index: Any) -> Any:
        if not self._has(index):
            raise IndexError(index)
        return {column: self._resolved(column, value) for column, value in self._row(index).items()}

    def where(self, index: int) -> str:
        """File and row."""
        return f"{self.path}, row {index + 1}"

    def _has(self, index: int) -> bool:
        self._look(index)
        return 0 <= index < len(self._starts)

    def _look(self, index: int | None) -> None:
        """Find where rows begin, on to the row at `index` or to the end of the file."""
        if self._done or (index is not None and index < len(self._starts)):
            return
        with self.path.open("rb", buffering=0) as file:
            file.seek(self._end)
            for ends in _ends(file, self._end):
                for end in ends:
                    self._add(file, end)
                if index is not None and index < len(self._starts):
                    return
            if self._end < file.seek(0, 2):
                where = self.where(len(self._starts))
                raise SuiteError(f"{where}: a quote is opened and never closed; is the file downloaded whole?")
        self._done = True

    def _add(self, file: BinaryIO, end: int) -> None:
        """A row more, unless its line is empty."""
        start, self._end = self._end, end
        if end - start > 2 or os.pread(file.fileno(), 2, start)[: end - start].strip(b"\r\n"):
            self._starts.append(start)

    def _row(self, index: int) -> dict[str, Any]:
        """The row at `index`, which has been found; references are as they are stored."""
        if index not in self._kept:
            start, end = (*self._starts[index : index + 2], self._end)[:2]
            with self.path.open("rb") as file:
                file.seek(start)
                self._kept[index] = self._parsed(file.read(end - start), start, self.where(index))
        return self._kept[index]

    def _parsed(self, record: bytes, start: int, where: str) -> dict[str, Any]:
        fields = list(_fields(record))
        if len(fields) != len(self.columns):
            raise SuiteError(
                f"{where}: expected {len(self.columns)} fields, got {len(fields)}; is the file downloaded whole?"
            )
        row: dict[str, Any] = {}
        for column, (begin, raw) in zip(self.columns, fields, strict=True):
            if column in self._pictures and len(raw) > REFERENCE:
                quote = int(raw[0] == QUOTE)
                row[column] = in_text(self.path, start + begin + quote, len(raw) - 2 * quote)
            else:
                row[column] = _text(_unquoted(raw), where)
        return row

    def _resolved(self, column: str, value: Any) -> Any:
        """A value; for a reference, the picture of the row that it names."""
        if column not in self._pictures or isinstance(value, Source) or not value:
            return value
        while value not in self._by_index and self._has(self._named):
            self._by_index.setdefault(self._row(self._named).get("index", ""), self._named)
            self._named += 1
        found = self._by_index.get(value)
        other = None if found is None else self._row(found)[column]
        if not isinstance(other, Source):
            raise SuiteError(f'{self.path}: column "{column}" refers to row {value!r}, which has no picture')
        return other


def _ends(file: BinaryIO, position: int) -> Iterator[list[int]]:
    """Where records end, chunk by chunk, from `position` on: at line breaks with an even number of quotes before them.

    A last record without a line break ends with the file, unless it ends inside of a quoted field.
    """
    quotes = 0
    while chunk := file.read(CHUNK):
        ends, at = [], 0
        while found := chunk.find(b"\n", at) + 1:
            quotes += _quotes(chunk, at, found)
            at = found
            if quotes % 2 == 0:
                ends.append(position + found)
        quotes += _quotes(chunk, at, len(chunk))
        position += len(chunk)
        yield ends
    yield [] if quotes % 2 else [position]


def _quotes(chunk: bytes, begin: int, end: int) -> int:
    """`chunk.count`, which is many times slower than `find` up to Python 3.12, and here there are few."""
    count = 0
    while begin := chunk.find(b'"', begin, end) + 1:
        count += 1
    return count


def _fields(record: bytes) -> Iterator[tuple[int, memoryview]]:
    """Where the fields of a record begin, and their text with its quotes; nothing is copied."""
    begin, stop, view = 0, len(record), memoryview(record)
    while stop and record[stop - 1] in b"\r\n":
        stop -= 1
    while True:
        end = record.find(b"\t", begin, stop)
        while end >= 0 and record[begin] == QUOTE and _quotes(record, begin, end) % 2:
            end = record.find(b"\t", end + 1, stop)
        yield begin, view[begin : stop if end < 0 else end]
        if end < 0:
            return
        begin = end + 1


def _unquoted(raw: memoryview) -> bytes:
    text = bytes(raw)
    return text.removesuffix(b'"')[1:].replace(b'""', b'"') if text[:1] == b'"' else text


class JsonTable(Table):
    """A JSON list of objects, or one object per line.

    Args:
        path: the file; `.jsonl` has one object per line.
        lines: so has this one, whatever its name.
    """

    def __init__(self, path: Path, lines: bool = False) -> None:
        self.path = path
        self._lines = lines or path.suffix == ".jsonl"
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


class ParquetTable(Table):
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


class JoinedTable(Table):
    """Tables one after the other, each with columns of its own; those that any of them has are its columns."""

    def __init__(self, tables: Sequence[Table]) -> None:
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


def open_table(files: Sequence[Path], pictures: Sequence[str] = ("image",)) -> Table:
    """The table in files of one kind, which their ending tells, with `pictures` in these columns."""
    if files[0].suffix == ".parquet":
        return ParquetTable(files, pictures)
    tables = [TsvTable(file, pictures) if file.suffix == ".tsv" else JsonTable(file) for file in files]
    return tables[0] if len(tables) == 1 else JoinedTable(tables)


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
