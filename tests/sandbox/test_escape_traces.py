"""Tests that an attack leaves nothing behind: no process, no file, no load."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from o3gym.sandbox import Outcome, Workplace
from tests.sandbox.attack_form import read_attacks
from tests.sandbox.escape_camp import HURRIED, LIMITS, WORKPLACE, Camp, open_camp, time_computed, works
from tests.sandbox.escape_world import descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox and the attacks are for Linux")

LITTER = (
    "deep_folders",
    "closed_folders",
    "odd_names",
    "folder_as_a_picture",
    "large_files_as_pictures",
    "many_pictures",
)
BURN = """
import os
real = os.readv
def readv(*arguments):
    while True: pass
os.readv = readv
"""
BURN_IN_A_HANDLER = """
import signal
def handle(*_):
    while True: pass
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
signal.setitimer = signal.signal = signal.alarm = lambda *_: None
"""
HOST = """
import sys, threading
from o3gym.sandbox import Workplace, open_sandbox
sandbox = open_sandbox(sys.argv[1])
loop = sandbox.worker(Workplace(seconds=60))
idle = sandbox.worker()
idle.run("open('file', 'w').write('x')")
threading.Thread(target=loop.run, args=("while True: pass",)).start()
print("ready", flush=True)
"""
"""A host that is killed while code runs."""


@pytest.fixture(scope="module", params=["bwrap", "seccomp"])
def rung(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for temporary files, which is empty and belongs to this test."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("temporary")
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="module")
def camp(rung: str, temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camp]:
    with open_camp(rung, tmp_path_factory.mktemp(rung), "&cpu=21") as camp:
        yield camp
    assert list(temporary.iterdir()) == []


def files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_of_a_closed_worker(camp: Camp, temporary: Path) -> None:
    attacks = {attack.name: attack for attack in read_attacks()}
    files, processes = files_below(temporary), descendants()
    for name in LITTER:
        with camp.sandbox.worker(WORKPLACE) as worker:
            camp.check(worker.run(attacks[name].code(camp.facts)))
    with camp.sandbox.worker(HURRIED) as worker:
        assert worker.run("import os\nos.write = None\nwhile True: pass").lost
        assert works(worker)
    assert files_below(temporary) == files
    assert descendants() == processes


@pytest.mark.parametrize("source", [BURN, BURN_IN_A_HANDLER], ids=["reading", "handler"])
def test_code_does_not_run_on_between_calls(source: str, camp: Camp) -> None:
    before = descendants()
    with camp.sandbox.worker(HURRIED) as worker:
        camp.check(worker.run(source))
        assert time_computed(0.2, before) < 0.06
        camp.check(worker.run("print(1)"))
        assert works(worker)


def test_workers_are_the_first_to_go_when_memory_runs_out(camp: Camp) -> None:
    before = descendants()
    with camp.sandbox.worker(HURRIED):
        (worker,) = descendants() - before
        assert Path(f"/proc/{worker}/oom_score_adj").read_text() == "1000\n"


def test_many_short_calls_do_not_fill_the_disk(camp: Camp) -> None:
    with camp.sandbox.worker(WORKPLACE) as worker:
        outcomes = [worker.run(f"open('{n}', 'wb').write(bytes(1 << 23))") for n in range(12)]
    camp.check(*outcomes)
    assert any(outcome.ended for outcome in outcomes)


def test_picture_is_handed_in_where_code_is_in_the_way(camp: Camp) -> None:
    pixels = np.zeros((9, 9, 3), np.uint8)
    with camp.sandbox.worker(Workplace(variables="files")) as worker:
        worker.run("import os\nos.mkdir('one.png')\nos.mkdir('two.png', 0)\nopen('three.png', 'w').write('x')")
        for name in ("one", "two", "three"):
            worker.put(name, pixels)
        camp.check(worker.run("print(1)"), worker.run("print(2)"))


def test_no_descriptor_is_left_after_workers_have_died(camp: Camp) -> None:
    before = open_descriptors()
    for source in ("import os\nos._exit(0)", "import os\nos.closerange(0, 64)", "print(1)") * 3:
        with camp.sandbox.worker(HURRIED) as worker:
            camp.check(worker.run(source), worker.run("print(2)"))
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "reaction", ["os._exit(0)", "write(number, bytes(99))", "write(number, b'\\0\\0\\0\\2{}' * 9)"]
)
def test_picture_is_handed_in_to_code_that_does_not_play_along(reaction: str, camp: Camp) -> None:
    lines = f"import os\nread, write = os.readv, os.write\ndef react(number, pieces):\n    {reaction}\n"
    with camp.sandbox.worker(WORKPLACE) as worker:
        camp.check(worker.run(f"{lines}    return read(number, pieces)\nos.readv = react"))
        worker.put("picture", np.zeros((9, 9, 3), np.uint8))
        camp.check(worker.run("print(1)"))
        assert works(worker)
        assert worker.run("print(picture.size)").text == "(9, 9)\n"


def test_closing_the_sandbox_ends_calls(camp: Camp) -> None:
    outcomes: list[Outcome] = []
    worker = camp.sandbox.worker(Workplace(seconds=30))
    thread = threading.Thread(target=lambda: outcomes.append(worker.run("while True: pass")))
    thread.start()
    time.sleep(0.05)
    camp.close()
    camp.sandbox.close()
    thread.join(5)
    worker.close()
    assert [outcome.ended for outcome in outcomes] == ["died"]
    camp.settle()  # the sandbox opens itself again


def test_killed_host_leaves_nothing(rung: str, camp: Camp, temporary: Path) -> None:
    files, before = files_below(temporary), descendants()
    command = [sys.executable, "-c", HOST, f"{rung}?{LIMITS}"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        started = descendants() - before
        host.kill()
    end = time.monotonic() + 10
    while time.monotonic() < end and (files_below(temporary) != files or any(map(is_running, started))):
        time.sleep(0.02)
    assert files_below(temporary) == files
    assert not any(map(is_running, started))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
