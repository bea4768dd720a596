"""The system calls that code may make, with their numbers on x86_64 and aarch64, and the arguments that are accepted.

It is a list of what is allowed. What is not on it fails: new processes and threads, programs, sockets, signals to
others, tracing, mounting, namespaces, links, devices, shared memory, keys, io_uring, BPF, changes of limits or
priorities, and every call that a later kernel brings. Numbers: `asm/unistd_64.h` and `asm-generic/unistd.h`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By the name of the machine: the constant AUDIT_ARCH_…, and the column of `ALLOWED`."""
REPLACED = {
    "clone3": ((435, 435), errno.ENOSYS),
    "fallocate": ((285, 47), errno.EOPNOTSUPP),
    **{"listxattr": ((194, 11), errno.EOPNOTSUPP), "llistxattr": ((195, 12), errno.EOPNOTSUPP)},
}
"""Calls whose callers have a substitute after this error: `clone`, which is refused; writing zeros; and going without.

`fallocate` would let code reserve a whole disk in a millisecond. `shutil.copy2` asks for extended attributes.
"""
NEWEST_CALL = 450
"""From this number on a call is answered with ENOSYS, as by a kernel that does not have it."""

ALLOWED: Mapping[str, tuple[int | None, int | None]] = {
    # files that are open already
    **{"read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "pread64": (17, 67)},
    **{"pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69), "pwritev": (296, 70)},
    **{"dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "sendfile": (40, 71), "copy_file_range": (326, 285)},
    **{"flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83), "ftruncate": (77, 46)},
    **{"fadvise64": (221, 223), "fstatfs": (138, 44), "getdents": (78, None)},
    **{"getdents64": (217, 61), "fchdir": (81, 50)},
    # files by name: what they may be is up to landlock and the namespaces
    **{"open": (2, None), "openat": (257, 56), "creat": (85, None), "stat": (4, None), "lstat": (6, None)},
    **{"newfstatat": (262, 79), "statx": (332, 291), "access": (21, None), "faccessat": (269, 48)},
    **{"faccessat2": (439, 439), "rename": (82, None), "renameat": (264, 38)},
    **{"renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None)},
    **{"unlinkat": (263, 35), "umask": (95, 166), "getcwd": (79, 17), "chdir": (80, 49), "statfs": (137, 43)},
    # memory
    **{"mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216)},
    **{"msync": (26, 227), "madvise": (28, 233), "membarrier": (324, 283)},
    # waiting, and signals from and to the process itself
    **{"rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136)},
    **{"rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None)},
    **{"nanosleep": (35, 101), "clock_nanosleep": (230, 115), "getitimer": (36, 102), "setitimer": (38, 103)},
    **{"alarm": (37, None), "restart_syscall": (219, 128), "futex": (202, 98), "sched_yield": (24, 124)},
    **{"pipe": (22, None), "pipe2": (293, 59), "eventfd2": (290, 19), "select": (23, None), "pselect6": (270, 72)},
    **{"poll": (7, None), "ppoll": (271, 73), "epoll_create": (213, None), "epoll_create1": (291, 20)},
    **{"epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22)},
    # questions about the process itself, the clock and the machine
    **{"getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getpgrp": (111, None), "getuid": (102, 174)},
    **{"geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148)},
    **{"getresgid": (120, 150), "getgroups": (115, 158), "getrlimit": (97, 163), "getrusage": (98, 165)},
    **{"times": (100, 153), "time": (201, None), "gettimeofday": (96, 169), "clock_gettime": (228, 113)},
    **{"clock_getres": (229, 114), "uname": (63, 160), "sysinfo": (99, 179), "getcpu": (309, 168)},
    **{"getrandom": (318, 278)},
    # the C library's own housekeeping, and the end
    **{"arch_prctl": (158, None), "set_tid_address": (218, 96), "set_robust_list": (273, 99), "rseq": (334, 293)},
    **{"exit": (60, 93), "exit_group": (231, 94)},
}
"""Calls that are allowed with any arguments: their number on x86_64 and on aarch64, None where there is none."""

PRETENDED: Mapping[str, tuple[int | None, int | None]] = {
    **{"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
    **{"utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88)},
}
"""Calls that do nothing and say that they did.

Landlock leaves modes and times of files to their owner, and the libraries may be owned by the user who runs the code.
`shutil.copy` sets both, so refusing them would break code that is harmless.
"""

OWN = "own process"
"""Stands for the process's own number in `CHECKED`."""

CHECKED: Mapping[str, tuple[tuple[int, int], tuple[tuple[int, tuple[int | str, ...]], ...]]] = {
    "kill": ((62, 129), ((0, (OWN,)),)),
    "tgkill": ((234, 131), ((0, (OWN,)),)),
    "getpgid": ((121, 155), ((0, (0, OWN)),)),
    "getsid": ((124, 156), ((0, (0, OWN)),)),
    "sched_getaffinity": ((204, 123), ((0, (0, OWN)),)),
    # reading limits; the third argument would be new limits, and is a pointer: both halves have to be 0
    "prlimit64": ((302, 261), ((0, (0, OWN)), (2, (0,)), (-2, (0,)))),
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, locks, F_DUPFD_CLOEXEC; not F_SETOWN, which sends signals
    "fcntl": ((72, 25), ((1, (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)),)),
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX; nothing that writes to a terminal
    "ioctl": ((16, 29), ((1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),)),
    # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA
    "prctl": ((157, 167), ((0, (15, 16, 0x53564D41)),)),
}
"""Calls that are allowed with certain arguments: their numbers, and the values of an argument's lower 32 bits.

A negative index stands for the upper 32 bits of that argument.
"""
