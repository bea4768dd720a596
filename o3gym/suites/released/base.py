"""Published benchmarks and training sets, read from the files that their authors released.

A subclass says where the files are, which columns they have and how a row becomes a task. Files come from a folder that
has them as their hub repository does, or are downloaded from there. Rows are read when they are asked for.
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
from o3gym.suites.released.rows import TableRow, open_table
from o3gym.types import Task

BY_MODEL = "published numbers are by a model judge; answers that say the same otherwise are wrong here"
"""What `Suite.wants_judge` says of suites with free answers."""
TABLES = (".tsv", ".json", ".jsonl", ".parquet")
"""Endings of files of rows."""


class Released(Suite):
    """A suite of released files.

    Args:
        argument: the same as `data`, for "vstar:FOLDER".
        split: one of `splits`.
        data: folder that has the files as the hub repository does, or the file of rows itself; by default they are
            downloaded from the hub.
        revision: of the hub repository, a branch, tag or commit; by default the newest.
        category: only tasks of these categories, joined by "+".
        n: at most so many tasks; 0 for all.
        scoring: "o3gym", or "official" for the released rule with its flaws, where it has some.

    Attributes:
        repository: hub id.
        files: split to the patterns of its files, those of the rows first; the first that matches has the rows.
        counts: split to the number of rows that its authors state.
        columns: those that must be there.
        grouped_by: the column that `category` filters by, see `category_of`.
        pictures: columns of pictures, where they are in the table itself.
        identity: columns that together tell rows apart, and are checked to do so; none where rows are numbered.
        repeats: whether the released file is known to hold rows more than once; they are used once, but for
            `scoring="official"`.
        judge: of its tasks; "" for the one that fits their kind.
        official: judge that scores as the released code does, where that is known to err; "" where there is none.
        two_scorings: whether official scoring differs in what the suite's measure makes of verdicts.
        folder: where the file of rows is, and the pictures that it names.
    """

    repository: ClassVar[str]
    files: ClassVar[Mapping[str, Sequence[str]]]
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
        files = self._row_files()
        self.folder, self.rows = files[0].parent, open_table(files, self.pictures)
        self.rows.need(self.columns, self.root)
        self._chosen = self._choose(category)

    @classmethod
    def about(cls, ask: bool = False) -> str:
        """Rows, size of the download (where the hub is asked), licence, hub id, and whether it has been downloaded."""
        rows = sum(cls.counts.values())
        said = [f"{rows:,} rows"] if rows else []
        if ask:
            said.append(hub.download_size(cls.repository, [pattern for some in cls.files.values() for pattern in some]))
        here = "downloaded" if cls._downloaded() else "not here"
        return f"({'; '.join([*said, f'licence: {cls.licence}', cls.repository])}, {here})"

    @classmethod
    def _downloaded(cls) -> bool:
        """Whether the hub's cache has a table for every split."""
        return all(_has_table(hub.cached_folder(cls.repository, patterns), patterns) for patterns in cls.files.values())

    # ── what a subclass says ────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def convert(self, row: TableRow) -> Task:
        """The task of a row; its id is what the row calls itself, "" for its number. Raises `BadRow`."""

    def belongs(self, row: TableRow) -> bool:
        """Whether a row of the file is one of the suite's."""
        return True

    def category_of(self, row: TableRow) -> str:
        """What `category` filters by."""
        return str(row.get(self.grouped_by, ""))

    # ── the suite ───────────────────────────────────────────────────────────────────────────────────────────────────

    def __bool__(self) -> bool:
        """Whether there is a task: that needs one row, a count needs the whole file."""
        return bool(self.rows if self._chosen is None else self._chosen)

    def __len__(self) -> int:
        self._check_rows()
        count = len(self.rows) if self._chosen is None else len(self._chosen)
        return min(count, self._n) if self._n else count

    def __getitem__(self, index: Any) -> Any:
        """A task; one from the front of the file needs no count of what follows it."""
        if isinstance(index, int) and index >= 0 and not (self._n and index >= self._n):
            try:
                return self.task(index)
            except IndexError:
                pass
        return super().__getitem__(index)

    def task(self, index: int) -> Task:
        """The task at `index`."""
        row = index if self._chosen is None else self._chosen[index]
        try:
            return self._finished(self.convert(self.rows[row]), row)
        except BadRow as problem:
            raise SuiteError(f"{self.rows.where(row)}, {problem}") from problem

    def _finished(self, task: Task, row: int) -> Task:
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
        identity = f"{task.id or row}{f'#{self._again[row]}' if row in self._again else ''}"
        return replace(task, id=f"{self.name}/{self.split}/{identity}", origin={**origin, **task.origin})

    def _choose(self, category: str) -> list[int] | None:
        """Rows that are used; None for all, so that a table of gigabytes is not read for it."""
        self._again: dict[int, int] = {}
        if not category and not self.repeats and type(self).belongs is Released.belongs:
            return None
        self._check_rows()
        rows = [i for i, row in enumerate(self.rows) if self.belongs(row)]
        rows = self._without_repeats(rows) if self.repeats else rows
        if not category:
            return rows
        categories, wanted = {i: self.category_of(self.rows[i]) for i in rows}, category.split("+")
        known = sorted(set(categories.values()))
        for name in wanted:
            if name not in known:
                raise SuiteError(
                    f'{self.name}: no category "{name}"{closest(name, known)} (it has: {", ".join(known)})'
                )
        return [i for i in rows if categories[i] in wanted]

    def _without_repeats(self, rows: Sequence[int]) -> list[int]:
        """Rows without exact copies of earlier ones; those that are kept but have an earlier one's id are numbered."""
        seen: set[str] = set()
        ids: Counter[str] = Counter()
        kept = []
        for i in rows:
            words = {column: value for column, value in self.rows[i].items() if column not in self.pictures}
            content, identity = repr(words), repr([words[column] for column in self.identity])
            if content in seen and self.scoring == "o3gym":
                continue
            seen.add(content)
            ids[identity] += 1
            if ids[identity] > 1:
                self._again[i] = ids[identity]
            kept.append(i)
        if len(kept) < len(rows):
            self._warn(
                f"{self.name}: {len(rows) - len(kept)} rows of {len(rows)} are copies of others and are left out"
            )
        return kept

    def _known_scoring(self, scoring: str) -> Literal["o3gym", "official"]:
        if scoring == "o3gym":
            return "o3gym"
        if scoring != "official":
            raise ValueError(f'scoring: expected "o3gym" or "official", got "{scoring}"')
        if not (self.official or self.repeats or self.two_scorings):
            raise ValueError(f"scoring: {self.name} has one, since no flaw of its official one is known")
        return "official"

    def _check_rows(self) -> None:
        """Whether the file has as many rows as its authors state, and each an id of its own."""
        if self._checked:
            return
        if self.identity and not self.repeats:
            self._check_ids()  # first: it goes through the rows as the file is read, and then they are counted
        expected, count = self.counts.get(self.split), len(self.rows)
        if expected is not None and count != expected:
            self._warn(
                f"{self.name}: expected {expected} rows in {self.root}, got {count}; "
                "published numbers are of another set"
            )
        self._checked = True

    def _check_ids(self) -> None:
        seen: dict[tuple[str, ...], int] = {}
        for i, row in enumerate(self.rows):
            identity = tuple(str(row.get(column)) for column in self.identity)
            if identity in seen:
                raise SuiteError(
                    f'{self.rows.where(i)}, field "{self.identity[-1]}": expected an id that no other row has, '
                    f"got {identity[-1]!r}, as in {self.rows.where(seen[identity])}"
                )
            seen[identity] = i

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings = (*self.warnings, text)

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _locate(self, data: str, revision: str) -> tuple[Path, str]:
        """The folder (or file) with the data, and the hub revision where they are from there."""
        if data:
            path = Path(data)
            if not path.exists():
                raise SuiteError(
                    f"{self.name}: no such file or folder: {data}; "
                    f"expected the files of the hub repository {self.repository}"
                )
            if revision:
                raise ValueError("revision: is of a download; leave it out where data are given")
            return path, ""
        folder = hub.download_files(self.repository, self.files[self.split], revision)
        return folder, folder.name

    def _row_files(self) -> list[Path]:
        if self.root.is_file():
            return [self.root]
        for pattern in self.files[self.split]:
            found = sorted(path for path in self.root.glob(pattern) if path.suffix in TABLES)
            if found:
                return found
        patterns = ", ".join(self.files[self.split])
        inside = ", ".join(sorted(path.name for path in self.root.iterdir())[:8]) or "nothing"
        raise SuiteError(f"{self.name}: expected a file like {patterns} in {self.root}, found {inside}")


def _has_table(folder: Path | None, patterns: Sequence[str]) -> bool:
    """Older versions of the hub's package hand out a folder in which the files are not."""
    return folder is not None and any(path.suffix in TABLES for some in patterns for path in folder.glob(some))
