"""The host's handle of a zygote: it starts the process, asks it for workers, and ends it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

from o3gym.sandbox.bubblewrap import FOLDER, bubblewrap_command, find_bubblewrap
from o3gym.sandbox.folders import remove_tree
from o3gym.sandbox.limits import MIB, Limits
from o3gym.sandbox.packages import Library

_LARGEST = 2**20
_START, _ANSWER, _END = 60.0, 15.0, 5.0
"""Seconds within which a zygote must have loaded its libraries, answer a request, and end."""
_SCRIPT = Path(__file__).parent / "inside" / "zygote.py"
_ISOLATED = ("-s", "-P", "-S", "-B", "-X", "utf8")
"""Options of the interpreter; not -I, which would ignore the seed of hashes."""
_SEED = {"PYTHONHASHSEED": "0"}
"""The environment in which it starts: sets have the same order in every run."""
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


class ZygoteLost(OSError):  # noqa: N818 - the name says it
    """The zygote does not start, does not answer, or has ended; the message says why."""


_running: weakref.WeakSet[ZygoteProcess] = weakref.WeakSet()


def _disown() -> None:
    """In a forked child of the host: closes the sockets, so that zygotes notice when the host itself is gone."""
    for zygote in _running:
        zygote.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)


class ZygoteProcess:
    """A running zygote. Its methods may be called from any thread.

    Args:
        rung: "bwrap", "seccomp" or "trust".
        library: what code can read.
        limits: the limits of each worker.

    Raises:
        ZygoteLost: it does not start.
        OSError: bubblewrap is not installed.
    """

    def __init__(self, rung: str, library: Library, limits: Limits) -> None:
        self._lock = threading.Lock()
        self.pid, self._is_lost = 0, False
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self.folder: Path | None = None if rung == "bwrap" else Path(tempfile.mkdtemp(prefix="o3gym-sandbox-"))
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        _running.add(self)
        try:
            with theirs:
                command = self._command(rung, library, theirs.fileno())
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    env=_SEED,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    cwd="/",
                )
            self.pid = self._greet(rung, library, limits)
        except BaseException:
            self.close()
            raise

    def _command(self, rung: str, library: Library, descriptor: int) -> list[str]:
        interpreter = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
        command = [interpreter, *_ISOLATED, str(_SCRIPT), str(descriptor)]
        if rung != "bwrap":
            return command
        readable = [library.standard, *library.others, interpreter, str(_SCRIPT.parent.parent)]
        return bubblewrap_command(find_bubblewrap(), readable, library.hidden, _SEED, command)

    def _greet(self, rung: str, library: Library, limits: Limits) -> int:
        """Sends the settings, waits for the libraries to be loaded, and returns the process number."""
        jail = {
            "rung": rung,
            "readable": library.readable if rung != "bwrap" else (library.standard, *library.others),
            "memory": limits.memory * MIB,
            "cpu": limits.cpu,
            "file": limits.file * MIB,
            "folder": limits.folder * MIB,
        }
        base = str(self.folder or FOLDER)
        settings = {
            "jail": jail,
            "base": base,
            "path": library.path,
            "environment": {**_ENVIRONMENT, **dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), base)},
            "preload": library.modules,
        }
        self._send(settings)
        _, pid = self._receive(_START)
        self._send({"size": _address_space(pid)})
        with contextlib.suppress(OSError):  # when the machine runs out of memory, this is what may be killed
            Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        return pid

    def fork(self) -> tuple[int, socket.socket]:
        """Starts a worker. Returns its number and the host's end of its socket.

        Raises:
            ZygoteLost: the zygote does not answer.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        number = next(self._numbers)
        try:
            with theirs:
                self._ask({"id": number}, [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        return number, ours

    def end(self, number: int) -> int:
        """Kills a worker, if it lives, and returns the status with which it ended, as of `os.waitpid`."""
        return int(self._ask({"id": number}).get("status", 0))

    @property
    def is_alive(self) -> bool:
        """Whether the zygote runs."""
        return not self._is_lost and self._process is not None and self._process.poll() is None

    def disown(self) -> None:
        """Closes the socket and forgets the process, which belongs to another process."""
        self._control.close()
        self._is_lost, self._process, self.folder = True, None, None

    def close(self) -> None:
        """Ends the zygote and all workers, and removes their folders."""
        self._hang_up()
        with self._lock:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(_END)
            except subprocess.TimeoutExpired:
                # With bubblewrap, `pid` is its child: process 1 of the namespace.
                os.kill(self.pid or self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._errors.close()
        if self.folder is not None:
            remove_tree(self.folder)

    def _hang_up(self) -> None:
        """Ends the conversation: the zygote will end, and a thread that waits for its answer gets an error."""
        self._is_lost = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    def _ask(self, request: dict[str, Any], descriptors: list[int] | None = None) -> dict[str, Any]:
        with self._lock:
            try:
                self._send(request, descriptors or [])
                return self._receive(_ANSWER)[0]
            except ZygoteLost:
                self._hang_up()  # a late answer would be taken for that to the next question
                raise

    def _send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        data = [json.dumps(message).encode()]
        try:
            socket.send_fds(self._control, data, descriptors or [])
        except OSError as error:
            raise ZygoteLost(self._why(error)) from error

    def _receive(self, seconds: float) -> tuple[dict[str, Any], int]:
        """Returns a message and the number of the process that sent it, as this process sees it."""
        try:
            self._control.settimeout(seconds)
            pid = sender(self._control)
            data = self._control.recv(_LARGEST)
        except OSError as error:
            raise ZygoteLost(self._why(error)) from error
        if not data:
            raise ZygoteLost(self._why(None))
        return json.loads(data), pid

    def _why(self, error: OSError | None) -> str:
        """What the zygote wrote to its standard error, or else the error."""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            if text := self._errors.read().decode(errors="replace").strip():
                return text.splitlines()[-1][:300]
        return f"the process that starts workers does not answer ({error or 'it has ended'})"


def sender(channel: socket.socket) -> int:
    """Returns the number of the process that sent what can be read next, as this process sees it, without reading it.

    The kernel attaches the number to what is read from a socket with SO_PASSCRED, also across namespaces.
    """
    _, attached, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(12), socket.MSG_PEEK)
    numbers = [struct.unpack("iII", value[:12])[0] for _, kind, value in attached if kind == socket.SCM_CREDENTIALS]
    return int(numbers[0]) if numbers else 0


def _address_space(pid: int) -> int:
    """The bytes of address space of a process with its libraries loaded; 512 MiB if they cannot be found out."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 512 * MIB
    return pages * os.sysconf("SC_PAGE_SIZE")
