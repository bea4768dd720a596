"""A sandbox under attack: an attacker, a neighbour that must not notice anything, and checks of what comes back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from o3gym.sandbox import Outcome, Sandbox, SandboxUnavailable, SandboxWorker, Workplace, open_sandbox
from tests.sandbox.attack_form import Attack
from tests.sandbox.escape_world import World, descendants, open_world

MIB = 2**20
OUTPUT, PICTURES, PICTURE = 5000, 4, 1
LIMITS = f"memory=256&file=16&folder=64&output={OUTPUT}&pictures={PICTURES}&picture={PICTURE}&cpu=20"
BOMBS = {"bomb": 384 * MIB, "file_bomb": 48 * MIB, "disk_bomb": 160 * MIB}
"""Sizes of the bombs, in bytes: beyond the limits, and still harmless without a sandbox."""
WORKPLACE = Workplace(modules={"np": "numpy"}, values=("processed_path",), seconds=5)
HURRIED = Workplace(values=("processed_path",), seconds=0.3)
NEIGHBOUR = "import os\nprint(os.getcwd(), os.getpid())\ncount = 0\n"


LOOK = """
import builtins, gc, json, random, signal, sys, os, atexit
from PIL import Image
print(sorted(globals()), sorted(vars(builtins)), os.listdir("."), sys.path, random.random(), np.random.rand())
print({name: value.replace(os.getcwd(), "") for name, value in os.environ.items()})
print(json.dumps({"a": [1, True]}), Image.Image.save.__module__, len([1]), os.write.__name__)
print(sys.gettrace(), sys.getprofile(), sys.meta_path)
print([signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)], gc.isenabled(), sys.getrecursionlimit())
"""
"""Prints what an earlier episode could have changed."""


class Camp:
    """An attacking episode, which is replaced when its worker is spoilt, and another episode beside it."""

    def __init__(self, sandbox: Sandbox, world: World) -> None:
        self.sandbox, self.world = sandbox, world
        self.settle()

    def settle(self) -> None:
        """Starts both."""
        self.attacker = self.sandbox.worker(WORKPLACE)
        self.neighbour = self.sandbox.worker(WORKPLACE)
        self.count = 0
        self.first_look = self.look()
        lines = f"{NEIGHBOUR}secret = {self.world.token!r}\nopen('neighbour.txt', 'w').write(secret)"
        folder, pid = self.neighbour.run(lines).text.split()[:2]
        self.facts = self.world.facts | BOMBS | {"neighbour": folder, "others": [int(pid)]}

    def look(self) -> str:
        """Returns a description of what a new episode finds."""
        with self.sandbox.worker(WORKPLACE) as worker:
            return worker.run(LOOK).text

    def attack(self, attack: Attack) -> Outcome:
        """Runs an attack in the attacker's worker."""
        outcome = self.attacker.run(attack.code(self.facts))
        if attack.spoils:
            self.attacker.close()
            self.attacker = self.sandbox.worker(WORKPLACE)
        return outcome

    def check(self, *outcomes: Outcome) -> None:
        """Asserts that no target was reached, the outcomes are well-formed, and the neighbour works as before."""
        effects = self.world.seen()
        self.world.restore()
        assert not effects
        for outcome in outcomes:
            check_form(outcome)
            assert not leaks(outcome, self.world.token), outcome
        self.count += 1
        told = self.neighbour.run("count += 1\nprint(count, open('neighbour.txt').read() == secret)")
        assert told.text == f"{self.count} True\n", told

    def close(self) -> None:
        """Ends both."""
        self.attacker.close()
        self.neighbour.close()


@contextmanager
def open_camp(rung: str, folder: Path, more: str = "") -> Iterator[Camp]:
    """Opens a sandbox and a world, or skips the test where the rung is missing. Asserts that no process is left."""
    with open_world(folder) as world:
        before = descendants()
        try:
            sandbox = open_sandbox(f"{rung}?{LIMITS}{more}")
        except SandboxUnavailable as reason:
            pytest.skip(str(reason))
        camp = Camp(sandbox, world)
        try:
            yield camp
        finally:
            camp.close()
            sandbox.close()
        assert descendants() <= before


def leaks(outcome: Outcome, token: str) -> bool:
    """Returns whether an outcome holds a secret or a sign of success."""
    parts = [outcome.text, outcome.error, *outcome.values.values(), *(path for path, _ in outcome.stored)]
    data = [part.encode() for part in parts] + [*outcome.shown, *(data for _, data in outcome.stored)]
    return any(b"ESCAPED" in part or token.encode() in part for part in data)


def check_form(outcome: Outcome) -> None:
    """Asserts that an outcome has the promised types and respects the limits."""
    texts = [
        outcome.text,
        outcome.error,
        *outcome.values,
        *outcome.values.values(),
        *(path for path, _ in outcome.stored),
    ]
    assert all(type(text) is str and text.encode() is not None and len(text) <= OUTPUT + 4000 for text in texts)
    assert len(outcome.text) <= OUTPUT + 1000
    assert outcome.ended in ("", "error", "timeout", "memory", "died")
    assert outcome.values.keys() <= {"processed_path"}
    assert len(outcome.shown) <= PICTURES
    assert len(outcome.stored) <= PICTURES
    pictures = [*outcome.shown, *(data for _, data in outcome.stored)]
    assert all(type(data) is bytes and len(data) <= PICTURE * MIB for data in pictures)
    assert bool(outcome.error) == bool(outcome.ended)


def works(worker: SandboxWorker) -> bool:
    """Returns whether a worker can be used."""
    return worker.run("print(6 * 7)").text == "42\n"


def processor_time(pids: set[int]) -> float:
    """Returns the processor time of processes in seconds."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def time_computed(seconds: float, before: set[int]) -> float:
    """Returns the processor time, over some seconds, of the processes that are not in `before`."""
    started = descendants() - before
    begin = processor_time(started)
    time.sleep(seconds)
    return processor_time(started) - begin
