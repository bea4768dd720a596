"""Published benchmarks and training sets, read from the files that their authors released.

A subclass says where the files are, which columns they have and how a row becomes a task. Files come from a folder that
has them as their hub repository does, or are downloaded from there. Rows are read when they are asked for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from o3gym.registry import closest, require
from o3gym.suites.base import BadRow, Suite, SuiteError
from o3gym.suites.rows import Row, open_rows
from o3gym.types import Task

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

    Attributes:
        repository: hub id.
        files: split to the patterns of its files, those of the rows first; the first that matches has the rows.
        counts: split to the number of rows that its authors state.
        columns: those that must be there.
        judge: of its tasks; "" for the one that fits their kind.
        folder: where the file of rows is, and the pictures that it names.
    """

    repository: ClassVar[str]
    files: ClassVar[Mapping[str, Sequence[str]]]
    counts: ClassVar[Mapping[str, int]] = {}
    columns: ClassVar[tuple[str, ...]] = ()
    judge: ClassVar[str] = ""

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        data: str = "",
        revision: str = "",
        category: str = "",
        n: int = 0,
    ) -> None:
        super().__init__(argument, split)
        if type(n) is not int or n < 0:
            raise ValueError(f"n: expected a whole number from 0 up, got {n!r}")
        self._n = n
        self.root, self.revision = self._locate(data or argument, revision)
        files = self._row_files()
        self.folder, self.rows = files[0].parent, open_rows(files)
        self.rows.need(self.columns, self.root)
        self._chosen = self._choose(category)

    @classmethod
    def about(cls) -> str:
        """Rows, licence, hub id, and whether its files have been downloaded."""
        rows = sum(cls.counts.values())
        here = all(_downloaded(cls.repository, patterns) for patterns in cls.files.values())
        return f"({rows:,} rows; licence: {cls.licence}; {cls.repository}, {'downloaded' if here else 'not here'})"

    # ── what a subclass says ────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def convert(self, row: Row) -> Task:
        """The task of a row; its id is what the row calls itself, "" for its number. Raises `BadRow`."""

    def category_of(self, row: Row) -> str:
        """What `category` filters by."""
        return str(row.get("category", ""))

    # ── the suite ───────────────────────────────────────────────────────────────────────────────────────────────────

    def __bool__(self) -> bool:
        """Whether there is a task: that needs one row, a count needs the whole file."""
        return bool(self.rows if self._chosen is None else self._chosen)

    def __len__(self) -> int:
        count = len(self.rows) if self._chosen is None else len(self._chosen)
        if self._chosen is None:
            self._compare_counts(count)
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
        origin = {
            "suite": self.name,
            "version": self.version,
            "split": self.split,
            "index": row,
            **({"revision": self.revision} if self.revision else {}),
            **({"judge": self.judge} if self.judge else {}),
        }
        return replace(task, id=f"{self.name}/{self.split}/{task.id or row}", origin={**origin, **task.origin})

    def _choose(self, category: str) -> list[int] | None:
        """Rows of these categories; None for all, so that a table of gigabytes is not read for it."""
        if not category:
            return None
        found, wanted = [self.category_of(row) for row in self.rows], category.split("+")
        self._compare_counts(len(found))
        for name in wanted:
            if name not in found:
                known = sorted(set(found))
                raise SuiteError(
                    f'{self.name}: no category "{name}"{closest(name, known)} (it has: {", ".join(known)})'
                )
        return [i for i, name in enumerate(found) if name in wanted]

    def _compare_counts(self, count: int) -> None:
        expected = self.counts.get(self.split)
        if expected is not None and count != expected:
            self._warn(
                f"{self.name}: expected {expected} rows in {self.root}, got {count}; "
                "published numbers are of another set"
            )

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
        folder = download(self.repository, self.files[self.split], revision)
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


def download(repository: str, patterns: Sequence[str], revision: str = "") -> Path:
    """Files of a hub data set, downloaded unless they are there already; the folder is named by its commit.

    Raises:
        SuiteError: they cannot be had; the message says how else to get them.
    """
    hub = require("huggingface_hub", "suites")
    try:
        return Path(
            hub.snapshot_download(
                repository, repo_type="dataset", revision=revision or None, allow_patterns=list(patterns)
            )
        )
    except Exception as error:  # network, authentication, a name that is gone, a full disk: each with its own class
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SuiteError(
            f"cannot download {repository} ({why}); "
            f"where there is a network: hf download {repository} --repo-type dataset --local-dir FOLDER, "
            f"then name the folder in the suite: ?data=FOLDER"
        ) from error


def _downloaded(repository: str, patterns: Sequence[str]) -> bool:
    """Whether the hub's cache has a table of a data set."""
    try:
        hub = require("huggingface_hub", "suites")
        folder = Path(hub.snapshot_download(repository, repo_type="dataset", local_files_only=True))
    except Exception:  # no package, nothing in the cache, a cache that cannot be read: it is not here
        return False
    return any(path.suffix in TABLES for pattern in patterns for path in folder.glob(pattern))
