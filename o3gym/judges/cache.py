"""A cache of model judges' verdicts, so that the same question costs nothing again and gets the same answer."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from threading import Lock

from o3gym.append_log import append_shared, whole_lines

_logger = logging.getLogger(__name__)

CACHE = "O3GYM_CACHE"
"""The environment variable that names the folder of the cache."""


def cache_folder() -> Path:
    """Returns the folder of the cache: O3GYM_CACHE, or `o3gym` in XDG_CACHE_HOME, by default in `~/.cache`."""
    named, shared = os.environ.get(CACHE), os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else Path(shared or Path.home() / ".cache") / "o3gym"


class VerdictCache:
    """Words by key in an append-only file that any number of threads and processes share.

    The first word in the file counts for its key. Lines that cannot be read (cut by a full disk, say) are skipped. The
    file holds neither questions nor answers, only their hash.

    Args:
        path: the file; it and its folder are created if they do not exist.

    Raises:
        ValueError: the file cannot be written.
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
        """Returns the word, also one that another process wrote in the meantime, or "" if there is none."""
        with self._lock:
            if key not in self._known:
                self._read_on()
            return self._known.get(key, "")

    def put(self, key: str, word: str) -> str:
        """Adds a word and returns the one that counts, which may be another process's.

        A word that cannot be written is only remembered, with a warning.
        """
        with self._lock:
            if key not in self._known:
                self._read_on()
            if key not in self._known:
                self._append(json.dumps({"key": key, "word": word}).encode())
                # Another process may have written a word since the line above. All processes read the file in the same
                # order, so reading this word back from it lets all of them settle on the same one.
                self._read_on()
            return self._known.setdefault(key, word)

    def _append(self, line: bytes) -> None:
        try:
            append_shared(self._path, line)
        except OSError as error:
            _logger.warning("a verdict could not be cached in %s: %s", self._path, error.strerror)

    def _read_on(self) -> None:
        """Reads the whole lines that were appended since the last call."""
        try:
            if self._path.stat().st_size < self._offset:  # damaged lines were taken out of the file
                self._offset = 0
            for line in whole_lines(self._path, self._offset):
                self._offset += len(line)
                self._take(line)
        except OSError:
            return

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            key, word = entry["key"], entry["word"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if isinstance(key, str) and isinstance(word, str):
            self._known.setdefault(key, word)
