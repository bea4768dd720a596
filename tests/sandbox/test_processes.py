"""Processes and files: many workers at once, none left behind, and none that goes on between calls."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from o3gym.sandbox import Sandbox, SandboxWorker, open_sandbox

Open = Callable[..., SandboxWorker]


def zygote(sandbox: Sandbox) -> int:
    assert sandbox._zygote is not None
    return sandbox._zygote.pid


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_threads_share_a_sandbox_and_do_not_mix_their_answers(sandbox: Sandbox) -> None:
    def play(number: int) -> bool:
        with sandbox.worker() as worker:
            worker.run(f"a = {number}")
            return all(worker.run(f"print(a + {n})").text == f"{number + n}\n" for n in range(3))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(play, range(8)))


def test_workers_do_not_see_each_others_files_and_variables(open_worker: Open) -> None:
    first, second = open_worker(), open_worker()
    path = first.run("secret = 1\nopen('secret.txt', 'w').write('hidden')").folder + "/secret.txt"
    assert second.run("'secret' in globals()").text == "False\n"
    assert second.run(f"open({path!r}).read()").ended == "error"
    assert first.run("open('secret.txt').read()").text == "'hidden'\n"


def test_nothing_is_left_of_a_closed_worker(sandbox: Sandbox) -> None:
    sandbox.worker().close()
    before = children(zygote(sandbox))
    worker = sandbox.worker()
    worker.run("import os\nopen('a', 'w').write('x')\nos.makedirs('b/c/d')")
    (pid,) = children(zygote(sandbox)) - before
    worker.close()
    assert not is_alive(pid)
    assert not (worker.folder.startswith("/tmp") and Path(worker.folder).exists())


def test_nothing_is_left_of_a_closed_sandbox_and_it_can_be_used_again(sandbox: Sandbox, open_worker: Open) -> None:
    worker = open_worker()
    worker.run("open('a', 'w').write('x')")
    folder = sandbox._zygote.folder if sandbox._zygote else None
    pids = {zygote(sandbox), *children(zygote(sandbox))}
    sandbox.close()
    assert not any(map(is_alive, pids))
    assert folder is None or not folder.exists()
    assert worker.run("1").lost
    assert worker.run("1 + 1").text == "2\n"


def test_workers_do_not_outlive_a_zygote_that_dies(sandbox: Sandbox, open_worker: Open) -> None:
    worker = open_worker()
    pids = children(zygote(sandbox))
    assert pids
    os.kill(zygote(sandbox), signal.SIGKILL)
    assert wait_until(lambda: not any(map(is_alive, pids)))
    assert worker.run("1").lost
    assert worker.run("1 + 1").text == "2\n"


def test_a_worker_stands_still_between_calls(open_worker: Open) -> None:
    worker = open_worker()
    worker.run(
        "import signal\nsignal.signal(signal.SIGVTALRM, lambda *_: None)\nsignal.setitimer(signal.ITIMER_VIRTUAL, 1)"
    )
    stat = Path(f"/proc/{worker._pid}/stat")
    assert wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
    assert worker.run("1 + 1").text == "2\n"


def test_a_forked_host_starts_processes_of_its_own(sandbox: Sandbox, open_worker: Open) -> None:
    worker = open_worker()
    worker.run("a = 1")
    if (pid := os.fork()) == 0:
        status = 1
        try:
            with sandbox.worker() as other:
                status = 0 if other.run("1 + 1").text == "2\n" else 2
            sandbox.close()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert worker.run("a").text == "1\n"


def test_trust_leaves_no_processes_either() -> None:
    sandbox = open_sandbox("trust")
    with sandbox.worker() as worker:
        code = "import subprocess\nprint(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)"
        pid = int(worker.run(code).text)
        assert is_alive(pid)
    assert not is_alive(pid)
    sandbox.close()
