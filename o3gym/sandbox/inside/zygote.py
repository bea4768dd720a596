"""The zygote: an interpreter with the libraries loaded, which forks a confined worker for each episode.

The host starts this file as a script, `python -s -P -S zygote.py DESCRIPTOR`, and talks to it over the socket with that
number. Each datagram is one JSON object. The first one describes the jail and says where libraries are; then a request
with a socket starts a worker that talks over it, and one without kills a worker. When the host is gone the socket
closes, and the zygote kills all workers, removes all folders and ends. It has one thread, so forking is safe.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LARGEST = 2**20
"""Bytes of a datagram."""
_PR_SET_CHILD_SUBREAPER = 36


class Zygote:
    """Workers by number, and the jail that they are put in.

    Args:
        control: the socket to the host.
        settings: the jail, and the folder in which each worker gets its own.
        work: what a worker does, see `o3gym.sandbox.inside.serve`.
        remove: removes a folder.
    """

    def __init__(
        self,
        control: socket.socket,
        settings: dict[str, Any],
        work: Callable[[int, dict[str, Any], Path, int], None],
        remove: Callable[[Path], None],
    ) -> None:
        self.control, self.jail, self.base = control, settings["jail"], Path(settings["base"])
        self.work, self.remove = work, remove
        self.workers: dict[int, int] = {}

    def serve(self) -> None:
        """Obeys the host until it closes the socket."""
        try:
            while True:
                data, descriptors, _, _ = socket.recv_fds(self.control, _LARGEST, 1)
                if not data:
                    return
                number = json.loads(data)["id"]
                reply = self.fork(number, descriptors[0]) if descriptors else self.end(number)
                self.control.send(json.dumps(reply).encode())
        except OSError:
            return  # the host is gone
        finally:
            for number in list(self.workers):
                self.end(number)
            if self.jail["rung"] != "bwrap":
                self.remove(self.base)

    def folder(self, number: int) -> Path:
        """The private folder of a worker; with bubblewrap all have the same path, in different file systems."""
        return self.base if self.jail["rung"] == "bwrap" else self.base / str(number)

    def fork(self, number: int, channel: int) -> dict[str, Any]:
        """Starts a worker that talks over `channel`."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                self.control.close()
                self.work(channel, self.jail, self.folder(number), parent)
            finally:
                os._exit(0)
        os.close(channel)
        self.workers[number] = pid
        return {"pid": pid}

    def end(self, number: int) -> dict[str, Any]:
        """Kills a worker, waits for it and removes its folder. Returns the status of its end."""
        pid = self.workers.pop(number, 0)
        if not pid:
            return {"status": 0}
        for kill in (os.kill, os.killpg):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if self.jail["rung"] == "trust":
            kill_orphans(set(self.workers.values()))
        if self.jail["rung"] != "bwrap":
            self.remove(self.folder(number))
        return {"status": status}


def kill_orphans(known: set[int]) -> None:
    """Kills the child processes of this process that are not known: trusted code may have left them behind."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while strangers := {int(pid) for pid in children.read_text().split()} - known:
        for pid in strangers:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def see_own_package() -> None:
    """Makes the modules of the sandbox importable by their full names without the package around them."""
    here = Path(__file__).resolve().parent
    for name, path in (("o3gym", []), ("o3gym.sandbox", [str(here.parent)])):
        module = types.ModuleType(name)
        module.__path__ = path
        sys.modules[name] = module


def load(modules: list[str]) -> None:
    """Imports modules that workers may need. An error is left for the code that imports the module."""
    for module in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    # Looking for a module lists every folder of the path, once and for all: workers may read files, but not list those.
    importlib.util.find_spec("a_module_that_does_not_exist")


def run_zygote() -> None:
    """Runs the zygote."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(_LARGEST))
    sys.path[:] = settings["path"]
    os.environ.update(settings["environment"])
    see_own_package()
    from o3gym.sandbox.folders import remove_tree
    from o3gym.sandbox.inside.serve import serve

    load(settings["preload"])
    if settings["jail"]["rung"] == "trust":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans of workers come to this process
    control.send(b'{"ready": true}')
    settings["jail"]["memory"] += json.loads(control.recv(_LARGEST))["size"]
    gc.collect()
    gc.freeze()
    Zygote(control, settings, serve, remove_tree).serve()


if __name__ == "__main__":
    run_zygote()
