"""Pictures embedded in larger files and read on demand: base64 text in a table, or a cell of a Parquet file.

Benchmarks are released as tables of gigabytes. A `Source` of kind "file" with arguments gives the position of its
picture in the file. A run folder thus stores a few numbers instead of a copy, and only one picture at a time is in
memory.
"""

from __future__ import annotations

import base64
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from o3gym.registry import require
from o3gym.types import Source

OPEN_COLUMNS = 8
"""Number of Parquet columns that are kept open."""


class PackedError(ValueError):
    """The file does not contain the picture that a source points to; the message states what was expected."""


def in_text(path: Path, offset: int, length: int) -> Source:
    """The picture whose base64 text begins at byte `offset` of a file."""
    return Source("file", str(path), {"base64": [offset, length]})


def in_cell(path: Path, column: str, row: int) -> Source:
    """The picture in a cell of a Parquet file: encoded bytes, a struct with encoded `bytes`, or base64 text."""
    return Source("file", str(path), {"column": column, "row": row})


def item(source: Source, number: int) -> Source:
    """Picture `number`, counted from 0, of a cell that holds a list of pictures."""
    return Source("file", source.ref, {**source.args, "item": number})


def unpack(source: Source) -> bytes:
    """The encoded picture that an embedded source points to.

    Raises:
        OSError: if the file cannot be read.
        PackedError: if the file does not contain the picture.
    """
    if "base64" in source.args:
        offset, length = source.args["base64"]
        with Path(source.ref).open("rb") as file:
            file.seek(offset)
            text = file.read(length)
        if len(text) != length:
            raise PackedError(f"expected {length} bytes at {offset}, but the file ends after {len(text)} of them")
        return decoded_base64(text)
    value = cell(Path(source.ref), source.args["column"], source.args["row"])
    return _encoded_bytes(_list_item(value, source.args["item"]) if "item" in source.args else value)


def _list_item(value: Any, number: int) -> Any:
    if not isinstance(value, list) or number >= len(value):
        got = f"a list of {len(value)}" if isinstance(value, list) else type(value).__name__
        raise PackedError(f"expected a list with a picture at index {number}, got {got}")
    return value[number]


def decoded_base64(text: bytes) -> bytes:
    """Decode base64 text, with or without the prefix of a data URL."""
    start = text.find(b",", 0, 64) + 1 if text.startswith(b"data:") else 0
    return base64.b64decode(text[start:])


def _encoded_bytes(value: Any) -> bytes:
    value = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(value, str):
        return decoded_base64(value.encode())
    if not isinstance(value, bytes):
        raise PackedError(f"expected the bytes of a picture, got {type(value).__name__}")
    return value


def cell(path: Path, column: str, row: int) -> Any:
    """The value of a cell of a Parquet file. Reading rows in order reads each of them only once."""
    return _column(str(path), column, path.stat().st_mtime_ns).read(row)


class _Column:
    """Reader of one column that holds one cell in memory at a time; a row group may be hundreds of megabytes."""

    def __init__(self, path: str, column: str) -> None:
        parquet = require("pyarrow.parquet", "suites")
        self._file = parquet.ParquetFile(path, memory_map=True)
        self._column = column
        groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.metadata.num_row_groups)]
        self._starts = [0, *accumulate(groups)]
        self._cells: Iterator[Any] = iter(())
        self._next, self._end = 0, 0
        self._lock = threading.Lock()

    def read(self, row: int) -> Any:
        if not 0 <= row < self._starts[-1]:
            raise PackedError(f"expected a row below {self._starts[-1]}, got {row}")
        with self._lock:
            if not self._next <= row < self._end:
                self._begin(bisect_right(self._starts, row) - 1)
            while self._next < row:
                next(self._cells)
                self._next += 1
            self._next += 1
            return next(self._cells).column(0)[0].as_py()

    def _begin(self, group: int) -> None:
        self._cells = self._file.iter_batches(1, row_groups=[group], columns=[self._column], use_threads=False)
        self._next, self._end = self._starts[group], self._starts[group + 1]


@lru_cache(maxsize=OPEN_COLUMNS)
def _column(path: str, column: str, modified: int) -> _Column:
    # `modified` is only a part of the cache key: a file that has changed is opened again.
    return _Column(path, column)


# A forked child must not use readers whose lock may have been held by a thread of the parent.
os.register_at_fork(after_in_child=_column.cache_clear)
