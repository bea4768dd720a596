"""A run directory: the protocol that defines the run, and one line per finished episode.

    run.json          the protocol: everything that defines the run
    episodes.jsonl    one `Trajectory` as JSON per line, in the order in which the episodes ended
    sources/<sha256>  encoded pictures that exist nowhere else (sources of kind "bytes")
    thumbs/*.jpg      thumbnails for the page, made while the episodes were played

The folder only grows, so a run that was killed at any moment can be opened again and continued: `RunStore.done` tells
which episodes are stored. The pictures of an episode are written before its line, and lines are appended as
`o3gym.append_log` describes. A power cut can cost the episodes of the last `o3gym.append_log.SYNC_SECONDS`.

**The last line of a key counts.** An episode that failed may be played or judged again; its new line replaces the
earlier one, which stays in the file. Every reader skips replaced lines, so reports, pages, exports, comparisons and
merges agree.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from o3gym.append_log import AppendLog, whole_lines
from o3gym.codec import encode
from o3gym.types import EpisodeKey, Source, Trajectory

PROTOCOL = "run.json"
EPISODES = "episodes.jsonl"
SOURCES = "sources"
ADDED_KEYS = ("tasks", "suite_files")
"""Keys of a protocol that runs of earlier versions lack. Such a run is continued all the same."""
KEPT_SOURCES = 16
"""Pictures cached while reading: episodes of one task follow each other and share their pictures."""


class RunError(RuntimeError):
    """A run directory or a journal cannot be opened, read or written; the message names the file and the reason."""


class StoredEpisode(NamedTuple):
    """Where the line of an episode is, counted from 1, and how the episode ended."""

    line: int
    stop: str
    verdict: str

    @property
    def failed(self) -> bool:
        """Whether the episode stopped with an error, or has no verdict because its judge failed."""
        return self.stop == "error" or self.verdict == "failed"


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
        self._index: dict[EpisodeKey, StoredEpisode] = {}
        self._offset = self._lines = 0

    def __iter__(self) -> Iterator[Trajectory]:
        return (self._with_pictures(trajectory) for trajectory in self.records())

    def trajectories(self) -> list[Trajectory]:
        """Returns all episodes, in memory."""
        return list(self)

    def records(self, lines: int | None = None, only: Collection[EpisodeKey] | None = None) -> Iterator[Trajectory]:
        """Yields the episodes without the bytes of their pictures: much faster, and enough for reports.

        Args:
            lines: reads only so many lines of the file, as `line_count` returned them earlier; by default, all.
            only: the keys of the episodes to read; by default, all.
        """
        index = self._read_index(lines)
        wanted = {entry.line for key, entry in index.items() if only is None or key in only}
        path = self.path / EPISODES
        for number, line in enumerate(islice(whole_lines(path), max(wanted, default=0)), 1):
            if number in wanted:
                try:
                    yield Trajectory.from_json(_json_object(line, f"{path}:{number}"))
                except ValueError as error:
                    raise RunError(f"{path}:{number}: damaged, {error}; {_hint(self.path)}") from error

    def line_count(self) -> int:
        """The number of lines stored so far, replaced ones included."""
        self.stored()
        return self._lines

    def done(self) -> set[EpisodeKey]:
        """Keys (arm, group, sample, agent) of the stored episodes."""
        return set(self.stored())

    def stored(self) -> Mapping[EpisodeKey, StoredEpisode]:
        """The stored episodes by key. Lines that were read before are not read again."""
        for line in whole_lines(self.path / EPISODES, self._offset):
            key, entry = _entry(self.path, self._lines + 1, line)
            self._lines, self._offset = self._lines + 1, self._offset + len(line)
            self._index[key] = entry
        return self._index

    def _read_index(self, lines: int | None) -> Mapping[EpisodeKey, StoredEpisode]:
        """The episodes of the first `lines` lines by key."""
        if lines is None or lines >= self.line_count():
            return dict(self.stored())
        read = enumerate(islice(whole_lines(self.path / EPISODES), lines), 1)
        return dict(_entry(self.path, number, line) for number, line in read)

    def _with_pictures(self, trajectory: Trajectory) -> Trajectory:
        return dataclasses.replace(
            trajectory,
            task=dataclasses.replace(trajectory.task, sources=tuple(map(self.with_data, trajectory.task.sources))),
            sources=tuple(map(self.with_data, trajectory.sources)),
            children=tuple(map(self._with_pictures, trajectory.children)),
        )

    def with_data(self, source: Source) -> Source:
        """The source with the bytes of its picture, and those of its parents, if they are stored in the run folder."""
        if source.parent is not None:
            source = dataclasses.replace(source, parent=self.with_data(source.parent))
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
        self._saved: set[str] = set()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._log = AppendLog(self.path / EPISODES)
        except OSError as error:
            raise RunError(f"cannot open {self.path} for writing: {error.strerror}") from error
        try:
            self._settle_protocol()
            self._log.cut_torn_line()
            super().stored()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def stored(self) -> Mapping[EpisodeKey, StoredEpisode]:
        """The stored episodes by key."""
        return self._index  # nobody else writes to the file

    def append(self, trajectory: Trajectory) -> None:
        """Stores one finished episode.

        Raises:
            RunError: the episode is stored already, or it cannot be written; all earlier episodes stay intact.
        """
        if trajectory.key in self._index:
            raise RunError(f"{self.path / EPISODES}: episode {trajectory.key} is stored already")
        self.put(trajectory)

    def put(self, trajectory: Trajectory) -> None:
        """Stores one finished episode, which replaces an earlier one with the same key.

        Raises:
            RunError: the episode cannot be written; all earlier episodes stay intact.
        """
        if self._log.closed:
            raise RunError(f"{self.path} is closed")
        line = json.dumps(trajectory.to_json(), separators=(",", ":")).encode()
        for source in _byte_sources(trajectory):
            self._save(source)
        try:
            self._log.append(line)
            # before fsync: the line is in the file even if the disk then fails
            self._lines += 1
            self._index[trajectory.key] = StoredEpisode(self._lines, trajectory.stop, trajectory.verdict)
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
            found = protocol_differences(_read_protocol(self.path), self.protocol)
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
        return RunError(f"cannot write {path}: {reason}; the {len(self._index)} episodes stored before are intact")


def protocol_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields the `differences` of two protocols. Those of earlier versions have no keys in `ADDED_KEYS`."""
    left_out = {key for key in ADDED_KEYS if (key in first) != (key in second)}
    one, other = ({key: value for key, value in each.items() if key not in left_out} for each in (first, second))
    return differences(one, other)


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

    An episode that several runs have is taken from the first of them in which it did not fail, or else from the first.

    Raises:
        RunError: a folder is not a run, or its protocol differs from the first run's; the message lists the keys.
    """
    runs = [open_run(folder) for folder in folders]
    with RunStore(out, runs[0].protocol) as store:
        for run in runs:
            changes = [
                f"\n  {path}: {one}, {other}" for path, one, other in protocol_differences(store.protocol, run.protocol)
            ]
            if changes:
                raise RunError(f"{run.path} has another protocol than {runs[0].path}:{''.join(changes)}")
        for run in runs:
            _merge(run, store)
    return open_run(out)


def _merge(run: Run, store: RunStore) -> None:
    """Copies the episodes of a run that the store lacks, or has only as failures."""
    if run.path.resolve() == store.path.resolve():
        return
    entries = run.stored()
    for trajectory in run:
        known = store.stored().get(trajectory.key)
        if known is None or (known.failed and not entries[trajectory.key].failed):
            store.put(trajectory)


def _read_protocol(folder: Path) -> dict[str, Any]:
    return _json_object((folder / PROTOCOL).read_bytes(), str(folder / PROTOCOL))


def _json_object(text: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where}: damaged, not JSON ({error})") from error
    if not isinstance(data, dict):
        raise RunError(f"{where}: damaged, expected a JSON object, got {type(data).__name__}")
    return data


def episode_key(data: Mapping[str, Any]) -> EpisodeKey:
    """The key of an episode, given as JSON."""
    return (data.get("arm", ""), data.get("group", ""), data.get("sample", 0), data.get("agent", "main"))


def _entry(folder: Path, number: int, line: bytes) -> tuple[EpisodeKey, StoredEpisode]:
    """The key of an episode and its `StoredEpisode`, given its line and the line's number."""
    where = f"{folder / EPISODES}:{number}"
    try:
        data = _json_object(line, where)
    except RunError as error:
        raise RunError(f"{error}; {_hint(folder)}") from error
    key = episode_key(data)
    if list(map(type, key)) != [str, str, int, str]:
        raise RunError(f"{where}: damaged, not the key of an episode: {key!r:.200}; {_hint(folder)}")
    return key, StoredEpisode(number, str(data.get("stop", "")), str(data.get("verdict", "")))


def _hint(path: Path) -> str:
    return f"`o3gym repair {path}` sets damaged lines aside"


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
