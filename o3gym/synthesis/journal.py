"""JSON values by key in an append-only file, so that an interrupted command resumes without repeating its work."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from o3gym.append_log import AppendLog, whole_lines
from o3gym.runs.store import RunError


class Journal:
    """JSON values by key, one line each, written as they arrive; the last value of a key counts.

    Only one process at a time can open a file. Use the journal as a context manager, or call `close`.

    Args:
        path: the file; it and its folder are created if they do not exist.

    Raises:
        RunError: another process has the file open, it cannot be written, or a line does not belong to a journal.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._log = AppendLog(path)
        except OSError as error:
            raise RunError(f"cannot open {path} for writing: {error.strerror}") from error
        try:
            self._log.cut_torn_line()
            self._values = _read_values(path)
        except BaseException:
            self._log.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get(self, key: str) -> Any:
        """Returns the value of a key, or None if it has none."""
        return self._values.get(key)

    def put(self, key: str, value: Any) -> None:
        """Stores a value. Raises `RunError` if it cannot be written; all earlier values stay intact."""
        try:
            self._log.append(json.dumps({"key": key, "value": value}).encode())
            self._values[key] = value
            self._log.sync_if_due()
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Brings everything to the disk and unlocks the file. A second call does nothing."""
        try:
            self._log.close()
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self._log.path}: {error.strerror}; the same command resumes from here")


def key_of(*parts: Any) -> str:
    """Hashes JSON values to a key: equal values give equal keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _read_values(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for number, line in enumerate(whole_lines(path), 1):
        try:
            entry = json.loads(line)
            values[str(entry["key"])] = entry["value"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            expected, got = 'expected {"key": …, "value": …}', line.rstrip(b"\n")
            hint = f"`o3gym repair {path}` sets damaged lines aside"
            raise RunError(f"{path}, line {number}: {expected}, got {got!r:.80}; {hint}") from error
    return values
