"""Landlock: a process gives up, for good, all access to files, TCP ports and foreign processes that it does not name.

Linux 5.13 and later; the interface has versions ("ABI"), and newer ones cover more. The numbers are those of
`linux/landlock.h`; the system calls have the same numbers on all architectures.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from collections.abc import Iterable
from pathlib import Path

NEEDED_ABI = 3
"""The version from which on landlock alone keeps files from being changed: earlier ones let code truncate them."""
_CREATE, _ADD, _RESTRICT = 444, 445, 446

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
READ = READ_FILE | READ_DIR
PRIVATE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
"""Access to the private folder: regular files and folders only; no links, devices, sockets or programs."""
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""Rights that a rule for something other than a folder may name."""


def landlock_abi() -> int:
    """Returns the version of the kernel's interface; 0 if there is none."""
    return max(0, int(_libc().syscall(_CREATE, None, ctypes.c_size_t(0), 1)))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def restrict(rules: Iterable[tuple[str, int]]) -> None:
    """Restricts this process to the paths that the rules name, with the rights that they name.

    No TCP port can be bound or connected to (ABI 4), and no process outside of this domain can be signalled or reached
    over an abstract socket (ABI 6). `no_new_privs` must be set.

    Raises:
        OSError: the kernel refuses.
    """
    abi = landlock_abi()
    if abi < 1:
        raise OSError("this kernel has no landlock")
    handled = (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1  # ABI 2: REFER, 3: TRUNCATE, 5: IOCTL_DEV
    attributes = struct.pack("QQQ", handled, 3, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _call(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path, access in rules:
            _allow(ruleset, path, access & handled)
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    """Adds a rule for a path and, if it is a folder, all that is in it. A path that does not exist is passed over."""
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        is_folder = Path(path).is_dir()
        _call(_ADD, ruleset, 1, struct.pack("=Qi", access if is_folder else access & _OF_FILES, parent), 0)
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
