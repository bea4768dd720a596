"""Suites whose files have several questions in a row, as a list in one column."""

from __future__ import annotations

from typing import Any, ClassVar

from o3gym.suites.released.base import Released
from o3gym.suites.released.table import Table


class ExplodedTable(Table):
    """A table with a row for each item of a list column. In place of the list, a row has one of its items.

    A row that cannot be read, or whose value is no list or an empty one, is kept as it is, so that an error names it.
    """

    def __init__(self, table: Table, column: str) -> None:
        self._table, self._column = table, column
        self.columns, self.replaced = table.columns, table.replaced
        counts = dict.fromkeys(range(len(table)), 1)
        counts |= {row: _count(values.get(column)) for row, values in table.readable()}
        self._places = [(row, item) for row, count in counts.items() for item in range(count)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        row, item = self._places[index]
        values = self._table[row]
        items = values.get(self._column)
        return {**values, self._column: items[item]} if isinstance(items, list) and items else values

    def where(self, index: int) -> str:
        """The file and row of the row at `index`; the rows of one list share them."""
        return self._table.where(self._places[index][0])


def _count(value: object) -> int:
    return max(1, len(value)) if isinstance(value, list) else 1


class Exploded(Released):
    """A suite with a task for each item of a list column.

    Attributes:
        exploded: the column with lists. In rows, it has one item.
    """

    exploded: ClassVar[str]

    @property
    def table(self) -> Table:
        """The rows, one for each item of the list column."""
        return self._exploded_table

    @table.setter
    def table(self, table: Table) -> None:
        self._exploded_table = ExplodedTable(table, self.exploded)
