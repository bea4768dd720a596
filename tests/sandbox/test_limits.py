"""Limits of workers, what happens at them, and that the state survives what it can survive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from o3gym.sandbox import Sandbox, SandboxWorker

Open = Callable[..., SandboxWorker]


def test_an_endless_loop_is_stopped_and_the_variables_are_kept(open_worker: Open) -> None:
    worker = open_worker(seconds=0.05)
    outcome = worker.run("a = 1\nprint('on')\nwhile True:\n    pass")
    assert (outcome.ended, outcome.lost, outcome.text) == ("timeout", False, "on\n")
    assert outcome.error == "The code was stopped after 0.05 s. Its variables are kept."
    assert worker.run("a").text == "1\n"


@pytest.mark.parametrize(
    "code",
    [
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nsignal.pause()",
    ],
    ids=["ignores the alarm", "sleeps"],
)
def test_code_that_does_not_stop_is_killed(open_worker: Open, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.sandbox.worker.GRACE", 0.1)
    worker = open_worker(seconds=0.05)
    worker.put("image", np.zeros((3, 4, 3), np.uint8))
    worker.run("a = 1")
    outcome = worker.run(code)
    assert (outcome.ended, outcome.lost) == ("timeout", True)
    assert outcome.error.endswith("did not end by itself. All variables and files are lost.")
    assert worker.run("print('a' in globals(), image.size)").text == "False (4, 3)\n"


def test_memory_is_limited_and_the_variables_are_kept(worker: SandboxWorker) -> None:
    worker.run("a = 1")
    outcome = worker.run("import numpy\nb = numpy.ones(300 * 2**20, 'u1')")
    assert (outcome.ended, outcome.lost) == ("memory", False)
    assert "MemoryError: Unable to allocate 300. MiB" in outcome.error
    assert worker.run("c = numpy.ones(100 * 2**20, 'u1')\na").text == "1\n"


def test_a_file_is_limited(worker: SandboxWorker) -> None:
    outcome = worker.run("open('a', 'wb').write(bytes(9 * 2**20))")
    assert outcome.error.endswith("OSError: [Errno 27] File too large")


def test_the_folder_is_limited(worker: SandboxWorker) -> None:
    outcome = worker.run("for n in range(4):\n    open(str(n), 'wb').write(bytes(7 * 2**20))")
    full = "OSError: [Errno 28] No space left on device", "The code wrote more than 16 MiB, or too many files. "
    assert outcome.ended in ("error", "died")
    assert outcome.error.endswith(full[0]) or outcome.error.startswith(full[1])


REMOVED = """import os
files = []
for n in range(4):
    files.append(open("a", "wb"))
    files[-1].write(bytes(7 * 2**20))
    files[-1].flush()
    os.remove("a")
"""


def test_removed_files_count(worker: SandboxWorker) -> None:
    assert worker.run(REMOVED).ended in ("error", "died")


def test_files_and_folders_are_counted(
    sandbox: Sandbox, worker: SandboxWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sandbox.rung == "bwrap":
        pytest.skip("with bubblewrap, the file system of the folder has a number of inodes")
    monkeypatch.setattr("o3gym.sandbox.folders.MOST_FILES", 60)
    code = "import os\nfor n in range({}):\n    {}(str(n))"
    assert worker.run(code.format(40, "os.mknod")).ended == "error"
    outcome = worker.run(code.format(5, "os.mkdir"))
    assert outcome.error == "The code wrote more than 16 MiB, or too many files. All variables and files are lost."
    assert not worker.run("open('a', 'w').close()").lost


def test_printed_text_is_limited(worker: SandboxWorker) -> None:
    outcome = worker.run("print('a' * 600)\nprint('b' * 10**6)")
    assert outcome.text == "a" * 500 + "\n[1000102 more characters were cut]"


def test_pictures_are_limited_in_number_size_and_pixels(worker: SandboxWorker) -> None:
    worker.put("image", np.zeros((10, 10, 3), np.uint8))
    outcome = worker.run("for n in range(4):\n    show(image)\n    image.save(f'{n}.png')")
    assert (len(outcome.shown), len(outcome.stored)) == (2, 2)
    assert outcome.text.startswith("\n[4 more pictures were left out: at most 2 ")
    assert "has 600×600 pixels" in worker.run("show(image.resize((600, 600)))").error
    outcome = worker.run("import os\nopen('large.png', 'wb').write(os.urandom(2**20 + 1))")
    assert outcome.stored == ()
    assert "[large.png cannot be shown" in outcome.text


def test_processor_time_is_limited_over_all_calls(sandbox: Sandbox, open_worker: Open) -> None:
    worker = open_worker()
    assert sandbox.limits.cpu == 300
    assert worker.run("import resource\nprint(resource.getrlimit(resource.RLIMIT_CPU))").text == "(300, 301)\n"
    outcome = worker.run(
        "import os, signal\nsignal.signal(signal.SIGXCPU, signal.SIG_DFL)\nos.kill(os.getpid(), signal.SIGXCPU)"
    )
    assert (outcome.ended, outcome.lost) == ("timeout", True)
    assert outcome.error.startswith("The code used up its 300 s of processor time.")


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os; os._exit(3)", "with exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "by SIGSEGV"),
        ("import os\nos.closerange(3, 64)", ""),
    ],
)
def test_a_process_that_dies_is_replaced(worker: SandboxWorker, code: str, how: str) -> None:
    worker.put("image", np.zeros((3, 4, 3), np.uint8))
    outcome = worker.run(code)
    assert (outcome.ended, outcome.lost) == ("died", True)
    assert outcome.error.startswith("The process that ran the code ended")
    assert how in outcome.error
    assert worker.run("print(image.size)").text == "(4, 3)\n"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.fork()",
        "import threading; threading.Thread(target=print).start()",
        "import os; os.system('true')",
    ],
)
def test_there_are_no_processes_and_no_threads(worker: SandboxWorker, code: str) -> None:
    outcome = worker.run(code)
    assert outcome.ended == "error" or outcome.text in ("-1\n", "32512\n")  # the status of a shell that is not found
    assert not outcome.lost
