"""TSV tables of many gigabytes, read row by row. Every value is text, and an empty field is ""."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from o3gym.media.embedded import in_text
from o3gym.suites.base import BadRow, SuiteError
from o3gym.suites.released.table import WHOLE_ROW, Table, utf8_cell, utf8_text
from o3gym.types import Source

CHUNK = 1 << 20
"""Bytes read at a time when a TSV is scanned for row ends."""
QUOTE = ord('"')
REFERENCE = 64
"""A base64 picture of at most this many bytes is instead the `index` of the row that has the picture (VLMEvalKit)."""


class TsvTable(Table):
    """A TSV file with base64 pictures, which may be many gigabytes.

    Access to a row scans the file for row ends up to that row, keeping only their offsets, and then reads the row. Its
    text and the places of its pictures are cached. `len` scans the whole file at disk speed but parses only a last row
    without a line break, because that is the row that an incomplete download truncates.

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
            while not self._scanned(file, index):
                self._skip_stray_quote(file)

    def _scanned(self, file: BinaryIO, index: int | None) -> bool:
        """Scan as far as `_scan` says. False if a quote is still open at the end of the file."""
        file.seek(self._end)
        for ends in _ends(file, self._end):
            for end in ends:
                self._add(file, end)
            if index is not None and index < len(self._starts):
                return True
        if self._end < file.seek(0, 2):
            return False
        self._check_end(file)
        self._done = True
        return True

    def _skip_stray_quote(self, file: BinaryIO) -> None:
        """End the row with the open quote at its first line break if whole rows follow it; such a row is bad.

        Raises `SuiteError` if none follows: then the file ends inside of that row.
        """
        with self.path.open("rb") as lines:
            lines.seek(self._end)
            line, following = lines.readline(), lines.readline()
        if following.count(b"\t") != len(self.columns) - 1:
            raise SuiteError(f"{self.where(len(self._starts))}: unclosed quote; is the download complete?")
        self._add(file, self._end + len(line))

    def _check_end(self, file: BinaryIO) -> None:
        """Raise `SuiteError` if the file ends inside of a row: without a line break and with too few fields."""
        if not self._starts or os.pread(file.fileno(), 1, self._end - 1) == b"\n":
            return
        fields = len(list(_fields(os.pread(file.fileno(), self._end - self._starts[-1], self._starts[-1]))))
        if fields < len(self.columns):
            where = self.where(len(self._starts) - 1)
            raise SuiteError(f"{where}: expected {len(self.columns)} fields, got {fields}; is the download complete?")

    def _add(self, file: BinaryIO, end: int) -> None:
        """Record the row that ends at `end`, unless its line is empty."""
        start, self._end = self._end, end
        if end - start > 2 or os.pread(file.fileno(), 2, start)[: end - start].strip(b"\r\n"):
            self._starts.append(start)

    def _row(self, index: int) -> dict[str, Any]:
        """The row at `index`, whose start must be known. References to other rows' pictures are not resolved.

        Raises `BadRow` if it has another number of fields than the header, or is not UTF-8.
        """
        if index not in self._cache:
            start, end = (*self._starts[index : index + 2], self._end)[:2]
            with self.path.open("rb") as file:
                file.seek(start)
                self._cache[index] = self._parse(file.read(end - start), start)
        return self._cache[index]

    def _parse(self, record: bytes, start: int) -> dict[str, Any]:
        fields = list(_fields(record))
        if len(fields) != len(self.columns):
            raise BadRow(WHOLE_ROW, f"{len(self.columns)} fields", len(fields))
        row: dict[str, Any] = {}
        for column, (begin, raw) in zip(self.columns, fields, strict=True):
            if column in self._pictures and len(raw) > REFERENCE:
                quote = int(raw[0] == QUOTE)
                row[column] = in_text(self.path, start + begin + quote, len(raw) - 2 * quote)
            else:
                row[column] = utf8_cell(_unquoted(raw, column), column)
        return row

    def _resolved(self, column: str, value: Any) -> Any:
        """The value itself, or for a reference the picture of the row it refers to."""
        if column not in self._pictures or isinstance(value, Source) or not value:
            return value
        while value not in self._by_index and self._has(self._indexed):
            self._by_index.setdefault(str((self._readable(self._indexed) or {}).get("index", "")), self._indexed)
            self._indexed += 1
        row = self._readable(self._by_index[value]) if value in self._by_index else None
        source = None if row is None else row[column]
        if not isinstance(source, Source):
            raise BadRow(column, "a picture, or the index of a row that has one", value)
        return source

    def _readable(self, index: int) -> dict[str, Any] | None:
        try:
            return self._row(index)
        except BadRow:
            return None


def _ends(file: BinaryIO, position: int) -> Iterator[list[int]]:
    """Yield the offsets of record ends from `position` on, chunk by chunk.

    A line break inside a quoted field ends no record. A last record without a line break ends at the end of the file,
    unless the file ends inside a quoted field.
    """
    quoting = _Quoting(position)
    while chunk := file.read(CHUNK):
        ends, at = [], 0
        while found := chunk.find(b"\n", at) + 1:
            quoting.read(chunk, position, at, found)
            at = found
            if not quoting.inside:
                ends.append(position + found)
        quoting.read(chunk, position, at, len(chunk))
        quoting.before = chunk[-1]
        position += len(chunk)
        yield ends
    yield [] if quoting.inside else [position]


class _Quoting:
    """Whether a position of a TSV file is inside a quoted field.

    As in pandas, a quote opens a field only at its start; elsewhere it is text. So a quote that is not closed makes one
    bad row of those up to the next quote, and the rows after that are read as they should be.
    """

    def __init__(self, position: int) -> None:
        self.inside, self.before = False, ord("\n")
        self._closed = position - 2

    def read(self, chunk: bytes, position: int, begin: int, end: int) -> None:
        """Read `chunk[begin:end]`; `position` is the offset of the chunk in the file."""
        while (at := chunk.find(b'"', begin, end)) >= 0:
            if self.inside:
                self.inside, self._closed = False, position + at
            else:
                # A quote right after a closing one belongs to an escaped pair, so the field has not ended.
                pair = position + at - 1 == self._closed
                self.inside = pair or (chunk[at - 1] if at else self.before) in b"\t\n"
            begin = at + 1


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


def _unquoted(raw: memoryview, column: str) -> bytes:
    """The text of a field. Raises `BadRow` if a quote that is not closed has swallowed the rows after it."""
    text = bytes(raw)
    if text[:1] == b'"' and b"\n" in text and b'"' in text[1:-1].replace(b'""', b""):
        raise BadRow(column, "text in quotes that are closed before the end of the row", text)
    return text.removesuffix(b'"')[1:].replace(b'""', b'"') if text[:1] == b'"' else text
