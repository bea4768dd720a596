"""What a freshly forked worker does before it runs any code of others: it gives up everything that it does not need."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from o3gym.sandbox.inside.landlock import NEEDED_ABI, PRIVATE, READ, READ_FILE, WRITE_FILE, landlock_abi, restrict
from o3gym.sandbox.inside.seccomp import load_filter

_NEW_MOUNTS = 0x00020000
_NOSUID, _NODEV, _NOEXEC, _RECURSIVE, _PRIVATE = 2, 4, 8, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 38, 47
_CAPABILITIES_3 = 0x20080522
_MIB = 2**20
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Jail:
    """How a worker is confined; the host sends it to the zygote, which is trusted.

    Attributes:
        rung: "bwrap", "seccomp" or "trust".
        readable: files and folders that code may read.
        memory: bytes of address space, with that of the libraries.
        cpu: seconds of processor time.
        file: bytes of a file.
        folder: bytes of the private folder; enforced here in a mount namespace, and by the host otherwise.
    """

    rung: str
    readable: tuple[str, ...]
    memory: int
    cpu: int
    file: int
    folder: int

    def enter(self, channel: int, folder: Path, parent: int) -> None:
        """Confines this process, except for the open file `channel`, to `folder`.

        Raises:
            OSError: a step is impossible. The process must end then.
        """
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            raise OSError("the zygote has ended")
        os.setsid()
        _keep_only(channel)
        self._own_folder(folder)
        _set_environment(folder)
        self._set_limits()
        if self.rung != "trust":
            self._confine(folder)

    def _own_folder(self, folder: Path) -> None:
        """Makes the private folder. With bubblewrap it is a file system of its own, which nobody else can see."""
        os.umask(0o077)
        if self.rung == "bwrap":
            options = f"size={self.folder},nr_inodes=4096,mode=700".encode()
            _check(_libc.unshare(_NEW_MOUNTS), "unshare")
            _check(_libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None), "mount")
            _check(_libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _NOSUID | _NODEV | _NOEXEC, options), "mount")
        else:
            folder.mkdir(mode=0o700)
        os.chdir(folder)

    def _confine(self, folder: Path) -> None:
        """Gives up privileges, files and system calls. With bubblewrap, no other files are there to be given up."""
        _drop_privileges()
        abi = landlock_abi()
        if self.rung == "seccomp" and abi < NEEDED_ABI:
            raise OSError("landlock is missing")
        if abi:
            null = (os.devnull, READ_FILE | WRITE_FILE)
            restrict([*((path, READ) for path in self.readable), null, (str(folder), PRIVATE)])
        load_filter()

    def _set_limits(self) -> None:
        limits = {
            resource.RLIMIT_AS: self.memory,
            resource.RLIMIT_FSIZE: self.file,
            resource.RLIMIT_NOFILE: 64,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_MEMLOCK: 0,
            resource.RLIMIT_MSGQUEUE: 0,
        }
        for what, limit in limits.items():
            resource.setrlimit(what, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CPU, (self.cpu, self.cpu + 1))


def _keep_only(channel: int) -> None:
    """Closes all files but the channel, and makes standard input and outputs lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    os.closerange(3, channel)
    os.closerange(channel + 1, 65_536)


def _set_environment(folder: Path) -> None:
    """Leaves no variable but those that the libraries need, and makes random numbers the same in every worker."""
    os.environ.clear()
    private = {name: str(folder) for name in ("HOME", "TMPDIR", "MPLCONFIGDIR")}
    os.environ.update({**private, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"})
    random.seed(0)
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)


def _drop_privileges() -> None:
    """Gives up all capabilities, and the possibility to gain any."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_CAP_AMBIENT, 4)  # clear all
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1  # ends at the first one that the kernel does not know, or, without privileges, at once
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
