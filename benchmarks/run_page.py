"""Measures what the HTML page of a run costs, and memory over the length of a run: `python benchmarks/run_page.py`.

(a) times the command of README on fewer tasks (`--tasks`, 630 episodes in README's own). The page costs the time in
which the run makes thumbnails, and then the time to write the page. The baseline is a page that has to make its
thumbnails from the pictures, for a run without them. (b) plays an oracle on small pictures, with a store of 16 MiB, in
runs of different lengths (`--short`, `--long`), and compares the peaks of resident memory. Every measurement runs in
its own process, after the imports. Times are processor times, which agree with the clock on an idle machine and are
comparable on a busy one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from figures import Figure, show

from o3gym.bench.definition import Bench
from o3gym.bench.run import page, report, run
from o3gym.media.images import shared_store

README = Bench(policies=("oracle", "sweep", "random"), turns=(4, 8, 16))
SMALL = Bench(
    policies=("oracle",),
    suite_args={"family": "attribute", "difficulty": "easy", "pixels": 160_000},
    env={"min_pixels": 1000, "max_pixels": 40_000},
)
BUDGET = 16 * 2**20
"""Bytes for decoded pictures while memory is measured: few enough to see everything else."""
MEBIBYTE = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the page of a run and memory over its length.")
    parser.add_argument("--tasks", type=int, default=42, help="tasks of (a), played by three policies")
    parser.add_argument("--short", type=int, default=300, help="episodes of the shorter run of (b)")
    parser.add_argument("--long", type=int, default=3000, help="episodes of the longer run of (b)")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of (a)")
    parser.add_argument("--measure", nargs=3, metavar=("WHAT", "FOLDER", "N"), help="make one measurement here")
    args, _ = parser.parse_known_args()
    if args.measure:
        what, folder, number = args.measure
        print(json.dumps(MEASURES[what](Path(folder), int(number))))
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = [*compare_times(Path(folder), args.tasks, args.rounds)]
        figures += compare_memory(Path(folder), args.short, args.long)
    show(f"a run of {3 * args.tasks} episodes, and runs of {args.short} and {args.long}", figures, parser)


def compare_times(folder: Path, tasks: int, rounds: int) -> list[Figure]:
    seconds: dict[str, list[float]] = {what: [] for what in ("run", "run with thumbnails", "page", "page alone")}
    for number in range(rounds):
        bare, full = folder / f"bare-{number}", folder / f"full-{number}"
        for what, at in (("run", bare), ("run with thumbnails", full), ("page", full), ("page alone", bare)):
            seconds[what].append(measure(what, at, tasks)["seconds"])
    played, with_thumbnails, written, alone = map(statistics.median, seconds.values())
    making = (with_thumbnails - played) / played
    return [
        Figure("(a) thumbnails made while playing / the run", 100 * making, "%", "for reference", True),
        Figure("(a) page written / the run", 100 * written / played, "%", "for reference", True),
        Figure(
            "(a) both / the run",
            100 * (making + written / played),
            "%",
            "at most 15",
            making + written / played <= 0.15,
        ),
        Figure("(a) page of a run without thumbnails / the run", 100 * alone / played, "%", "for reference", True),
        Figure("(a) the run", played, "s", "for reference", True),
    ]


def compare_memory(folder: Path, short: int, long: int) -> list[Figure]:
    figures = []
    for what in ("run", "report", "page", "embedded page"):
        low, high = (measure(f"memory of {what}", folder / str(n), n)["peak"] for n in (short, long))
        figures.append(Figure(f"(b) peak of {what}, {short}", low / MEBIBYTE, "MiB", "for reference", True))
        name = f"(b) peak of {what}, {long} / {short}"
        figures.append(Figure(name, high / low, "×", "flat: at most 1.1", high / low <= 1.1))
    return figures


def measure(what: str, folder: Path, number: int) -> dict[str, float]:
    """Makes one measurement in a new process."""
    command = [sys.executable, __file__, "--measure", what, str(folder), str(number)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def seconds_of(call: Callable[[], object]) -> dict[str, float]:
    start = time.process_time()
    call()
    return {"seconds": time.process_time() - start}


def play(bench: Bench, folder: Path, number: int, thumbnails: bool = True) -> None:
    run(replace(bench, episodes=number), folder, thumbnails=thumbnails)


def peak_of(call: Callable[[], object]) -> dict[str, float]:
    """Returns the peak of resident memory in bytes, imports included."""
    shared_store().budget = BUDGET
    call()
    lines = Path("/proc/self/status").read_text().splitlines()
    return {"peak": 1024.0 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])}


MEASURES: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "run": lambda folder, number: seconds_of(lambda: play(README, folder, number, thumbnails=False)),
    "run with thumbnails": lambda folder, number: seconds_of(lambda: play(README, folder, number)),
    "page": lambda folder, number: seconds_of(lambda: page(folder)),
    "page alone": lambda folder, number: seconds_of(lambda: page(folder)),
    "memory of run": lambda folder, number: peak_of(lambda: play(SMALL, folder, number)),
    "memory of report": lambda folder, number: peak_of(lambda: report(folder)),
    "memory of page": lambda folder, number: peak_of(lambda: page(folder)),
    "memory of embedded page": lambda folder, number: peak_of(lambda: page(folder, embed=True)),
}

if __name__ == "__main__":
    main()
