"""A run directory: the protocol that defines the run, and one line per finished episode.

    run.json          the protocol: everything that defines the run
    episodes.jsonl    one `Trajectory` as JSON per line, in the order in which the episodes ended
    sources/<sha256>  encoded pictures that exist nowhere else (sources of kind "bytes")

The folder only grows, so a run that was killed at any moment can be opened again and continued: `RunStore.done` tells
which episodes are stored. The pictures of an episode are written before its line, and lines are appended as
`o3gym.append_log` describes. A power cut can cost the episodes of the last `o3gym.append_log.SYNC_SECONDS`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from o3gym.append_log import AppendLog, whole_lines
from o3gym.codec import encode
from o3gym.types import EpisodeKey, Source, Trajectory

PROTOCOL = "run.json"
EPISODES = "episodes.jsonl"
SOURCES = "sources"
KEPT_SOURCES = 16
"""Pictures cached while reading: episodes of one task follow each other and share their pictures."""


class RunError(RuntimeError):
    """A run directory or a journal cannot be opened, read or written; the message names the file and the reason."""


def open_run(path: str | Path) -> Run:
    """Opens a run directory for reading. Raises `RunError` if `path` is not a run directory."""
    folder = Path(path)
    if not ((folder / PROTOCOL).is_file() and (folder / EPISODES).is_file()):
        raise RunError(f"no run at {folder}: expected {PROTOCOL} and {EPISODES}")
    return Run(folder, _read_protocol(folder))


class Run:
    """A run directory opened for reading, even while another process writes to it. Built by `open_run`.

    Iteration yields its trajectories lazily, in the order in which they were written, with the bytes of their pictures.
    """

    def __init__(self, path: Path, protocol: Mapping[str, Any]) -> None:
        self.path = path
        self.protocol = protocol
        self._picture = lru_cache(KEPT_SOURCES)(partial(_read_picture, path))

    def __iter__(self) -> Iterator[Trajectory]:
        return (self._with_pictures(trajectory) for trajectory in self.records())

    def trajectories(self) -> list[Trajectory]:
        """Returns all episodes, in memory."""
        return list(self)

    def records(self) -> Iterator[Trajectory]:
        """Yields the episodes without the bytes of their pictures: much faster, and enough for reports."""
        for number, data in _records(self.path / EPISODES):
            try:
                yield Trajectory.from_json(data)
            except ValueError as error:
                raise RunError(f"{self.path / EPISODES}:{number}: {error}") from error

    def done(self) -> set[EpisodeKey]:
        """Keys (arm, group, sample, agent) of the stored episodes."""
        return set(_keys(self.path / EPISODES))

    def _with_pictures(self, trajectory: Trajectory) -> Trajectory:
        return dataclasses.replace(
            trajectory,
            task=dataclasses.replace(trajectory.task, sources=tuple(map(self._with_data, trajectory.task.sources))),
            sources=tuple(map(self._with_data, trajectory.sources)),
            children=tuple(map(self._with_pictures, trajectory.children)),
        )

    def _with_data(self, source: Source) -> Source:
        if source.parent is not None:
            source = dataclasses.replace(source, parent=self._with_data(source.parent))
        return dataclasses.replace(source, data=self._picture(source.ref)) if source.kind == "bytes" else source


class RunStore(Run):
    """A run directory opened for writing: created if it is new, continued if it exists.

    Only one process at a time can write to a folder. Use the store as a context manager, or call `close`.

    Args:
        path: the folder.
        protocol: JSON values that define the run (suite, split, seed, k, arms, sampling, package versions). A folder
            with another protocol is refused, so that no folder mixes two runs; the error lists the keys that differ.

    Raises:
        RunError: the folder has another protocol, is damaged, cannot be written, or another process writes to it.
    """

    def __init__(self, path: str | Path, protocol: Mapping[str, Any]) -> None:
        super().__init__(Path(path), json.loads(json.dumps(encode(protocol))))
        self._done: set[EpisodeKey] = set()
        self._saved: set[str] = set()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._log = AppendLog(self.path / EPISODES)
        except OSError as error:
            raise RunError(f"cannot open {self.path} for writing: {error.strerror}") from error
        try:
            self._settle_protocol()
            self._log.cut_torn_line()
            self._done = _unique_keys(self.path / EPISODES)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def done(self) -> set[EpisodeKey]:
        """Keys (arm, group, sample, agent) of the stored episodes."""
        return set(self._done)

    def append(self, trajectory: Trajectory) -> None:
        """Stores one finished episode.

        Raises:
            RunError: the episode is stored already, or it cannot be written; all earlier episodes stay intact.
        """
        if self._log.closed:
            raise RunError(f"{self.path} is closed")
        if trajectory.key in self._done:
            raise RunError(f"{self.path / EPISODES}: episode {trajectory.key} is stored already")
        line = json.dumps(trajectory.to_json(), separators=(",", ":")).encode()
        for source in _byte_sources(trajectory):
            self._save(source)
        try:
            self._log.append(line)
            self._done.add(trajectory.key)  # before fsync: the line is in the file even if the disk then fails
            self._log.sync_if_due()
        except OSError as error:
            raise self._refused(self.path / EPISODES, error) from error

    def close(self) -> None:
        """Brings everything to the disk and unlocks the folder. A second call does nothing."""
        try:
            self._log.close()
        except OSError as error:
            raise self._refused(self.path, error) from error

    def _settle_protocol(self) -> None:
        """Writes the protocol into a new folder, or compares it with the one of an existing run."""
        if (self.path / PROTOCOL).exists():
            found = differences(_read_protocol(self.path), self.protocol)
            changes = [f"\n  {path}: expected {expected}, got {got}" for path, expected, got in found]
            if changes:
                raise RunError(f"{self.path} has another protocol; use it or another folder:{''.join(changes)}")
        elif self._log.path.stat().st_size:
            raise RunError(f"{self.path} has {EPISODES} but no {PROTOCOL}: its protocol is lost; choose another folder")
        else:
            self._write_file(self.path / PROTOCOL, (json.dumps(self.protocol, indent=2) + "\n").encode())

    def _save(self, source: Source) -> None:
        """Stores the picture of a source of kind "bytes", unless it is stored already."""
        path = _picture_path(self.path, source.ref)
        if source.ref in self._saved or (source.data is None and path.is_file()):
            return
        if source.data is None:
            raise RunError(f"a picture has no bytes and is not in {path.parent}: {source.ref}")
        if hashlib.sha256(source.data).hexdigest() != source.ref:
            raise RunError(f"a picture's bytes do not have the SHA-256 that its source names: {source.ref}")
        if not path.is_file() or path.stat().st_size != len(source.data):
            self._write_file(path, source.data)
        self._saved.add(source.ref)

    def _write_file(self, path: Path, data: bytes) -> None:
        try:
            self._log.write_file(path, data)
        except OSError as error:
            raise self._refused(path, error) from error

    def _refused(self, path: Path, error: OSError) -> RunError:
        reason = error.strerror or str(error)
        return RunError(f"cannot write {path}: {reason}; the {len(self._done)} episodes stored before are intact")


def differences(first: Any, second: Any, where: str = "") -> Iterator[tuple[str, str, str]]:
    """Yields the differences of two JSON values: the dotted path of each key, and both of its values as text."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            path = f"{where}.{key}" if where else key
            yield from differences(first.get(key, "(missing)"), second.get(key, "(missing)"), path)
    elif first != second:
        yield where, f"{json.dumps(first):.200}", f"{json.dumps(second):.200}"


def merge_runs(folders: Sequence[str | Path], out: str | Path) -> Run:
    """Copies the episodes of several runs with equal protocols into one run folder, which may exist already.

    An episode that several runs have is taken from the first of them.

    Raises:
        RunError: a folder is not a run, or its protocol differs from the first run's; the message lists the keys.
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


def _read_protocol(folder: Path) -> dict[str, Any]:
    return _json_object((folder / PROTOCOL).read_bytes(), str(folder / PROTOCOL))


def _json_object(text: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RunError(f"{where}: damaged, not JSON ({error})") from error
    if not isinstance(data, dict):
        raise RunError(f"{where}: damaged, expected a JSON object, got {type(data).__name__}")
    return data


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number, counted from 1, and the JSON object of each whole line."""
    for number, line in enumerate(whole_lines(path), 1):
        yield number, _json_object(line, f"{path}:{number}")


def _keys(path: Path) -> Iterator[EpisodeKey]:
    for _, data in _records(path):
        yield (data.get("arm", ""), data.get("group", ""), data.get("sample", 0), data.get("agent", "main"))


def _unique_keys(path: Path) -> set[EpisodeKey]:
    seen: dict[EpisodeKey, int] = {}
    for number, key in enumerate(_keys(path), 1):
        if seen.setdefault(key, number) != number:
            raise RunError(f"{path}:{number}: episode {key} is there twice, first in line {seen[key]}")
    return set(seen)


def _byte_sources(trajectory: Trajectory) -> Iterator[Source]:
    """Yields all sources of kind "bytes" of an episode, including parents of derived sources and child episodes."""
    for source in (*trajectory.task.sources, *trajectory.sources):
        root: Source | None = source
        while root is not None:
            if root.kind == "bytes":
                yield root
            root = root.parent
    for child in trajectory.children:
        yield from _byte_sources(child)


def _picture_path(folder: Path, ref: str) -> Path:
    if not re.fullmatch("[0-9a-f]{64}", ref):  # it becomes a file name, and a run folder may come from anyone
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
