"""Published benchmarks and training sets, read from the files that their authors released.

A subclass declares the hub repository, the file patterns and the required columns, and converts rows to tasks. The
files come from a local folder with the layout of the hub repository, or are downloaded. Rows are read lazily.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from o3gym.registry import closest
from o3gym.suites.base import BadRow, BadTask, Suite, SuiteError
from o3gym.suites.released import hub
from o3gym.suites.released.fields import folders, picture
from o3gym.suites.released.rows import open_table
from o3gym.suites.released.table import WHOLE_ROW, Table, TableRow, replaced_warning
from o3gym.types import Source, Task

BY_MODEL = "published numbers come from a model judge; here a correct answer in other words counts as wrong"
"""`Suite.wants_judge` of suites with free-text answers."""
TABLES = (".tsv", ".csv", ".txt", ".json", ".jsonl", ".parquet")
"""Suffixes of table files."""


OWN_SCORING = "o3gym"
"""The default of `scoring`: what the answer says is scored, without the known errors of released code."""


@dataclass(frozen=True)
class ReleasedScoring:
    """A scoring rule that somebody released, as a suite offers it under its owner's name.

    Attributes:
        source: repository, version or commit, and file of the released code.
        judge: name of the judge that scores as this code does; "" if it differs from the suite's own scoring only in
            which rows count, or in how verdicts are aggregated.
    """

    source: str
    judge: str = ""


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
        roots: further folders, joined by "+", below which pictures may lie that the table names by path. By default,
            these are only the data folder and the folder of the table.
        scoring: "o3gym", or the owner of a released scoring rule in `scorings`, which is applied with its known flaws:
            "authors" or "lmms-eval".

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
        repeats: whether the released file is known to contain duplicate rows. Duplicates are used once, except with a
            released scoring.
        judge: name of the tasks' judge; "" for the default judge of their kind.
        scorings: released scoring rules by owner, where the released code differs from the suite's own scoring.
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
    scorings: ClassVar[Mapping[str, ReleasedScoring]] = {}

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        data: str = "",
        revision: str = "",
        category: str = "",
        n: int = 0,
        scoring: str = OWN_SCORING,
        roots: str = "",
    ) -> None:
        super().__init__(argument, split)
        if type(n) is not int or n < 0:
            raise ValueError(f"n: expected a whole number from 0 up, got {n!r}")
        self._n, self.scoring, self._checked = n, self._known_scoring(scoring), False
        self.root, self.revision = self._locate(data or argument, revision)
        files = self._table_files()
        self.opened_files, self._roots = tuple(files), (*([self.root] if self.root.is_dir() else []), *folders(roots))
        self.folder, self.table = files[0].parent, self.open_files(files)
        self.table.need(self.columns, self.root)
        if self.table.replaced:
            self._warn(replaced_warning(self.name, self.table.replaced))
        self._repeated: dict[int, BadRow] = {}
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

    def picture(self, *names: str, field: str = "image") -> Source:
        """The picture file that a row names by its path, which is relative to the table's folder."""
        return picture(self.folder, names[0], field, self._roots)

    def open_files(self, files: Sequence[Path]) -> Table:
        """Open the table files of a split as one table."""
        return open_table(files, self.pictures)

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
        """The task at `index`. Raises `BadTask` if its row is bad."""
        number = index if self._selected is None else self._selected[index]
        try:
            row = self._row(number)
            if number in self._repeated:
                raise self._repeated[number].with_traceback(None)
            return self._with_origin(self._converted(row, number), number)
        except BadRow as problem:
            raise problem.at(self.table.where(number)) from problem

    def _row(self, number: int) -> dict[str, Any]:
        """A row of the table, with None for every column that it does not have. Raises `BadRow`."""
        row: TableRow = self.table[number]
        return {**dict.fromkeys(self.table.columns), **row}

    def _converted(self, row: TableRow, number: int) -> Task:
        """The task of a row. Raises `BadRow` or `BadTask`, whatever is wrong with the row."""
        try:
            return self.convert(row)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError, RecursionError) as error:
            # A value of an unexpected type may fail anywhere. One such row among thousands must not end a run; if it is
            # the reader that is wrong, most rows fail, which is an error.
            reason = str(error) if isinstance(error, SuiteError) else f"{type(error).__name__}: {error}"
            raise BadTask(self.table.where(number), WHOLE_ROW, f"cannot be read ({reason:.200})") from error

    def _with_origin(self, task: Task, row: int) -> Task:
        released = self.scorings.get(self.scoring)
        judge = released.judge or self.judge if released else self.judge
        origin = {
            "suite": self.name,
            "version": self.version,
            "split": self.split,
            "index": row,
            **({"revision": self.revision} if self.revision else {}),
            **({"judge": judge} if judge else {}),
            **({"scoring": self.scoring, "scoring_source": released.source} if released else {}),
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
        categories = self._categories()
        rows = self._without_repeats(list(categories)) if self.repeats else list(categories)
        if not category:
            return rows
        wanted = category.split("+")
        known = sorted({name for name in categories.values() if name is not None})
        for name in wanted:
            if name not in known:
                raise SuiteError(
                    f'{self.name}: no category "{name}"{closest(name, known)} (it has: {", ".join(known)})'
                )
        return [i for i in rows if categories[i] in (None, *wanted)]

    def _categories(self) -> dict[int, str | None]:
        """The categories of the rows that belong to the suite, by number; None for bad rows, which belong anywhere."""
        found: dict[int, str | None] = {}
        for number in range(len(self.table)):
            try:
                row = self._row(number)
                if self.belongs(row):
                    found[number] = self.category_of(row)
            except (BadRow, LookupError, TypeError, ValueError, AttributeError):
                found[number] = None
        return found

    def _without_repeats(self, rows: Sequence[int]) -> list[int]:
        """Drop exact copies of earlier rows. Kept rows that share an id get occurrence numbers: 2, 3, …."""
        seen: set[str] = set()
        ids: Counter[str] = Counter()
        kept = []
        for i in rows:
            try:
                values = {column: value for column, value in self._row(i).items() if column not in self.pictures}
            except BadRow:
                kept.append(i)
                continue
            content, identity = repr(values), repr([values[column] for column in self.identity])
            if content in seen and self.scoring == OWN_SCORING:
                continue
            seen.add(content)
            ids[identity] += 1
            if ids[identity] > 1:
                self._occurrences[i] = ids[identity]
            kept.append(i)
        if len(kept) < len(rows):
            self._warn(f"{self.name}: {len(rows) - len(kept)} of {len(rows)} rows are duplicates and were left out")
        return kept

    def _known_scoring(self, scoring: str) -> str:
        known = [OWN_SCORING, *self.scorings]
        if scoring not in known:
            names = ", ".join(f'"{name}"' for name in known)
            raise ValueError(
                f'scoring: {self.name} has no scoring "{scoring}"{closest(scoring, known)} (it has: {names})'
            )
        return scoring

    def _check_rows(self) -> None:
        """Warn if the row count differs from the authors', and note rows whose ids are not unique as bad."""
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
        for i, row in self.table.readable():
            identity = tuple(str(row.get(column)) for column in self.identity)
            first = seen.setdefault(identity, i)
            if first != i:
                expected = f"a unique id ({self.table.where(first)} has it, too)"
                self._repeated[i] = BadRow(self.identity[-1], expected, identity[-1])

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
