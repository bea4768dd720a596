"""A run directory: what defines the run, and one line per finished episode.

    run.json          the protocol: everything that defines the run
    episodes.jsonl    one `Trajectory` as JSON per line, in the order in which they ended
    sources/<sha256>  encoded pictures that exist nowhere else (sources of kind "bytes")

The folder only grows, so a run that was killed at any moment is opened again and goes on: `RunStore.done` says which
episodes are there. A line is written with its newline in one go, and its pictures before it, so a kill can only leave a
last line without newline; that is cut off when the folder is opened for writing and skipped when it is read. Data
reaches the disk itself (fsync) every `SYNC_SECONDS` and at `close`: a power cut can cost the episodes since then.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from o3gym.codec import encode
from o3gym.types import EpisodeKey, Source, Trajectory

PROTOCOL = "run.json"
EPISODES = "episodes.jsonl"
SOURCES = "sources"
SYNC_SECONDS = 5.0
KEPT_SOURCES = 16
"""Pictures kept while reading: siblings of one task follow each other, and share theirs."""


class RunError(RuntimeError):
    """A run directory cannot be opened, read or written; the message names the file and what to do."""


def open_run(path: str | Path) -> Run:
    """Open a run directory for reading. Raises `RunError` if `path` is not one."""
    folder = Path(path)
    if not ((folder / PROTOCOL).is_file() and (folder / EPISODES).is_file()):
        raise RunError(f"no run at {folder}: expected {PROTOCOL} and {EPISODES}")
    return Run(folder, _read_protocol(folder))


class Run:
    """A run directory opened for reading, also while another process writes it. Made by `open_run`.

    Iterating gives its trajectories lazily, in the order they were written, with the bytes of their pictures.
    """

    def __init__(self, path: Path, protocol: Mapping[str, Any]) -> None:
        self.path = path
        self.protocol = protocol
        self._picture = lru_cache(KEPT_SOURCES)(partial(_read_picture, path))

    def __iter__(self) -> Iterator[Trajectory]:
        return (self._filled(trajectory) for trajectory in self.records())

    def trajectories(self) -> list[Trajectory]:
        """All episodes, in memory."""
        return list(self)

    def records(self) -> Iterator[Trajectory]:
        """The episodes without the bytes of their pictures: all that a report needs, and much faster to read."""
        for number, data in _lines(self.path / EPISODES):
            try:
                yield Trajectory.from_json(data)
            except ValueError as error:
                raise RunError(f"{self.path / EPISODES}:{number}: {error}") from error

    def done(self) -> set[EpisodeKey]:
        """Keys (arm, group, sample, agent) of the episodes that are stored."""
        return set(_keys(self.path / EPISODES))

    def _filled(self, trajectory: Trajectory) -> Trajectory:
        return dataclasses.replace(
            trajectory,
            task=dataclasses.replace(trajectory.task, sources=tuple(map(self._with_data, trajectory.task.sources))),
            sources=tuple(map(self._with_data, trajectory.sources)),
            children=tuple(map(self._filled, trajectory.children)),
        )

    def _with_data(self, source: Source) -> Source:
        if source.parent is not None:
            source = dataclasses.replace(source, parent=self._with_data(source.parent))
        return dataclasses.replace(source, data=self._picture(source.ref)) if source.kind == "bytes" else source


class RunStore(Run):
    """A run directory opened for writing: made if it is new, continued if it is there.

    One process at a time may write a folder. Use it as a context manager, or call `close`.

    Args:
        path: the folder.
        protocol: JSON values that define the run (suite, split, seed, k, arms, sampling, package versions). A folder
            that holds another one is refused with the keys that differ, so that no run mixes two.
    """

    def __init__(self, path: str | Path, protocol: Mapping[str, Any]) -> None:
        super().__init__(Path(path), json.loads(json.dumps(encode(protocol))))
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder {self.path}: {error.strerror}") from error
        self._done: set[EpisodeKey] = set()
        self._saved: set[str] = set()
        self._unsynced: list[Path] = []
        self._synced = time.monotonic()
        self._file = os.open(self.path / EPISODES, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            lock_file(self._file, self.path)
            self._settle_protocol()
            self._cut_torn_line()
            self._done = _unique(self.path / EPISODES)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def done(self) -> set[EpisodeKey]:
        """Keys (arm, group, sample, agent) of the episodes that are stored."""
        return set(self._done)

    def append(self, trajectory: Trajectory) -> None:
        """Store one finished episode; a `RunError` (stored already, disk full) leaves earlier ones whole."""
        if self._file < 0:
            raise RunError(f"{self.path} is closed")
        if trajectory.key in self._done:
            raise RunError(f"{self.path / EPISODES}: episode {trajectory.key} is stored already")
        line = json.dumps(trajectory.to_json(), separators=(",", ":")).encode() + b"\n"
        for source in _byte_sources(trajectory):
            self._save(source)
        self._write(line)
        self._done.add(trajectory.key)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Bring everything to the disk and let other processes write the folder. Does nothing the second time."""
        if self._file >= 0:
            try:
                self._sync()
            finally:
                os.close(self._file)
                self._file = -1

    def _settle_protocol(self) -> None:
        if (self.path / PROTOCOL).exists():
            found = differences(_read_protocol(self.path), self.protocol)
            changes = [f"\n  {path}: expected {expected}, got {got}" for path, expected, got in found]
            if changes:
                raise RunError(f"{self.path} has another protocol; use it or another folder:{''.join(changes)}")
        elif os.fstat(self._file).st_size:
            raise RunError(f"{self.path} has {EPISODES} but no {PROTOCOL}: its protocol is lost; choose another folder")
        else:
            self._write_whole(self.path / PROTOCOL, (json.dumps(self.protocol, indent=2) + "\n").encode())

    def _cut_torn_line(self) -> None:
        with (self.path / EPISODES).open("rb") as file:
            os.ftruncate(self._file, sum(len(line) for line in file if line.endswith(b"\n")))

    def _save(self, source: Source) -> None:
        path = _picture_path(self.path, source.ref)
        if source.ref in self._saved or (source.data is None and path.is_file()):
            return
        if source.data is None:
            raise RunError(f"a picture has no bytes and is not in {path.parent}: {source.ref}")
        if hashlib.sha256(source.data).hexdigest() != source.ref:
            raise RunError(f"a picture's bytes do not have the SHA-256 that its source names: {source.ref}")
        if not path.is_file() or path.stat().st_size != len(source.data):
            path.parent.mkdir(exist_ok=True)
            self._write_whole(path, source.data)
        self._saved.add(source.ref)

    def _write_whole(self, path: Path, data: bytes) -> None:
        partial = path.with_name(path.name + ".partial")
        try:
            partial.write_bytes(data)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise self._refused(path, error) from error
        self._unsynced.append(path)

    def _write(self, line: bytes) -> None:
        try:
            append_line(self._file, line)
        except OSError as error:
            raise self._refused(self.path / EPISODES, error) from error

    def _refused(self, path: Path, error: OSError) -> RunError:
        reason = error.strerror or str(error)
        return RunError(f"cannot write {path}: {reason}; the {len(self._done)} episodes stored before are whole")

    def _sync(self) -> None:
        """Pictures before the lines that need them."""
        try:
            for path in self._unsynced:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            os.fsync(self._file)
        except OSError as error:
            raise self._refused(self.path, error) from error
        self._unsynced.clear()
        self._synced = time.monotonic()


def lock_file(file: int, path: Path) -> None:
    """Keep other processes from writing an open file; `path` is what the error calls it. Raises `RunError`."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError(f"{path} is being written by another process: wait, or choose another folder") from None


def append_line(file: int, line: bytes) -> None:
    """Add a line to an open file, all of it or nothing. Raises OSError where the disk does not take it."""
    start = os.fstat(file).st_size
    written = 0
    try:
        while written < len(line):  # one write, unless the disk takes only a part of it
            written += os.write(file, line[written:])
    finally:
        if written < len(line):
            os.ftruncate(file, start)


def _read_protocol(folder: Path) -> dict[str, Any]:
    return _object((folder / PROTOCOL).read_bytes(), str(folder / PROTOCOL))


def _object(text: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RunError(f"{where}: damaged, not JSON ({error})") from error
    if not isinstance(data, dict):
        raise RunError(f"{where}: damaged, expected a JSON object, got {type(data).__name__}")
    return data


def differences(first: Any, second: Any, where: str = "") -> Iterator[tuple[str, str, str]]:
    """In what two JSON values differ: the dotted path of each key, and both its values as text."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            path = f"{where}.{key}" if where else key
            yield from differences(first.get(key, "(missing)"), second.get(key, "(missing)"), path)
    elif first != second:
        yield where, f"{json.dumps(first):.200}", f"{json.dumps(second):.200}"


def merge_runs(folders: Sequence[str | Path], out: str | Path) -> Run:
    """Put the episodes of several runs with equal protocols into one run folder, which may be there already.

    An episode that several of them have is taken from the first.

    Raises:
        RunError: a folder is no run, or its protocol differs from the first one's; the message names in what.
    """
    runs = [open_run(folder) for folder in folders]
    with RunStore(out, runs[0].protocol) as store:
        for run in runs:
            changes = [f"\n  {path}: {one}, {other}" for path, one, other in differences(store.protocol, run.protocol)]
            if changes:
                raise RunError(f"{run.path} has another protocol than {runs[0].path}:{''.join(changes)}")
        stored = store.done()
        for trajectory in (trajectory for run in runs for trajectory in run):
            if trajectory.key not in stored:
                store.append(trajectory)
                stored.add(trajectory.key)
    return open_run(out)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of each whole line; a last line without newline is still being written, or was torn."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            yield number, _object(line, f"{path}:{number}")


def _keys(path: Path) -> Iterator[EpisodeKey]:
    for _, data in _lines(path):
        yield (data.get("arm", ""), data.get("group", ""), data.get("sample", 0), data.get("agent", "main"))


def _unique(path: Path) -> set[EpisodeKey]:
    seen: dict[EpisodeKey, int] = {}
    for number, key in enumerate(_keys(path), 1):
        if seen.setdefault(key, number) != number:
            raise RunError(f"{path}:{number}: episode {key} is there twice, first in line {seen[key]}")
    return set(seen)


def _byte_sources(trajectory: Trajectory) -> Iterator[Source]:
    for source in (*trajectory.task.sources, *trajectory.sources):
        root: Source | None = source
        while root is not None:
            if root.kind == "bytes":
                yield root
            root = root.parent
    for child in trajectory.children:
        yield from _byte_sources(child)


def _picture_path(folder: Path, ref: str) -> Path:
    if not re.fullmatch("[0-9a-f]{64}", ref):  # it becomes a file name, and a run may come from elsewhere
        raise RunError(f'{folder}: a picture\'s reference is not a SHA-256: "{ref:.80}"')
    return folder / SOURCES / ref


def _read_picture(folder: Path, ref: str) -> bytes:
    path = _picture_path(folder, ref)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: a picture of this run cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != ref:
        raise RunError(f"{path}: damaged picture, its SHA-256 is not its name")
    return data
