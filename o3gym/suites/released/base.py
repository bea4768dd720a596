"""Published benchmarks and training sets, read from the files that their authors released.

A subclass declares the hub repository, the file patterns and the required columns, and converts rows to tasks. The
files come from a local folder with the layout of the hub repository, or are downloaded. Rows are read lazily.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from o3gym.registry import closest
from o3gym.suites.base import BadRow, Suite, SuiteError
from o3gym.suites.released import hub
from o3gym.suites.released.rows import open_table
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

BY_MODEL = "published numbers come from a model judge; here a correct answer in other words counts as wrong"
"""`Suite.wants_judge` of suites with free-text answers."""
TABLES = (".tsv", ".json", ".jsonl", ".parquet")
"""Suffixes of table files."""


class Released(Suite):
    """A suite that is read from released files.

    Args:
        argument: the same as `data`, for "vstar:FOLDER".
        split: one of `splits`.
        data: a folder with the layout of the hub repository, or the table file itself; by default the files are
            downloaded from the hub.
        revision: branch, tag or commit of the hub repository; by default the newest.
        category: the categories to keep, joined by "+".
        n: maximum number of tasks; 0 for all.
        scoring: "o3gym", or "official" for the released scoring rule with its known flaws, if it has any.

    Attributes:
        repository: hub id.
        files: file patterns by split, table patterns first; the first pattern that matches gives the table.
        substitutes: patterns of the same tables in another format, which are used where no table matches `files`, both
            in a data folder and in the hub repository.
        counts: number of rows by split, as stated by the authors.
        columns: columns that the table must have.
        grouped_by: the column that `category` filters by; see `category_of`.
        pictures: columns that hold pictures in the table itself.
        identity: columns that together identify a row and are checked to be unique; empty where rows are identified by
            their number.
        repeats: whether the released file is known to contain duplicate rows. Duplicates are used once, except with
            `scoring="official"`.
        judge: name of the tasks' judge; "" for the default judge of their kind.
        official: name of a judge that scores as the released code does, where that code is known to err; "" otherwise.
        two_scorings: whether official scoring changes the suite's aggregate metric.
        root: the data folder or table file.
        folder: the folder of the table file, which paths of pictures in the table are relative to.
        table: the rows.
    """

    repository: ClassVar[str]
    files: ClassVar[Mapping[str, Sequence[str]]]
    substitutes: ClassVar[Mapping[str, Sequence[str]]] = {}
    counts: ClassVar[Mapping[str, int]] = {}
    columns: ClassVar[tuple[str, ...]] = ()
    grouped_by: ClassVar[str] = "category"
    pictures: ClassVar[tuple[str, ...]] = ("image",)
    identity: ClassVar[tuple[str, ...]] = ()
    repeats: ClassVar[bool] = False
    judge: ClassVar[str] = ""
    official: ClassVar[str] = ""
    two_scorings: ClassVar[bool] = False

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        data: str = "",
        revision: str = "",
        category: str = "",
        n: int = 0,
        scoring: Literal["o3gym", "official"] = "o3gym",
    ) -> None:
        super().__init__(argument, split)
        if type(n) is not int or n < 0:
            raise ValueError(f"n: expected a whole number from 0 up, got {n!r}")
        self._n, self.scoring, self._checked = n, self._known_scoring(scoring), False
        self.root, self.revision = self._locate(data or argument, revision)
        files = self._table_files()
        self.folder, self.table = files[0].parent, open_table(files, self.pictures)
        self.table.need(self.columns, self.root)
        if self.table.replaced:
            self._warn(
                f"{self.name}: {self.table.replaced} rows contain lone surrogates, which were replaced by U+FFFD"
            )
        self._selected = self._select(category)

    @classmethod
    def about(cls, ask: bool = False) -> str:
        """Row count, download size (if `ask`), licence, hub id, and whether the files have been downloaded."""
        rows = sum(cls.counts.values())
        parts = [f"{rows:,} rows"] if rows else []
        if ask:
            patterns = [pattern for split_patterns in cls.files.values() for pattern in split_patterns]
            parts.append(hub.download_size(cls.repository, patterns))
        status = "downloaded" if cls._downloaded() else "not downloaded"
        return f"({'; '.join([*parts, f'licence: {cls.licence}', cls.repository])}, {status})"

    @classmethod
    def _downloaded(cls) -> bool:
        """Whether the hub's cache has a table for every split."""
        return all(_has_table(hub.cached_folder(cls.repository, patterns), patterns) for patterns in cls.files.values())

    # ── for subclasses ──────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def convert(self, row: TableRow) -> Task:
        """Convert a row to a task, whose id is the row's own id, or "" to use the row's number. Raises `BadRow`."""

    def belongs(self, row: TableRow) -> bool:
        """Whether a row of the file belongs to the suite."""
        return True

    def category_of(self, row: TableRow) -> str:
        """The category of a row, which `category` filters by."""
        return str(row.get(self.grouped_by, ""))

    # ── the sequence of tasks ───────────────────────────────────────────────────────────────────────────────────────

    def __bool__(self) -> bool:
        """Whether there is any task. Reads one row, whereas `len` would read the whole file."""
        return bool(self.table if self._selected is None else self._selected)

    def __len__(self) -> int:
        self._check_rows()
        count = len(self.table) if self._selected is None else len(self._selected)
        return min(count, self._n) if self._n else count

    def __getitem__(self, index: Any) -> Any:
        """The task at `index`, or a slice. A non-negative index does not read the file beyond its row."""
        if isinstance(index, int) and index >= 0 and not (self._n and index >= self._n):
            try:
                return self.task(index)
            except IndexError:
                pass
        return super().__getitem__(index)

    def task(self, index: int) -> Task:
        """The task at `index`."""
        row = index if self._selected is None else self._selected[index]
        try:
            return self._with_origin(self.convert(self.table[row]), row)
        except BadRow as problem:
            raise SuiteError(f"{self.table.where(row)}, {problem}") from problem

    def _with_origin(self, task: Task, row: int) -> Task:
        judge = self.judge if self.scoring == "o3gym" else self.official or self.judge
        origin = {
            "suite": self.name,
            "version": self.version,
            "split": self.split,
            "index": row,
            **({"revision": self.revision} if self.revision else {}),
            **({"judge": judge} if judge else {}),
            **({"scoring": self.scoring} if self.scoring != "o3gym" else {}),
        }
        occurrence = f"#{self._occurrences[row]}" if row in self._occurrences else ""
        return replace(
            task,
            id=f"{self.name}/{self.split}/{task.id or row}{occurrence}",
            origin={**origin, **task.origin},
        )

    def _select(self, category: str) -> list[int] | None:
        """Numbers of the rows that are used. None means all rows, so that a table of gigabytes is not read here."""
        self._occurrences: dict[int, int] = {}
        if not category and not self.repeats and type(self).belongs is Released.belongs:
            return None
        self._check_rows()
        rows = [i for i, row in enumerate(self.table) if self.belongs(row)]
        rows = self._without_repeats(rows) if self.repeats else rows
        if not category:
            return rows
        categories, wanted = {i: self.category_of(self.table[i]) for i in rows}, category.split("+")
        known = sorted(set(categories.values()))
        for name in wanted:
            if name not in known:
                raise SuiteError(
                    f'{self.name}: no category "{name}"{closest(name, known)} (it has: {", ".join(known)})'
                )
        return [i for i in rows if categories[i] in wanted]

    def _without_repeats(self, rows: Sequence[int]) -> list[int]:
        """Drop exact copies of earlier rows. Kept rows that share an id get occurrence numbers: 2, 3, …."""
        seen: set[str] = set()
        ids: Counter[str] = Counter()
        kept = []
        for i in rows:
            values = {column: value for column, value in self.table[i].items() if column not in self.pictures}
            content, identity = repr(values), repr([values[column] for column in self.identity])
            if content in seen and self.scoring == "o3gym":
                continue
            seen.add(content)
            ids[identity] += 1
            if ids[identity] > 1:
                self._occurrences[i] = ids[identity]
            kept.append(i)
        if len(kept) < len(rows):
            self._warn(f"{self.name}: {len(rows) - len(kept)} of {len(rows)} rows are duplicates and were left out")
        return kept

    def _known_scoring(self, scoring: str) -> Literal["o3gym", "official"]:
        if scoring == "o3gym":
            return "o3gym"
        if scoring != "official":
            raise ValueError(f'scoring: expected "o3gym" or "official", got "{scoring}"')
        if not (self.official or self.repeats or self.two_scorings):
            raise ValueError(f'scoring: {self.name} has only "o3gym"; its official scoring has no known flaws')
        return "official"

    def _check_rows(self) -> None:
        """Warn if the row count differs from the authors', and raise `SuiteError` for ids that are not unique."""
        if self._checked:
            return
        if self.identity and not self.repeats:
            self._check_ids()  # first: iteration reads the file once, after which the row count is known
        expected, count = self.counts.get(self.split), len(self.table)
        if expected is not None and count != expected:
            self._warn(
                f"{self.name}: expected {expected} rows in {self.root}, got {count}; "
                "published numbers were measured on a different set"
            )
        self._checked = True

    def _check_ids(self) -> None:
        seen: dict[tuple[str, ...], int] = {}
        for i, row in enumerate(self.table):
            identity = tuple(str(row.get(column)) for column in self.identity)
            if identity in seen:
                raise SuiteError(
                    f'{self.table.where(i)}, field "{self.identity[-1]}": expected a unique id, '
                    f"got {identity[-1]!r}, which {self.table.where(seen[identity])} has too"
                )
            seen[identity] = i

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings = (*self.warnings, text)

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _locate(self, data: str, revision: str) -> tuple[Path, str]:
        """The data folder or table file, and the commit of the hub repository if the data were downloaded."""
        if data:
            path = Path(data)
            if not path.exists():
                raise SuiteError(
                    f"{self.name}: no such file or folder: {data}; "
                    f"expected the files of the hub repository {self.repository}"
                )
            if revision:
                raise ValueError("revision: selects a download and cannot be combined with local data")
            return path, ""
        patterns, substitutes = self.files[self.split], self.substitutes.get(self.split, ())
        folder = hub.download_files(self.repository, patterns, revision)
        if substitutes and not _has_table(folder, patterns):
            folder = hub.download_files(self.repository, substitutes, revision)
        return folder, folder.name

    def _table_files(self) -> list[Path]:
        if self.root.is_file():
            return [self.root]
        for pattern in (*self.files[self.split], *self.substitutes.get(self.split, ())):
            found = sorted(path for path in self.root.glob(pattern) if path.suffix in TABLES)
            if found:
                return found
        patterns = ", ".join(self.files[self.split])
        inside = ", ".join(sorted(path.name for path in self.root.iterdir())[:8]) or "nothing"
        raise SuiteError(f"{self.name}: expected a file like {patterns} in {self.root}, found {inside}")


def _has_table(folder: Path | None, patterns: Sequence[str]) -> bool:
    # huggingface_hub before 1.0 returns the snapshot folder even if none of the requested files are in it.
    return folder is not None and any(path.suffix in TABLES for pattern in patterns for path in folder.glob(pattern))
