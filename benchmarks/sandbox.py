"""Measures what isolated code costs: `python benchmarks/sandbox.py`, for each isolation that works on this machine.

The baseline, timed in turn with it, is a fresh interpreter in the same isolation that imports NumPy and Pillow: what
each episode would need without a zygote. Processor times are those of the host, the zygote and the worker together;
memory is the proportional set size, which counts a page that n processes share as one nth in each.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from figures import Figure, in_turn, show

from o3gym.sandbox import Limits, Sandbox, SandboxUnavailable, SandboxWorker, Workplace, open_sandbox
from o3gym.sandbox.packages import find_library
from o3gym.sandbox.zygotes import ZygoteProcess

EPISODES, CALLS, AT_ONCE = 40, 200, 64
PLACE = Workplace(modules={"np": "numpy"})
CODE = "total = 0\nfor number in range(20_000):\n    total += number % 7"
"""Takes a millisecond: what a call adds to it is the overhead."""
PICTURE = "crop = image.crop((100, 100, 900, 900)).rotate(30)\nshow(crop.resize((256, 256)))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rungs", nargs="+", default=["bwrap", "seccomp"], help="which isolations to measure")
    figures = []
    for rung in parser.parse_known_args()[0].rungs:
        try:
            figures += measure(rung)
        except SandboxUnavailable as error:
            print(f"{rung} is left out: {error}")
    show(f"code in a sandbox, {AT_ONCE} episodes at most", figures, parser)


def measure(rung: str) -> list[Figure]:
    sandbox = open_sandbox(rung)
    workers: list[SandboxWorker] = []
    handed_out, fresh = in_turn(lambda: workers.append(sandbox.worker(PLACE)), lambda: interpreter(rung), 15)
    for worker in workers:
        worker.close()
    used, used_fresh = processor_times(sandbox), processor_time_of_interpreter(rung)
    overhead = 1000 * call_overhead(sandbox)
    opened, memory = at_once(sandbox)
    sandbox.close()
    return [
        Figure(f"{rung}: worker handed out, ready for code", 1000 * handed_out, "ms", "at most 50", handed_out <= 0.05),
        Figure(f"{rung}: the same / a fresh interpreter", handed_out / fresh, "×", "for reference", True),
        Figure(f"{rung}: a fresh interpreter with NumPy and Pillow", 1000 * fresh, "ms", "for reference", True),
        Figure(f"{rung}: processor time of a new episode", 1000 * used, "ms", "at most 100", used <= 0.1),
        Figure(f"{rung}: the same / a fresh interpreter", used / used_fresh, "×", "for reference", True),
        Figure(f"{rung}: a call, added to the bare code", overhead, "ms", "at most 5", overhead <= 5),
        Figure(f"{rung}: {AT_ONCE} episodes opened, 1 picture of a megapixel each", opened, "s", "for reference", True),
        Figure(
            f"{rung}: memory of {AT_ONCE} such episodes and the zygote", memory, "MiB", "at most 1,024", memory <= 1024
        ),
    ]


def interpreter(rung: str) -> None:
    ZygoteProcess(rung, find_library([]), Limits()).close()


def processor_times(sandbox: Sandbox) -> float:
    """Returns the processor seconds of a new episode with one call, in all processes that take part."""
    sandbox.worker(PLACE).close()
    pid = running_zygote(sandbox)
    before = time.process_time() + seconds_of(pid)
    for _ in range(EPISODES):
        with sandbox.worker(PLACE) as worker:
            worker.run("1")
    return (time.process_time() + seconds_of(pid) - before) / EPISODES


def processor_time_of_interpreter(rung: str) -> float:
    before = os.times()
    for _ in range(5):
        interpreter(rung)
    return sum(b - a for a, b in zip(before[:4], os.times()[:4], strict=True)) / 5


def running_zygote(sandbox: Sandbox) -> int:
    zygote = sandbox._zygote
    assert zygote is not None
    return zygote.pid


def seconds_of(pid: int) -> float:
    """Returns the processor seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def call_overhead(sandbox: Sandbox) -> float:
    names: dict[str, object] = {}
    code = compile(CODE, "bare", "exec")
    with sandbox.worker(PLACE) as worker:
        inside, bare = in_turn(lambda: worker.run(CODE), lambda: exec(code, names), CALLS)
    return inside - bare


def at_once(sandbox: Sandbox) -> tuple[float, float]:
    """Returns the seconds in which many episodes are opened and make a first call, and the MiB that they take."""
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    start, workers = time.perf_counter(), []
    for _ in range(AT_ONCE):
        worker = sandbox.worker(PLACE)
        worker.put("image", pixels)
        outcome = worker.run(PICTURE)
        assert len(outcome.shown) == 1, outcome
        workers.append(worker)
    seconds = time.perf_counter() - start
    memory = sum(proportional_set(pid) for pid in (running_zygote(sandbox), *map(process, workers)))
    for worker in workers:
        worker.close()
    return seconds, memory


def process(worker: SandboxWorker) -> int:
    return worker._pid


def proportional_set(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
