"""Published benchmarks and training sets, read from the files that their authors released.

A subclass says where the files are, which columns they have and how a row becomes a task. Files come from a folder that
has them as their hub repository does, or are downloaded from there. Rows are read when they are asked for.
"""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from o3gym.geometry import from_pixels, is_box, is_empty
from o3gym.images import PictureError, shared_store
from o3gym.registry import closest, require
from o3gym.suites.base import BadRow, Suite, SuiteError
from o3gym.suites.rows import Row, Rows
from o3gym.types import LETTERS, Box, Source, Task

OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s*(.*)$")
"""An option with its letter: "(A) red", "A. red"."""
TABLES = (".tsv", ".json", ".jsonl", ".parquet")
"""Endings of files of rows."""
ROUNDING = 2.0
"""Pixels by which a released box may leave its picture; it is cut there."""


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
        self.rows = self.open_rows(self._row_files())
        self.rows.need(self.columns, self.root)
        self._chosen = self._choose(category)

    @classmethod
    def about(cls) -> str:
        """Rows, licence, hub id, and whether its files have been downloaded."""
        rows = sum(cls.counts.values())
        here = "downloaded" if all(map(partial(_downloaded, cls.repository), cls.files.values())) else "not here"
        return f"({rows:,} rows; licence: {cls.licence}; {cls.repository}, {here})"

    # ── what a subclass says ────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def open_rows(self, files: Sequence[Path]) -> Rows:
        """The table."""

    @abstractmethod
    def convert(self, row: Row) -> Task:
        """The task of a row; its id is what the row calls itself, "" for its number. Raises `BadRow`."""

    def category_of(self, row: Row) -> str:
        """What `category` filters by."""
        return str(row.get("category", ""))

    # ── the suite ───────────────────────────────────────────────────────────────────────────────────────────────────

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

    @property
    def kinds(self) -> frozenset[str]:
        """That of its first task."""
        return frozenset({self[0].kind})

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
        self._compare_counts(len(self.rows))
        found, wanted = Counter(self.category_of(row) for row in self.rows), category.split("+")
        for name in wanted:
            if name not in found:
                known = ", ".join(sorted(found))
                raise SuiteError(f'{self.name}: no category "{name}"{closest(name, found)} (it has: {known})')
        return [i for i, row in enumerate(self.rows) if self.category_of(row) in wanted]

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
            f"then give data=FOLDER (--data FOLDER)"
        ) from error


def _downloaded(repository: str, patterns: Sequence[str]) -> bool:
    """Whether the hub's cache has a table of a data set."""
    try:
        hub = require("huggingface_hub", "suites")
        folder = Path(hub.snapshot_download(repository, repo_type="dataset", local_files_only=True))
    except Exception:  # no package, nothing in the cache, a cache that cannot be read: it is not here
        return False
    return any(path.suffix in TABLES for pattern in patterns for path in folder.glob(pattern))


# ── reading rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def text(row: Row, field: str) -> str:
    """A field that must be a text with something in it."""
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(field, "a text", value)
    return value.strip()


def word(row: Row, field: str) -> str:
    """A field as a text: numbers are written out."""
    value = row.get(field)
    if value is None or isinstance(value, (list, dict)) or not str(value).strip():
        raise BadRow(field, "a text or number", value)
    return str(value).strip()


def picture(folder: Path, name: str, field: str = "image") -> Source:
    """A picture file, which must be there."""
    path = folder / name
    if not path.is_file():
        near = closest(path.name, [p.name for p in path.parent.glob("*")][:2000] if path.parent.is_dir() else [])
        raise BadRow(field, f"an existing file{near}", str(path))
    return Source.file(str(path))


def pixel_box(box: object, source: Source, field: str, size: tuple[int, int] | None = None) -> Box:
    """[x0, y0, x1, y1] in pixels of a picture as unit xyxy; it must lie inside."""
    if not is_box(box):
        raise BadRow(field, "[x0, y0, x1, y1] of four numbers", box)
    assert isinstance(box, (list, tuple))
    width, height = size or _size(source, field)
    x0, y0, x1, y1 = box
    inside = min(x0, y0) >= -ROUNDING and x1 <= width + ROUNDING and y1 <= height + ROUNDING
    if is_empty(box) or not inside:
        raise BadRow(field, f"x0 < x1 and y0 < y1 inside the picture of {width}×{height} pixels", box)
    cut = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    return from_pixels(cut, (width, height))


def _size(source: Source, field: str) -> tuple[int, int]:
    try:
        return shared_store().size(source)
    except PictureError as error:
        raise BadRow(field, "a readable picture", str(error)) from error


def letter(row: Row, field: str, choices: Sequence[str]) -> str:
    """The right letter, "B", "(B)" or "b"; it must have an option."""
    value = word(row, field).strip("().: ").upper()
    letters = LETTERS[: len(choices)]
    if len(value) != 1 or value not in letters:
        raise BadRow(field, f"one of the letters {letters}, for which there are options", row.get(field))
    return value


def columns_of_options(row: Row, letters: str) -> tuple[str, ...]:
    """Options in columns named by their letters, as far as there are any."""
    options = [str(row.get(letter) or "").strip() for letter in letters]
    while options and options[-1].lower() in ("", "nan", "none"):
        options.pop()
    for name, option in zip(letters, options, strict=False):
        if not option:
            raise BadRow(name, "an option, since later ones are there", row.get(name))
    if len(options) < 2:
        raise BadRow(letters[0], "at least two options", options)
    return tuple(options)


def shuffled(choices: Sequence[str], right: str, seed: str) -> tuple[tuple[str, ...], str]:
    """Options in the order that `seed` gives, and the letter of the one that had the letter `right`."""
    order = list(range(len(choices)))
    random.Random(seed).shuffle(order)
    return tuple(choices[i] for i in order), LETTERS[order.index(LETTERS.index(right))]
