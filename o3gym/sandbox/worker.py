"""A worker as the host sees it: it sends pictures and code, and believes nothing that comes back."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from o3gym.sandbox.folders import exceeds
from o3gym.sandbox.frames import BrokenFrame, FrameBounds, pack_frame, read_frame
from o3gym.sandbox.limits import MIB, Limits, Outcome, Workplace
from o3gym.sandbox.outcomes import Ended, checked_outcome
from o3gym.sandbox.zygotes import ZygoteLost, ZygoteProcess, sender

GRACE = 0.5
"""Seconds after the wall limit within which a worker may stop the code by itself, before it is killed."""
_START, _TRANSFER, _WATCH = 15.0, 5.0, 0.05
"""Seconds for a worker to start or to take a picture, to transfer a result, and between looks at the folder."""
_SHORT = FrameBounds(4096, 0, 0, 0)
"""A message without attachments."""


class _Late(Exception):  # noqa: N818 - never leaves this module
    """The worker did not answer in time."""


class _Overfull(Exception):  # noqa: N818 - never leaves this module
    """The worker's folder is larger than it may be."""


class SandboxWorker:
    """The place in which the code of one episode runs. Variables and files are kept from call to call.

    Made by `Sandbox.worker`. Not to be used from two threads at once.
    """

    def __init__(self, zygote: Callable[[], ZygoteProcess], limits: Limits, workplace: Workplace) -> None:
        self._find_zygote, self._limits, self._workplace = zygote, limits, workplace
        self._pictures: dict[str, Callable[[], NDArray[np.uint8]]] = {}
        self._later: dict[str, Callable[[], NDArray[np.uint8]]] = {}
        self._unsent: list[str] = []
        self._zygote: ZygoteProcess | None = None
        self._channel: socket.socket | None = None
        self._number, self._pid, self._handle = 0, 0, -1
        self._is_closed = False
        self.folder = ""
        self._start()

    def put(self, name: str, pixels: NDArray[np.uint8], again: Callable[[], NDArray[np.uint8]] | None = None) -> None:
        """Hands in a picture under the name of a variable. It is sent with the next call.

        Args:
            name: the name of the variable.
            pixels: height × width × 3.
            again: returns the pixels once more, which is needed if the process is lost. Without it they are kept.

        Raises:
            ValueError: the name is no identifier, or the array is something else.
        """
        if not name.isidentifier():
            raise ValueError(f"name: expected the name of a variable, got {name!r:.60}")
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise ValueError(f"pixels: expected uint8 of height × width × 3, got {pixels.dtype} {pixels.shape}")
        self._pictures[name] = lambda: pixels
        self._later[name] = again or self._pictures[name]
        self._unsent.append(name)

    def run(self, source: str) -> Outcome:
        """Runs a piece of code. Never raises for anything that the code does.

        Raises:
            ValueError: the worker is closed.
            ZygoteLost: workers cannot be started any more.
        """
        if self._is_closed:
            raise ValueError("the worker is closed")
        begin = time.perf_counter()
        if self._channel is None:
            self._start()
        self._signal(signal.SIGCONT)
        seconds = min(self._workplace.seconds, self._limits.wall)
        try:
            outcome = self._call(source, seconds)
            self._signal(signal.SIGSTOP)
        except _Late:
            stopped = f"The code was stopped after {seconds + GRACE:g} s because it did not end by itself."
            outcome = self._lost(stopped, "timeout", self._kill())
        except _Overfull:
            self._kill()
            outcome = self._lost(
                f"The code wrote more than {self._limits.folder} MiB, or too many files.", "died", None
            )
        except (ValueError, RecursionError) as error:  # a broken frame, or one that breaks what reads it
            self._kill()
            outcome = self._lost(f"The process that ran the code answered nonsense: {error}.", "died", None)
        except (OSError, EOFError):
            outcome = self._lost("", "died", self._kill())
        return replace(outcome, seconds=time.perf_counter() - begin, folder=self.folder)

    def close(self) -> None:
        """Ends the worker. No process or file is left. Can be called more than once."""
        self._is_closed = True
        self._kill()
        self._pictures.clear()
        self._later.clear()

    def __enter__(self) -> SandboxWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        """Starts a process, or raises `ZygoteLost`."""
        self.folder = ""
        self._zygote = self._find_zygote()
        try:
            self._number, self._channel = self._zygote.fork()
        except ZygoteLost:  # it has just ended: the next one is new
            self._zygote = self._find_zygote()
            self._number, self._channel = self._zygote.fork()
        limits = asdict(self._limits)
        place = {**asdict(self._workplace), "modules": dict(self._workplace.modules), "answer": self._limits.answer}
        try:
            self._write({**limits, **place}, (), _START)
            answer, _ = self._read(_SHORT, time.monotonic() + _START, is_greeting=True)
        except (_Late, OSError, EOFError, BrokenFrame) as error:
            self._kill()
            raise ZygoteLost(f"a worker does not start: {type(error).__name__}") from error
        if "failed" in answer:
            self._kill()
            raise ZygoteLost(f"a worker cannot be confined: {answer['failed']}")
        self.folder = str(answer["folder"])
        self._handle = os.pidfd_open(self._pid)
        self._unsent = list(self._pictures)

    def _call(self, source: str, seconds: float) -> Outcome:
        """Sends what is new and the code, and returns what the worker says, checked."""
        assert self._channel is not None
        if select.select([self._channel], [], [], 0)[0]:
            if self._channel.recv(1, socket.MSG_PEEK):
                raise BrokenFrame("it spoke without being asked")
            raise EOFError
        while self._unsent:
            name = self._unsent[0]
            pixels = np.ascontiguousarray(self._pictures[name]())
            height, width, _ = pixels.shape
            self._write({"op": "put", "name": name, "width": width, "height": height}, [pixels.data.cast("B")], _START)
            self._read(_SHORT, time.monotonic() + _START)  # the time that encoding takes is not that of the code
            self._pictures[name] = self._later[name]
            del self._unsent[0]
        text = source.encode("utf-8", "replace").decode()
        self._write({"op": "run", "source": text, "seconds": seconds}, (), _START)
        limits = self._limits
        # A character takes up to 12 bytes as JSON: two escaped surrogates.
        most = FrameBounds(12 * limits.output + 2**20, limits.picture * MIB, 2 * limits.pictures, limits.answer)
        answer, blobs = self._read(most, time.monotonic() + seconds + GRACE)
        self._check_folder()
        return checked_outcome(answer, [bytes(blob) for blob in blobs], self._workplace, limits)

    def _write(self, header: dict[str, Any], blobs: Any, seconds: float) -> None:
        assert self._channel is not None
        self._channel.settimeout(seconds)
        try:
            for piece in pack_frame(header, blobs):
                self._channel.sendall(piece)
        except TimeoutError:
            raise _Late from None

    def _read(
        self, bounds: FrameBounds, deadline: float, is_greeting: bool = False
    ) -> tuple[dict[str, Any], list[bytes | bytearray]]:
        """Reads a message that must begin before the deadline. A greeting also says which process it is from."""
        assert self._channel is not None
        self._wait(self._channel, deadline)
        if is_greeting:
            self._pid = sender(self._channel)
        end = time.monotonic() + _TRANSFER
        return read_frame(lambda size: _receive(self._channel, size, end), bounds)

    def _wait(self, channel: socket.socket, deadline: float) -> None:
        """Waits for the first byte, and watches the folder meanwhile where nothing else limits it."""
        poll = select.poll()
        poll.register(channel, select.POLLIN)
        pause = _WATCH if self._is_watched else deadline
        while (left := deadline - time.monotonic()) > 0:
            if poll.poll(1000 * min(left, pause) + 1):
                return
            start = time.monotonic()
            self._check_folder()
            pause = max(pause, 5 * (time.monotonic() - start))  # however many files there are to look at
        raise _Late

    def _check_folder(self) -> None:
        """Raises `_Overfull` if the files are too large and no file system of their own limits them."""
        if self._is_watched and exceeds(Path(self.folder), self._limits.folder * MIB, self._pid):
            raise _Overfull

    @property
    def _is_watched(self) -> bool:
        return self.folder != "" and self._zygote is not None and self._zygote.folder is not None

    def _signal(self, number: signal.Signals) -> None:
        """Stops the process between calls, so that code cannot go on behind our back, and lets it continue."""
        with contextlib.suppress(ProcessLookupError):
            if self._handle >= 0:
                signal.pidfd_send_signal(self._handle, number)

    def _kill(self) -> int | None:
        """Ends the process. Returns the status with which it ended; None if there is nobody to ask."""
        channel, self._channel = self._channel, None
        if channel is None:
            return None
        channel.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        zygote, self._zygote = self._zygote, None
        if zygote is None or not zygote.is_alive:
            return None
        try:
            return zygote.end(self._number)
        except ZygoteLost:
            zygote.close()
            return None

    def _lost(self, reason: str, ended: Ended, status: int | None) -> Outcome:
        if status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            reason, ended = f"The code used up its {self._limits.cpu} s of processor time.", "timeout"
        reason = reason or f"The process that ran the code ended{_how(status)}."
        return Outcome(error=f"{reason} All variables and files are lost.", ended=ended, lost=True)


def _how(status: int | None) -> str:
    if status is None:
        return ""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f" by {signal.Signals(number).name}" if number in set(signal.Signals) else f" by signal {number}"
    return f" with exit status {os.WEXITSTATUS(status)}"


def _receive(channel: socket.socket | None, size: int, deadline: float) -> bytearray:
    """Returns exactly `size` bytes."""
    assert channel is not None
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        if (left := deadline - time.monotonic()) <= 0:
            raise _Late
        channel.settimeout(left)
        try:
            count = channel.recv_into(view[done:])
        except TimeoutError:
            raise _Late from None
        if not count:
            raise EOFError
        done += count
    return data
