"""Sets damaged lines of run folders, journals and verdict caches aside, so that the rest can be opened again.

A line is damaged if a disk error, a power cut or an editor has left something in it that cannot be read. It is moved
unchanged to a file beside the record, `NAME.damaged`, and what it held is asked for again by the same command.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from o3gym.append_log import AppendLog, replacing
from o3gym.runs.store import EPISODES, PROTOCOL, RunError, episode_key
from o3gym.types import Trajectory

ASIDE = ".damaged"
"""What the name of the file with the damaged lines has after the name of the record."""

LineFault: TypeAlias = Callable[[bytes], str]
"""Returns what is wrong with a line, or "" if it can be read."""

_EPISODE = re.compile(
    r'"arm": ?(?P<arm>"(?:[^"\\]|\\.)*"), ?"group": ?(?P<group>"(?:[^"\\]|\\.)*"), ?"sample": ?(?P<sample>\d+)'
)
_ENTRY = re.compile(r'"key": ?(?P<key>"(?:[^"\\]|\\.)*")')


@dataclass(frozen=True)
class DamagedLine:
    """A line that was set aside.

    Attributes:
        number: number of the line, from 1.
        reason: what is wrong with it.
        key: what it was about, as far as can be read: arm, group and sample of an episode, or the key of an entry.
    """

    number: int
    reason: str
    key: str = ""


@dataclass(frozen=True)
class Repair:
    """What `repair` did.

    Attributes:
        record: the file that was repaired.
        aside: the file that the damaged lines were added to.
        lines: number of lines that the record had.
        damaged: the lines that were set aside.
    """

    record: Path
    aside: Path
    lines: int
    damaged: tuple[DamagedLine, ...]


def repair(path: str | Path) -> Repair:
    """Moves the damaged lines of a run folder, a journal or a verdict cache to a file beside it.

    The record is replaced as a whole, so a kill at any moment leaves the old or the new one. Processes append to a
    verdict cache without a lock: one that does so at the moment of the replacement may have to ask for a verdict again.

    Raises:
        RunError: there is no such record, it is of another kind, another process writes to it, or it cannot be written.
    """
    record = _record(Path(path))
    aside = record.with_name(record.name + ASIDE)
    try:
        with closing(AppendLog(record)):
            fault, count, damaged = _fault_of(record), 0, list[DamagedLine]()
            for count, line in _lines(record):
                if reason := fault(line):
                    damaged.append(DamagedLine(count, reason, _readable_key(line)))
            if damaged:
                numbers = {line.number for line in damaged}
                _append(aside, (line for number, line in _lines(record) if number in numbers))
                _drop(record, numbers)
            return Repair(record, aside, count, tuple(damaged))
    except OSError as error:
        raise RunError(f"cannot repair {record}: {error.strerror}") from error


def _record(path: Path) -> Path:
    if path.is_dir():
        if not ((path / PROTOCOL).is_file() and (path / EPISODES).is_file()):
            raise RunError(f"no run at {path}: expected {PROTOCOL} and {EPISODES}")
        return path / EPISODES
    if not path.is_file():
        raise RunError(f"{path}: expected a run folder, a journal or a verdict cache, got nothing")
    return path


def _fault_of(record: Path) -> LineFault:
    """The check for the lines of a record. A file is what most of its lines are."""
    faults: dict[str, LineFault] = {
        "episode": _episode_fault,
        "journal": lambda line: _entry_fault(line, "value", object),
        "verdicts": lambda line: _entry_fault(line, "word", str),
    }
    if record.name == EPISODES:
        return faults["episode"]
    readable = {name: sum(not fault(line) for _, line in _lines(record)) for name, fault in faults.items()}
    best = max(readable, key=lambda name: readable[name])
    if not readable[best]:
        raise RunError(f"{record}: no line is that of a run, a journal or a verdict cache; nothing was changed")
    return faults[best]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from enumerate(file, 1)


def _parsed(line: bytes) -> tuple[Any, str]:
    """The JSON of a line and "", or None and what is wrong."""
    if not line.endswith(b"\n"):
        return None, "cut off, without a newline"
    try:
        return json.loads(line), ""
    except (ValueError, RecursionError) as error:
        return None, f"not JSON ({error})"


def _episode_fault(line: bytes) -> str:
    data, problem = _parsed(line)
    if problem:
        return problem
    if not isinstance(data, dict):
        return f"expected a JSON object, got {type(data).__name__}"
    try:
        Trajectory.from_json(data)
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


def _entry_fault(line: bytes, field: str, kind: type) -> str:
    data, problem = _parsed(line)
    if problem:
        return problem
    good = isinstance(data, dict) and isinstance(data.get("key"), str) and field in data
    return "" if good and isinstance(data[field], kind) else f'expected {{"key": …, "{field}": …}}'


def _readable_key(line: bytes) -> str:
    data, _ = _parsed(line)
    if isinstance(data, dict) and "key" in data:
        return str(data["key"])
    if isinstance(data, dict) and "group" in data:
        return _shown(*episode_key(data)[:3])
    # The episode's own key stands before those of its children.
    text = line.decode("utf-8", "replace").partition('"children":[{')[0]
    if found := _EPISODE.search(text):
        return _shown(json.loads(found["arm"]), json.loads(found["group"]), found["sample"])
    return json.loads(found["key"]) if (found := _ENTRY.search(text)) else ""


def _shown(arm: object, group: object, sample: object) -> str:
    return f"arm {arm}, task {group}, sample {sample}"


def _append(path: Path, lines: Iterable[bytes]) -> None:
    """Adds lines to a file, each unchanged; a line without a newline is the last one of its record."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _drop(path: Path, numbers: Collection[int]) -> None:
    with replacing(path) as partial:
        with partial.open("wb") as file:
            file.writelines(line for number, line in _lines(path) if number not in numbers)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(path.stat().st_mode & 0o777)
