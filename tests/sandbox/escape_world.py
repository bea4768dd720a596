"""The targets of the attacks: files, listeners, a process and memory that a test owns."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import secrets
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import o3gym

LIBC = ctypes.CDLL(None, use_errno=True)
VICTIM = """
import ctypes, os, sys, time
secret = ctypes.create_string_buffer(os.environ["O3X_SECRET"].encode())
print(ctypes.addressof(secret), flush=True)
time.sleep(600)
"""


class World:
    """Targets of the attacks. `seen` says what an attack has done to them, and `restore` repairs them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.token = f"o3x-secret-{secrets.token_hex(8)}"
        self.mark = f"o3x-mark-{secrets.token_hex(6)}"
        self.folder = folder
        self._stack = stack
        self._listeners: dict[str, socket.socket] = {}
        self.facts: dict[str, Any] = {
            "mark": self.mark,
            "host": os.getpid(),
            "outside": str(folder),
            "neighbour": str(folder),
        }
        self._write_files()
        self._listen()
        self._share_memory()
        self._open_terminal()
        stack.enter_context(patch.dict(os.environ, {"O3X_SECRET": self.token}))
        self._start_victim()
        stack.callback(self._stop_victim)
        self._files = self._snapshot()

    def _write_files(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        (self.folder / "secret.txt").write_text(self.token)
        (self.folder / "neighbour.txt").write_text(self.token)
        (self.folder / "precious.txt").write_text("precious")
        info = PngInfo()
        info.add_text("secret", self.token)
        Image.new("RGB", (8, 8)).save(self.folder / "secret.png", pnginfo=info)
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
        self.facts |= {
            "secret": str(self.folder / "secret.txt"),
            "picture": str(self.folder / "secret.png"),
            "precious": str(self.folder / "precious.txt"),
            "home": str(home),
            "package": str(Path(o3gym.__file__).parent),
            "libraries": str(Path(np.__file__).parents[1]),
            "python": sys.executable,
            "group": os.getpgid(0),
        }

    def _listen(self) -> None:
        def listener(name: str, family: int, kind: int, address: Any) -> Any:
            sock = self._stack.enter_context(socket.socket(family, kind))
            sock.bind(address)
            if kind == socket.SOCK_STREAM:
                sock.listen(64)
            sock.setblocking(False)
            self._listeners[name] = sock
            return sock.getsockname()

        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self.facts["tcp4"] = listener("tcp4", socket.AF_INET, stream, ("127.0.0.1", 0))[1]
        self.facts["udp4"] = listener("udp4", socket.AF_INET, datagram, ("127.0.0.1", 0))[1]
        self.facts["tcp6"] = 1
        with suppress(OSError):  # some containers have no IPv6
            self.facts["tcp6"] = listener("tcp6", socket.AF_INET6, stream, ("::1", 0))[1]
        sockets = self.folder.with_name(f"{self.folder.name}-sockets")
        sockets.mkdir()
        self.facts["unix"] = listener("unix", socket.AF_UNIX, stream, str(sockets / "stream"))
        self.facts["unix_datagram"] = listener("unix_datagram", socket.AF_UNIX, datagram, str(sockets / "datagram"))
        listener("abstract", socket.AF_UNIX, stream, f"\0{self.mark}-stream")
        listener("abstract_datagram", socket.AF_UNIX, datagram, f"\0{self.mark}-datagram")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.facts["free"] = free.getsockname()[1]

    def _share_memory(self) -> None:
        """A System V segment with the token, and descriptors that a careless start of a process would inherit."""
        key = secrets.randbits(30) | 1
        segment = LIBC.shmget(key, 4096, 0o600 | 0o1000)
        if segment >= 0:
            LIBC.shmat.restype = ctypes.c_void_p
            address = LIBC.shmat(segment, None, 0)
            ctypes.memmove(address, self.token.encode(), len(self.token))
            self._stack.callback(LIBC.shmctl, segment, 0, None)
            self._stack.callback(LIBC.shmdt, ctypes.c_void_p(address))
        self.facts["segment_key"] = key
        for path in (self.folder / "secret.txt", self.folder):
            descriptor = os.open(path, os.O_RDONLY)
            os.set_inheritable(descriptor, True)
            self._stack.callback(os.close, descriptor)

    def _open_terminal(self) -> None:
        self._terminal, follower = os.openpty()
        self._stack.callback(os.close, self._terminal)
        self._stack.callback(os.close, follower)
        self.facts["terminal"] = "/dev/pts/none"
        with suppress(OSError):  # some containers do not show their terminals
            self.facts["terminal"] = os.ttyname(follower)

    def _start_victim(self) -> None:
        command = [sys.executable, "-I", "-S", "-c", VICTIM]
        self._victim = subprocess.Popen(
            command, stdout=subprocess.PIPE, start_new_session=True, env={"O3X_SECRET": self.token}
        )
        assert self._victim.stdout is not None
        self.facts["victim"] = self._victim.pid
        self.facts["others"] = [self._victim.pid]
        self.facts["victim_address"] = int(self._victim.stdout.readline())

    def _stop_victim(self) -> None:
        self._victim.kill()
        self._victim.communicate()

    def _snapshot(self) -> dict[str, tuple[Any, ...]]:
        found = {}
        for path in sorted(self.folder.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            attributes = tuple(os.listxattr(path, follow_symlinks=False))
            fields = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, status.st_ino)
            found[path.name] = (content, attributes, *fields)
        return found

    def _marks(self) -> Iterator[Path]:
        for place in ("/tmp", "/var/tmp", "/dev/shm", self.facts["home"], self.facts["libraries"]):
            path = Path(place, self.mark)
            if path.exists():
                yield path

    def seen(self) -> list[str]:
        """Describes what has happened to the targets since the world was created or restored."""
        marks = [f"{name} was reached" for name in self._reached()]
        if (files := self._snapshot()) != self._files:
            changed = {name for name, _ in self._files.items() ^ files.items()}
            marks.append(f"files outside were changed: {sorted(changed)}")
        marks += [f"{path} was written" for path in self._marks()]
        if select.select([self._terminal], [], [], 0)[0]:
            marks.append("the terminal was written to")
        if self._reachable():
            marks.append("a port inside was reached from outside")
        return marks + self._victim_changes()

    def _reached(self) -> list[str]:
        return [name for name, sock in self._listeners.items() if select.select([sock], [], [], 0)[0]]

    def _reachable(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.facts["free"])) == 0

    def _victim_changes(self) -> list[str]:
        pid = self._victim.pid
        if self._victim.poll() is not None:
            return ["the victim died"]
        checks: dict[str, Callable[[], bool]] = {
            "priority": lambda: os.getpriority(os.PRIO_PROCESS, pid) != os.getpriority(os.PRIO_PROCESS, 0),
            "processors": lambda: os.sched_getaffinity(pid) != os.sched_getaffinity(0),
            "scheduler": lambda: os.sched_getscheduler(pid) != os.sched_getscheduler(0),
            "limits": lambda: resource.prlimit(pid, resource.RLIMIT_CORE) != resource.getrlimit(resource.RLIMIT_CORE),
            "state": lambda: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "tT",
        }
        return [f"the victim's {name} changed" for name, changed in checks.items() if changed()]

    def restore(self) -> None:
        """Repairs the targets."""
        for name in self._reached():
            sock = self._listeners[name]
            if sock.type == socket.SOCK_STREAM:
                sock.accept()[0].close()
            else:
                sock.recv(4096)
        if self._snapshot() != self._files:
            self._write_files()
            self._files = self._snapshot()
        for path in self._marks():
            path.unlink()
        while select.select([self._terminal], [], [], 0)[0]:
            os.read(self._terminal, 4096)
        if self._victim_changes():
            self._stop_victim()
            self._start_victim()


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Creates the targets in an empty folder, and removes them at the end."""
    with ExitStack() as stack:
        yield World(folder / "outside", stack)


def descendants() -> set[int]:
    """Returns the numbers of all processes that descend from this one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:  # It has ended in between.
                continue
    found = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {os.getpid()}


@contextmanager
def adopting() -> Iterator[None]:
    """Orphans become children of this process instead of init's, so that `descendants` finds them."""
    LIBC.prctl(36, 1, 0, 0, 0)
    try:
        yield
    finally:
        LIBC.prctl(36, 0, 0, 0, 0)
