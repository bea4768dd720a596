"""Seccomp: the kernel runs a small program (classic BPF) before each system call, and refuses what is not allowed.

The program is written out here by hand, so no library is needed. It can be neither changed nor left once it is loaded.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from o3gym.sandbox.inside.syscalls import ALLOWED, ARCHITECTURES, CHECKED, NEWEST_CALL, OWN, PRETENDED, REPLACED

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in `struct seccomp_data`."""
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value & 0xFFFFFFFF)


def _checked(number: int, checks: tuple[tuple[int, tuple[int | str, ...]], ...], pid: int) -> list[bytes]:
    """Returns the steps that allow a call if every checked argument has one of its values, and refuse it otherwise."""
    body: list[bytes] = []
    for index, values in checks:
        body.append(_step(_LOAD, _ARGUMENTS + 8 * abs(index) + 4 * (index < 0)))
        for place, value in enumerate(values):
            left = len(values) - place  # a match jumps over the remaining comparisons and the refusal
            body.append(_step(_EQUAL, pid if value == OWN else int(value), left))
        body.append(_step(_RETURN, _REFUSE | errno.EPERM))
    body.append(_step(_RETURN, _ALLOW))
    return [_step(_EQUAL, number, 0, len(body)), *body]


def filter_program(machine: str, pid: int) -> list[bytes]:
    """Returns the program for a machine ("x86_64" or "aarch64") and a process number.

    Raises:
        OSError: the machine is of another kind.
    """
    if machine not in ARCHITECTURES:
        raise OSError(f"there is no list of system calls for {machine} processors")
    architecture, column = ARCHITECTURES[machine]
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    for calls, answer in ((ALLOWED, _ALLOW), (PRETENDED, _REFUSE)):  # refused with error 0, a call returns 0
        for numbers in calls.values():
            if (number := numbers[column]) is not None:
                steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, answer)]
    for numbers_of_both, checks in CHECKED.values():
        steps += _checked(numbers_of_both[column], checks, pid)
    for numbers_of_both, error in REPLACED.values():
        steps += [_step(_EQUAL, numbers_of_both[column], 0, 1), _step(_RETURN, _REFUSE | error)]
    steps += [_step(_AT_LEAST, NEWEST_CALL, 0, 1), _step(_RETURN, _REFUSE | errno.ENOSYS)]
    return [*steps, _step(_RETURN, _REFUSE | errno.EPERM)]


def load_filter() -> None:
    """Loads the program into this process. `no_new_privs` must be set.

    Raises:
        OSError: the kernel refuses, or the machine is of an unknown kind.
    """
    program = filter_program(os.uname().machine, os.getpid())
    code = ctypes.create_string_buffer(b"".join(program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, head, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")
