"""The interface of tables of released benchmarks.

A row maps columns to values. The value of a picture column is a `Source`; all other values are as stored.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from o3gym.registry import closest
from o3gym.suites.base import BadRow, SuiteError

TableRow: TypeAlias = Mapping[str, Any]
WHOLE_ROW = "(whole row)"
"""Stands for the field where a row cannot be split into fields."""
SURROGATE = re.compile("[\ud800-\udfff]")
"""Matches a lone surrogate. Parsers of JSON have already joined pairs of escapes."""
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class Table(Sequence[TableRow]):
    """A table of rows. Errors name the file and the row, counted from 1 as in an editor.

    A row that cannot be read keeps its index, and raises `BadRow` when it is requested.

    Attributes:
        columns: column names, in order.
        replaced: number of rows in which lone surrogates were replaced by U+FFFD. UTF-8 has none, but the escapes of
            JSON can stand for one, and some writers encode them all the same. One would fail when a run is written.
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


def with_surrogates(raw: bytes) -> str:
    """Decode UTF-8 in which surrogates may be encoded: pairs become a character, lone ones stay.

    Raises UnicodeDecodeError for all other bytes that are not UTF-8: they may be of any encoding, so that nobody knows
    what the text says.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "surrogatepass")
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)


def without_surrogates(value: Any) -> Any:
    """A JSON value with U+FFFD for every lone surrogate in its texts and keys."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def replaced_warning(name: str, count: int, rows: str = "row") -> str:
    """The warning that `count` rows contain lone surrogates."""
    what = f"1 {rows} contains" if count == 1 else f"{count} {rows}s contain"
    return f"{name}: {what} lone surrogates, which were replaced by U+FFFD"


def utf8_text(raw: bytes, where: str, decode: Callable[[bytes], str] = bytes.decode) -> str:
    """Decode UTF-8. Raises a `SuiteError` that names `where`, the file and the place in it."""
    try:
        return decode(raw)
    except UnicodeDecodeError as error:
        raise SuiteError(f"{where}: expected UTF-8 text ({error.reason} at byte {error.start})") from error


def utf8_cell(raw: bytes, field: str, decode: Callable[[bytes], str] = bytes.decode) -> str:
    """Decode UTF-8. Raises a `BadRow` that names `field` and the place in it."""
    try:
        return decode(raw)
    except UnicodeDecodeError as error:
        raise BadRow(field, f"UTF-8 text ({error.reason} at byte {error.start})", raw) from error
