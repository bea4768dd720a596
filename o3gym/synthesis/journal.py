"""What was found out already, in a file that only grows: a stopped command goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from o3gym.runs.store import RunError, append_line, lock_file


class Journal:
    """JSON values by key, one line each, written as they come; the last of a key counts. One process may open a file.

    A line that a kill cut off is removed when the file is opened. Use it as a context manager, or call `close`.

    Args:
        path: the file; made if it is new, with its folder.

    Raises:
        RunError: another process has it open, it cannot be written, or a line is not one of a journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"cannot write {path}: {error.strerror}") from error
        try:
            lock_file(self._file, path)
            self._known = self._read()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get(self, key: str) -> Any:
        """The value of a key, None if there is none."""
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a value. Raises `RunError` where it cannot be written, and leaves what is there whole."""
        try:
            append_line(self._file, json.dumps({"key": key, "value": value}).encode() + b"\n")
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror}; the same command goes on from here") from error
        self._known[key] = value

    def close(self) -> None:
        """Let others open the file. Does nothing the second time."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> dict[str, Any]:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        os.ftruncate(self._file, len(whole))
        known: dict[str, Any] = {}
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                known[str(entry["key"])] = entry["value"]
            except (ValueError, TypeError, KeyError) as error:
                expected = 'expected {"key": …, "value": …}'
                raise RunError(f"{self.path}, line {number}: {expected}, got {line!r:.80}") from error
        return known


def key_of(*parts: Any) -> str:
    """A key for JSON values: the same for the same ones."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
