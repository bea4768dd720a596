"""Whether a file has changed since it was read."""

from __future__ import annotations

from pathlib import Path

NO_FILE = (-1, -1)
"""The state of a file that does not exist."""


def file_state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of modification in nanoseconds of a file or folder; `NO_FILE` if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return NO_FILE
    return (status.st_size, status.st_mtime_ns)
