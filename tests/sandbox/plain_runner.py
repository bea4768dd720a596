"""Runs attacks without a sandbox: a process that forks once per attack, so that each starts within milliseconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SERVER = """
import json, os, sys, signal
import numpy, PIL.Image
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    job = json.loads(line)
    if (pid := os.fork()) == 0:
        os.setsid()
        os.chdir(job["folder"])
        out = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open("input", os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if (child := os.fork()) == 0:
            sys.stdin = open(0)
            exec(compile(job["code"], "<code>", "exec"), {"__name__": "__main__"})
            print("FINISHED", flush=True)
            signal.pause()
        os.waitpid(child, 0)
        print("ENDED", flush=True)
        signal.pause()
    print(pid, flush=True)
"""
"""Each attack has a parent of its own, which is there to be attacked, too. What an attack has opened stays open."""


class PlainRunner:
    """Handle of the process that forks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @contextmanager
    def running(self, code: str, folder: Path, seconds: float) -> Iterator[tuple[str, int]]:
        """Runs code until it has finished, but no longer than that; it is ended on leaving.

        Yields:
            What it has printed, and the process number of its parent.
        """
        (folder / "input").write_text("from the host")
        output = folder / "output"
        output.touch()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": code, "folder": str(folder)}) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        try:
            end, text = time.monotonic() + seconds, ""
            while time.monotonic() < end and not text.endswith(("\nFINISHED\n", "\nENDED\n")) and is_alive(pid):
                time.sleep(0.002)
                text = output.read_text(errors="replace")
            yield text, pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Returns whether a process exists, even as a zombie."""
    return Path(f"/proc/{pid}").exists()


@contextmanager
def plain_runner() -> Iterator[PlainRunner]:
    """Starts the process. It inherits all inheritable descriptors."""
    command = [sys.executable, "-B", "-u", "-I", "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, close_fds=False, start_new_session=True
    ) as process:
        try:
            yield PlainRunner(process)
        finally:
            process.kill()
