"""Tries out whether a sandbox holds: it attempts what must be impossible, in the way that hostile code would."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from o3gym.sandbox.worker import SandboxWorker


class Breach(RuntimeError):  # noqa: N818 - the name says it
    """A sandbox lets code do what it must not do; the message says what."""


_ATTEMPTS = """
import ctypes, os, socket

def attempt(name, action):
    try:
        action()
        print(name)
    except (OSError, ImportError):
        pass

def raw(number, *arguments):
    if ctypes.CDLL(None, use_errno=True).syscall(number, *arguments) < 0:
        raise OSError

def fork():
    if os.fork() == 0:
        os._exit(0)

def start():
    try:
        os.execv({missing!r}, ["program"])
    except FileNotFoundError:
        pass  # the kernel has looked for it

attempt("reads a file of the user", lambda: open({canary!r}).read())
attempt("reads /etc", lambda: open("/etc/passwd").read())
attempt("writes outside of its folder", lambda: open({outside!r}, "w").close())
attempt("opens sockets", lambda: socket.socket())
attempt("starts processes", fork)
attempt("starts programs", start)
attempt("signals its parent", lambda: os.kill(os.getppid(), 0))
attempt("signals everybody", lambda: os.kill(-1, 0))
attempt("reads other processes", lambda: open(f"/proc/{{os.getppid()}}/environ", "rb").read())
attempt("makes namespaces", lambda: raw({unshare}, 0x10000000))
open("own", "w").close()
os.remove("own")
print("done")
"""
_UNSHARE = {"x86_64": 272, "aarch64": 97}


def probe(worker: SandboxWorker) -> None:
    """Tries to break out of a worker, and closes it.

    Raises:
        Breach: something succeeded that must not, or the worker cannot do what it must.
    """
    with worker, tempfile.TemporaryDirectory(prefix="o3gym-probe-") as name:
        canary, outside = Path(name) / "canary", Path(name) / "outside"
        canary.write_text(secrets.token_hex(8))
        source = _ATTEMPTS.format(
            canary=str(canary),
            outside=str(outside),
            missing=f"{name}/program",
            unshare=_UNSHARE.get(os.uname().machine, 272),
        )
        outcome = worker.run(source)
        found = outcome.text.split("\n")
    if outcome.ended or "done" not in found:
        raise Breach(f"it does not work: {' '.join(outcome.error.split())[-200:] or 'no answer'}")
    if breaches := [line for line in found if line and line != "done"]:
        raise Breach(f"it does not hold: code {', '.join(breaches)}")
