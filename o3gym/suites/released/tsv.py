"""TSV tables of many gigabytes, read row by row. Every value is text, and an empty field is ""."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from o3gym.media.embedded import in_text
from o3gym.suites.base import SuiteError
from o3gym.suites.released.table import Table, utf8_text
from o3gym.types import Source

CHUNK = 1 << 20
"""Bytes read at a time when a TSV is scanned for row ends."""
QUOTE = ord('"')
REFERENCE = 64
"""A base64 picture of at most this many bytes is instead the `index` of the row that has the picture (VLMEvalKit)."""


class TsvTable(Table):
    """A TSV file with base64 pictures, which may be many gigabytes.

    Access to a row scans the file for row ends up to that row, keeping only their offsets, and then reads the row. Its
    text and the places of its pictures are cached. `len` scans the whole file at disk speed but parses only the last
    row, because that is the row that an incomplete download truncates.

    Args:
        path: the file; its first line contains the column names.
        pictures: columns that hold pictures as base64 text.
    """

    def __init__(self, path: Path, pictures: Sequence[str] = ("image",)) -> None:
        self.path, self._pictures = path, pictures
        with path.open("rb") as file:
            header = file.readline()
        self.columns = tuple(utf8_text(header.rstrip(b"\r\n"), f"{path}, line 1").lstrip("\ufeff").split("\t"))
        self._starts: list[int] = []
        self._end = len(header)  # byte offset up to which the file has been scanned
        self._done = False
        self._cache: dict[int, dict[str, Any]] = {}
        self._by_index: dict[str, int] = {}
        self._indexed = 0  # number of rows that are in _by_index

    def __len__(self) -> int:
        self._scan(None)
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
        """The file and row of the row at `index`."""
        return f"{self.path}, row {index + 1}"

    def _has(self, index: int) -> bool:
        self._scan(index)
        return 0 <= index < len(self._starts)

    def _scan(self, index: int | None) -> None:
        """Record row starts up to the row at `index`, or to the end of the file for None."""
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
                raise SuiteError(f"{where}: unclosed quote; is the download complete?")
        self._done = True

    def _add(self, file: BinaryIO, end: int) -> None:
        """Record the row that ends at `end`, unless its line is empty."""
        start, self._end = self._end, end
        if end - start > 2 or os.pread(file.fileno(), 2, start)[: end - start].strip(b"\r\n"):
            self._starts.append(start)

    def _row(self, index: int) -> dict[str, Any]:
        """The row at `index`, whose start must be known. References to other rows' pictures are not resolved."""
        if index not in self._cache:
            start, end = (*self._starts[index : index + 2], self._end)[:2]
            with self.path.open("rb") as file:
                file.seek(start)
                self._cache[index] = self._parse(file.read(end - start), start, self.where(index))
        return self._cache[index]

    def _parse(self, record: bytes, start: int, where: str) -> dict[str, Any]:
        fields = list(_fields(record))
        if len(fields) != len(self.columns):
            raise SuiteError(
                f"{where}: expected {len(self.columns)} fields, got {len(fields)}; is the download complete?"
            )
        row: dict[str, Any] = {}
        for column, (begin, raw) in zip(self.columns, fields, strict=True):
            if column in self._pictures and len(raw) > REFERENCE:
                quote = int(raw[0] == QUOTE)
                row[column] = in_text(self.path, start + begin + quote, len(raw) - 2 * quote)
            else:
                row[column] = utf8_text(_unquoted(raw), where)
        return row

    def _resolved(self, column: str, value: Any) -> Any:
        """The value itself, or for a reference the picture of the row it refers to."""
        if column not in self._pictures or isinstance(value, Source) or not value:
            return value
        while value not in self._by_index and self._has(self._indexed):
            self._by_index.setdefault(self._row(self._indexed).get("index", ""), self._indexed)
            self._indexed += 1
        row = self._by_index.get(value)
        source = None if row is None else self._row(row)[column]
        if not isinstance(source, Source):
            raise SuiteError(f'{self.path}: column "{column}" refers to row {value!r}, which has no picture')
        return source


def _ends(file: BinaryIO, position: int) -> Iterator[list[int]]:
    """Yield the offsets of record ends from `position` on, chunk by chunk.

    A line break ends a record if the number of quotes before it is even; otherwise it is inside a quoted field. A last
    record without a line break ends at the end of the file, unless the file ends inside a quoted field.
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
    """Number of quotes in `chunk[begin:end]`."""
    # Up to Python 3.12, bytes.count is many times slower than bytes.find, and quotes are rare here.
    count = 0
    while begin := chunk.find(b'"', begin, end) + 1:
        count += 1
    return count


def _fields(record: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yield the offset and raw bytes, quotes included, of each field of a record, without copying."""
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
