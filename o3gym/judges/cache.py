"""Verdicts of model judges, kept: who asks the same question again pays nothing and gets the same answer."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from threading import Lock

_logger = logging.getLogger(__name__)

CACHE = "O3GYM_CACHE"
"""The environment variable that names the folder."""


def cache_folder() -> Path:
    """Where verdicts are cached: O3GYM_CACHE, or `o3gym` in XDG_CACHE_HOME, by default `~/.cache`."""
    named, shared = os.environ.get(CACHE), os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else Path(shared or Path.home() / ".cache") / "o3gym"


class VerdictCache:
    """Words by key in an append-only file that any number of threads and processes share; the first one counts.

    Each line is written in one go. Lines that cannot be read (cut by a full disk, say) are skipped. Neither questions
    nor answers are in the file, only their hash.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._known: dict[str, str] = {}
        self._offset = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("ab").close()
        except OSError as error:
            raise ValueError(f"cache: cannot write {path}: {error.strerror}; name another by cache=FILE") from error

    def get(self, key: str) -> str:
        """The word, also if another process wrote it meanwhile; "" if there is none."""
        with self._lock:
            if key not in self._known:
                self._read_on()
            return self._known.get(key, "")

    def put(self, key: str, word: str) -> str:
        """Keep a word, and give the one that counts. What cannot be written is only remembered, with a warning."""
        line = json.dumps({"key": key, "word": word}).encode() + b"\n"
        with self._lock:
            if key not in self._known:
                self._known[key] = word
                self._append(line)
            return self._known[key]

    def _append(self, line: bytes) -> None:
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            _logger.warning("a verdict could not be cached in %s: %s", self._path, error.strerror)

    def _read_on(self) -> None:
        """Read the whole lines that came since."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.split(b"\n"):
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            key, word = entry["key"], entry["word"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if isinstance(key, str) and isinstance(word, str):
            self._known.setdefault(key, word)
