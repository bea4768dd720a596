"""The program that the kernel runs before system calls, run here as the kernel would, for both kinds of processors."""

from __future__ import annotations

import struct

import pytest

from o3gym.sandbox.inside.seccomp import filter_program


def run_filter(machine: str, number: int, arguments: tuple[int, ...] = (), architecture: int | None = None) -> int:
    """Runs the program for a system call as the kernel would, for process 77. Returns its verdict."""
    own = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    data = struct.pack("=iIQ6Q", number, architecture or own, 0, *arguments, *[0] * (6 - len(arguments)))
    program = [struct.unpack("=HBBI", step) for step in filter_program(machine, 77)]
    at, register = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            (register,) = struct.unpack_from("=I", data, value)
        else:
            at += if_true if (register == value if code == 0x15 else register >= value) else if_false


ALLOW, REFUSE, KILL, PRETEND, UNKNOWN = 0x7FFF0000, 0x00050001, 0x80000000, 0x00050000, 0x00050026
CALLS = {
    "x86_64": {
        **{"read": 0, "openat": 257, "mmap": 9, "clone": 56, "fork": 57, "vfork": 58, "execve": 59},
        **{"execveat": 322, "socket": 41, "connect": 42, "ptrace": 101, "kill": 62, "tgkill": 234, "tkill": 200},
        **{"mount": 165, "unshare": 272, "setns": 308, "bpf": 321, "keyctl": 250, "io_uring_setup": 425},
        **{"userfaultfd": 323, "perf_event_open": 298, "open_by_handle_at": 304, "chroot": 161},
        **{"process_vm_readv": 310, "setrlimit": 160, "link": 86, "symlink": 88, "mknod": 133},
        **{"memfd_create": 319, "shmget": 29, "pidfd_send_signal": 424, "chmod": 90, "prlimit64": 302},
        **{"fcntl": 72, "ioctl": 16, "prctl": 157, "truncate": 76, "setuid": 105, "rt_sigqueueinfo": 129},
    },
    "aarch64": {
        **{"read": 63, "openat": 56, "mmap": 222, "clone": 220, "execve": 221, "execveat": 281, "socket": 198},
        **{"connect": 203, "ptrace": 117, "kill": 129, "tgkill": 131, "tkill": 130, "mount": 40, "unshare": 97},
        **{"setns": 268, "bpf": 280, "keyctl": 219, "io_uring_setup": 425, "userfaultfd": 282},
        **{"perf_event_open": 241, "open_by_handle_at": 265, "chroot": 51, "process_vm_readv": 270},
        **{"setrlimit": 164, "linkat": 37, "symlinkat": 36, "mknodat": 33, "memfd_create": 279, "shmget": 194},
        **{"pidfd_send_signal": 424, "fchmodat": 53, "prlimit64": 261, "fcntl": 25, "ioctl": 29, "prctl": 167},
        **{"truncate": 45, "setuid": 146, "rt_sigqueueinfo": 138},
    },
}


@pytest.mark.parametrize("machine", CALLS)
def test_the_filter_allows_what_is_on_the_list_only(machine: str) -> None:
    checked = ("kill", "tgkill", "prlimit64", "fcntl", "ioctl", "prctl")
    for name, number in CALLS[machine].items():
        wanted = ALLOW if name in ("read", "openat", "mmap") else PRETEND if "chmod" in name else REFUSE
        if name not in checked:
            assert run_filter(machine, number) == wanted, name
    assert run_filter(machine, 435) == run_filter(machine, 463) == UNKNOWN  # clone3, and what is newer than the list
    assert run_filter(machine, CALLS[machine]["read"], architecture=0x40000003) == KILL


@pytest.mark.parametrize("machine", CALLS)
@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("kill", (77, 9), ALLOW),
        ("kill", (1, 9), REFUSE),
        ("kill", (2**32 - 1, 9), REFUSE),
        ("tgkill", (77, 78, 9), ALLOW),
        ("tgkill", (78, 78, 9), REFUSE),
        ("prlimit64", (0, 7, 0, 1), ALLOW),
        ("prlimit64", (77, 7, 0, 1), ALLOW),
        ("prlimit64", (0, 7, 1, 0), REFUSE),
        ("prlimit64", (0, 7, 2**32, 0), REFUSE),
        ("prlimit64", (1, 7, 0, 0), REFUSE),
        ("fcntl", (3, 3), ALLOW),
        ("fcntl", (3, 8, 1), REFUSE),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), REFUSE),
        ("prctl", (15,), ALLOW),
        ("prctl", (1, 0), REFUSE),
    ],
)
def test_the_filter_checks_arguments(machine: str, name: str, arguments: tuple[int, ...], wanted: int) -> None:
    assert run_filter(machine, CALLS[machine][name], arguments) == wanted


def test_other_machines_have_no_list() -> None:
    with pytest.raises(OSError, match="no list of system calls for riscv64"):
        filter_program("riscv64", 1)
