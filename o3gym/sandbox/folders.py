"""Folders that hostile code may have filled: how much is in them, and removing them. The standard library only."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import sys
from pathlib import Path

MOST_FILES = 4096
"""Files and folders that a private folder may hold."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_MAPS = 2**20
"""Bytes of a list of mappings; a longer one only makes its readers work."""
_FOLDER_COUNTS_AS = 16
"""Files that a folder counts as, because some file systems take milliseconds to remove one."""
DEEPEST = 16
"""Levels of folders that a private folder may hold."""


def exceeds(folder: Path, most: int, pid: int) -> bool:
    """Whether the files of a process in its folder take more than `most` bytes, or cannot be counted.

    Too many files, and files too deep to be reached, count as too large, and so does a file that was removed while its
    pages are in the memory of the process, which hides its size. Other removed files are found by their open
    descriptors.
    """
    size, left = _removed(folder, pid), MOST_FILES
    folders = [(folder, 0)]
    while folders:
        current, depth = folders.pop()
        with contextlib.suppress(FileNotFoundError):  # removed while we look
            for entry in _entries(current):
                left -= 1
                if entry.is_dir(follow_symlinks=False):
                    left -= _FOLDER_COUNTS_AS
                    folders.append((Path(entry.path), depth + 1))
                size += 512 * entry.stat(follow_symlinks=False).st_blocks
        if size > most or left < 0 or depth > DEEPEST:
            return True
    return False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(itertools.islice(entries, MOST_FILES + 1))


def _removed(folder: Path, pid: int) -> int:
    """Returns the bytes of removed files that a process has open; more than any limit if one is in its memory."""
    size = 0
    with contextlib.suppress(OSError):  # the process has just ended
        for link in _entries(Path(f"/proc/{pid}/fd")):
            status = Path(link.path).stat()
            if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                size += 512 * status.st_blocks
        with Path(f"/proc/{pid}/maps").open("rb") as file:
            maps = file.read(_LONGEST_MAPS)
        if len(maps) == _LONGEST_MAPS or re.search(rb" %b/[^\n]* \(deleted\)\n" % re.escape(bytes(folder)), maps):
            return sys.maxsize
    return size


def remove_tree(folder: Path) -> None:
    """Removes a folder, however deep: paths that are too long for the kernel are walked step by step."""
    with contextlib.suppress(OSError):
        here = os.open(folder, _FOLDER)
        inner = [_remove_files(here)]
        names: list[str] = []
        while inner:
            if inner[-1]:
                names.append(inner[-1].pop())
                os.chmod(names[-1], 0o700, dir_fd=here)
                here = _step_to(here, names[-1])
                inner.append(_remove_files(here))
            else:
                inner.pop()
                here = _step_to(here, "..")
                os.rmdir(names.pop() if names else folder.name, dir_fd=here)
        os.close(here)


def _remove_files(folder: int) -> list[str]:
    """Removes what is no folder. Returns the names of the folders."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return folders


def _step_to(here: int, name: str) -> int:
    """Opens a folder in an open folder, which is closed."""
    try:
        return os.open(name, _FOLDER, dir_fd=here)
    finally:
        os.close(here)
