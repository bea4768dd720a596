"""Append-only files of lines that survive a kill at any moment and can be read while they grow.

A line is written together with its newline, so a killed writer can leave at most a last line without one, a torn line.
Readers stop in front of a torn line, and the next exclusive writer cuts it off. Everything here raises plain `OSError`:
only the caller knows what the file means and what its user can do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SYNC_SECONDS = 5.0
"""Seconds after which `AppendLog.sync_if_due` calls fsync again: the most that a power cut can cost."""


class AppendLog:
    """A file of lines to which only this process appends, each line whole or not at all.

    Data reaches the disk itself (fsync) in `sync`, in `sync_if_due` and in `close`, files of `write_file` before the
    lines that refer to them.

    Args:
        path: the file; it is created if it does not exist, in a folder that must exist.

    Raises:
        BlockingIOError: another process has the file open as an `AppendLog`.
        OSError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._referenced: list[Path] = []
        self._synced = time.monotonic()
        self._file = _open_locked(path)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._file < 0

    def cut_torn_line(self) -> None:
        """Cuts off a last line without newline, which a killed writer left. Call it before the first `append`."""
        os.ftruncate(self._file, sum(map(len, whole_lines(self.path))))

    def append(self, line: bytes) -> None:
        """Appends a line, given without its newline. An `OSError` leaves the file as it was."""
        data = line + b"\n"
        start, written = os.fstat(self._file).st_size, 0
        try:
            while written < len(data):  # a nearly full disk may take a part and refuse the rest only in the next call
                written += os.write(self._file, data[written:])
        finally:
            if written < len(data):
                os.ftruncate(self._file, start)

    def write_file(self, path: Path, data: bytes) -> None:
        """Writes a file that later lines refer to, whole or not at all."""
        write_whole(path, data)
        self._referenced.append(path)

    def sync(self) -> None:
        """Brings everything to the disk, referenced files first, so that no line on it refers to a missing file."""
        for path in self._referenced:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        os.fsync(self._file)
        self._referenced.clear()
        self._synced = time.monotonic()

    def sync_if_due(self) -> None:
        """Calls `sync` if the last call was more than `SYNC_SECONDS` ago."""
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def close(self) -> None:
        """Brings everything to the disk and releases the file. A second call does nothing."""
        if not self.closed:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1


def append_shared(path: Path, line: bytes) -> None:
    """Appends a line, given without its newline, to a file that any number of processes append to without a lock.

    One unbuffered write to a file in append mode is never mixed with the writes of other processes. If a full disk
    takes only a part of a line, that part stays, because cutting it off could cut what another process has appended in
    the meantime. The part and the next line are then one unreadable line, which readers must skip.
    """
    with path.open("ab", buffering=0) as file:
        file.write(line + b"\n")


def whole_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yields the lines of a file, newlines included, from a byte offset on and up to the last newline.

    `offset` plus the lengths of the lines is the offset at which a later call continues.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):  # torn, or still being written
                return
            yield line


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that it has either the new content or the old one. Its folder is created if it is missing."""
    with replacing(path) as partial:
        partial.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, which replaces `path` at the end, or is removed if an error is raised.

    The folder is created if it is missing. Each process has a path of its own, because the processes of a training
    write the same files at the same moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _open_locked(path: Path) -> int:
    """Opens a file for appending and locks it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _lock(file, path)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                return file
        except OSError:
            os.close(file)
            raise
        # Another process replaced the file before it was locked: this one is no longer at `path`.
        os.close(file)


def _lock(file: int, path: Path) -> None:
    """Locks an open file against other processes. The system drops the lock when the process ends, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        reason = "it is being written by another process; wait for that process, or choose another place"
        raise BlockingIOError(errno.EWOULDBLOCK, reason, str(path)) from None
