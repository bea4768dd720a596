"""`open_sandbox` climbs down a ladder of isolations, and tries each one out before it is used."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from dataclasses import asdict
from typing import Any

from o3gym.registry import closest
from o3gym.sandbox.inside.landlock import NEEDED_ABI, landlock_abi
from o3gym.sandbox.limits import Limits, Workplace
from o3gym.sandbox.packages import Library, find_library
from o3gym.sandbox.probe import Breach, probe
from o3gym.sandbox.worker import SandboxWorker
from o3gym.sandbox.zygotes import ZygoteProcess
from o3gym.specs import parse_spec

LADDER = ("bwrap", "seccomp")
"""The rungs of "auto", best first. "trust" isolates nothing, and is used only if it is named."""
_RUNGS = (*LADDER, "trust")


class SandboxUnavailable(RuntimeError):  # noqa: N818 - the name says it
    """No isolation that was asked for works on this machine; the message says why, rung by rung."""


class Sandbox:
    """A place to run code that nobody has read. Threads may share it; pickled, it becomes its spec.

    Args:
        spec: what `open_sandbox` was given.
        rung: "bwrap", "seccomp" or "trust".
        library: what code can read.
        limits: the limits of each worker.

    Attributes:
        rung: the isolation.
    """

    def __init__(self, spec: str, rung: str, library: Library, limits: Limits) -> None:
        self.spec, self.rung, self.limits = spec, rung, limits
        self._library = library
        self._lock = threading.Lock()
        self._zygote: ZygoteProcess | None = None

    def worker(self, workplace: Workplace | None = None) -> SandboxWorker:
        """Starts a worker for one episode.

        Raises:
            ZygoteLost: no process can be started.
        """
        return SandboxWorker(self._running_zygote, self.limits, workplace or Workplace())

    def describe(self) -> dict[str, Any]:
        """Returns what results depend on, as JSON: the rung, the versions and the limits."""
        return {"rung": self.rung, "versions": dict(self._library.versions), "limits": asdict(self.limits)}

    def close(self) -> None:
        """Ends all workers, also those of others who opened the same spec. The next worker starts everything anew."""
        with self._lock:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.close()

    def disown(self) -> None:
        """In a forked child: forgets the processes of the parent. The next worker starts others."""
        self._lock, self._zygote = threading.Lock(), None

    def _running_zygote(self) -> ZygoteProcess:
        with self._lock:
            if self._zygote is not None and not self._zygote.is_alive:
                self._zygote.close()
                self._zygote = None
            if self._zygote is None:
                self._zygote = ZygoteProcess(self.rung, self._library, self.limits)
            return self._zygote

    def __reduce__(self) -> tuple[Any, ...]:
        return open_sandbox, (self.spec,)


_open: dict[str, Sandbox] = {}
_opening = threading.Lock()


def open_sandbox(spec: str = "auto") -> Sandbox:
    """Opens a sandbox, and tries out that it holds. There is one for each spec in a process, which all callers share.

    Args:
        spec: "auto" is the better one of "bwrap" and "seccomp" that works here. "trust" runs code in a plain process,
            which may do whatever you may do. Options: `packages=a,b` for what code can import besides NumPy and Pillow,
            and the names of `Limits`, as in "bwrap?packages=scikit-image&memory=2048".

    Raises:
        SandboxUnavailable: it does not work on this machine. The message says why, and what to install.
        ValueError: the spec has an unknown rung or option, or names a package that is not installed.
    """
    name, argument, options = parse_spec(spec)
    if argument or name not in ("auto", *_RUNGS):
        known = ("auto", *_RUNGS)
        raise ValueError(f'unknown sandbox "{spec}"{closest(name, known)} (known: {", ".join(known)})')
    with _opening:
        if spec not in _open:
            packages = [package for package in str(options.pop("packages", "")).split(",") if package]
            _open[spec] = _climb(spec, LADDER if name == "auto" else (name,), packages, Limits.from_options(options))
        return _open[spec]


def _climb(spec: str, rungs: tuple[str, ...], packages: list[str], limits: Limits) -> Sandbox:
    """Returns a sandbox on the first rung that holds."""
    library = find_library(packages)
    reasons = []
    for rung in rungs:
        sandbox = Sandbox(spec, rung, library, limits)
        try:
            _require(rung)
            if rung != "trust":
                probe(sandbox.worker(Workplace(last_expression=False)))
            return sandbox
        except (OSError, Breach) as error:
            sandbox.close()
            reasons.append(f"{rung}: {error}")
    raise SandboxUnavailable(
        "No sandbox works on this machine, and code is never run without one. "
        + "; ".join(reasons)
        + '. "trust" runs code in a plain process, without any isolation.'
    )


def _require(rung: str) -> None:
    """Raises `OSError` if the kernel lacks what the rung needs."""
    if sys.platform != "linux":
        raise OSError("it needs Linux")
    if rung == "seccomp" and (abi := landlock_abi()) < NEEDED_ABI:
        raise OSError(
            f"it needs landlock of version {NEEDED_ABI} (Linux 6.2), and this kernel has version {abi}: "
            "seccomp alone does not keep code from reading files"
        )


def _forget() -> None:
    """In a forked child: the parent's sandboxes are not its own."""
    global _opening
    for sandbox in _open.values():
        sandbox.disown()
    _open.clear()
    _opening = threading.Lock()


@atexit.register
def _close_all() -> None:
    for sandbox in list(_open.values()):
        sandbox.close()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no sandbox either
    os.register_at_fork(after_in_child=_forget)
