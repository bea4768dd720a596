"""Measures opening, counting and iterating over a table of gigabytes: `python benchmarks/suite_streaming.py`.

Writes a file in the format of HR-Bench 8K, 800 rows with a picture of 1.5 MB of base64 each (`--rows`, `--megabytes`),
and deletes it at the end. Every measurement runs in its own process, after the imports; before it the file is dropped
from the page cache if the system allows it. Baselines: `csv.DictReader` reading the whole file and, for counting, a
loop that reads the bytes and does nothing with them.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
from figures import Figure, in_turn, show
from PIL import Image

from o3gym.media.images import shared_store
from o3gym.suites.base import Suite, make_suite
from o3gym.suites.released.tsv import CHUNK, TsvTable

COLUMNS = ("index", "question", "answer", "category", "A", "B", "C", "D", "cycle_category", "image")
BUDGET = 64 * 2**20
"""Bytes for decoded pictures: room for only a handful of those in a pass."""
CROP = (0.4, 0.4, 0.6, 0.6)


def main() -> None:
    parser = argparse.ArgumentParser(description="Opens, counts and iterates over a table of gigabytes.")
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--megabytes", type=float, default=1.5, help="size of the base64 text of a row's picture")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FILE"), help="make one measurement in this process")
    args, _ = parser.parse_known_args()
    if args.measure:
        what, path = args.measure
        print(json.dumps(MEASURES[what](Path(path))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = write_table(Path(folder) / "hr_bench_8k.tsv", args.rows, args.megabytes)
        figures = compare(path, args.rows)
    show(f"a TSV of {args.rows} rows of {args.megabytes} MB", figures, parser)


def compare(path: Path, rows: int) -> list[Figure]:
    suite, env, drawn = (median_seconds(what, path) for what in ("suite", "env", "drawn"))
    whole, loaded = measure("whole", path), measure("dict_reader", path)
    size, ratio = path.stat().st_size, measure("count", path)["ratio"]
    share, growth = whole["peak"] / (size / rows + BUDGET), whole["peak"] / whole["tenth"]
    return [
        Figure("(a) suite opened, first task", suite, "s", "under 1", suite < 1),
        Figure("(a) gym.make, reset to the first task", env, "s", "under 1", env < 1),
        Figure("(a) csv.DictReader, first row of all", loaded["seconds"], "s", "for reference", True),
        Figure("(b) rows counted / bytes read", ratio, "×", "at most 2", ratio <= 2),
        Figure("(b) gym.make, reset to a drawn task", drawn, "s", "for reference", True),
        Figure("(c) peak of the whole pass / (row + budget)", share, "×", "at most 1.5", share <= 1.5),
        Figure("(c) peak of the whole pass / of its first tenth", growth, "×", "flat: at most 1.1", growth <= 1.1),
        Figure("(c) the pass, a header and a crop of each", whole["seconds"], "s", "for reference", True),
        Figure("(c) csv.DictReader, peak / size of the file", loaded["peak"] / size, "×", "for reference", True),
    ]


def write_table(path: Path, rows: int, megabytes: float) -> Path:
    """Writes rows with one picture of noise. A comment in the JPEG gives every row a different base64 text."""
    encoded = picture(int(megabytes * 750_000))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for number in range(rows):
            comment = b"\xff\xfe\x00\x0a" + b"%08d" % number
            image = base64.b64encode(encoded[:2] + comment + encoded[2:]).decode()
            question = f'Which "sign", {number}?\nSee left.' if number % 4 else f"What colour, {number}?"
            writer.writerow([number, question, "ABCD"[number % 4], "single", *"wxyz", number % 4, image])
        file.flush()
        os.fsync(file.fileno())
    return path


def picture(size: int) -> bytes:
    """Returns a JPEG of noise with a size of about `size` bytes."""
    side, encoded = 512, b""
    for _ in range(2):
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "JPEG", quality=85)
        encoded = buffer.getvalue()
        side = int(side * (size / len(encoded)) ** 0.5)
    return encoded


def measure(what: str, path: Path) -> dict[str, float]:
    """Makes one measurement in a new process, with the file dropped from the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, __file__, "--measure", what, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def median_seconds(what: str, path: Path) -> float:
    """Returns the median seconds of five measurements."""
    return statistics.median(measure(what, path)["seconds"] for _ in range(5))


def open_suite(path: Path) -> Suite:
    return make_suite("hrbench-8k", data=str(path))


def seconds_of(call: Callable[[], object]) -> dict[str, float]:
    start = time.perf_counter()
    call()
    return {"seconds": time.perf_counter() - start}


def reset(path: Path, **arguments: object) -> dict[str, float]:
    """Times `gym.make` and a reset. A synthetic environment has already loaded what every environment needs."""
    gym.make("o3gym/VisualSearch-v0").reset(seed=0)
    return seconds_of(lambda: make_env(path).reset(**arguments))


def make_env(path: Path) -> gym.Env:
    return gym.make("o3gym/VisualSearch-v0", suite="hrbench-8k", suite_args={"data": str(path)})


def go_through(path: Path) -> dict[str, float]:
    """Iterates over all rows. Returns the seconds, and the growth of peak memory after all and a tenth of the rows."""
    store, suite, tenth = shared_store(), open_suite(path), 0.0
    store.budget, rows, start = BUDGET, len(suite), time.perf_counter()
    before = reset_peak()
    for seen, task in enumerate(suite, 1):
        store.size(task.sources[0])
        store.region(task.sources[0], CROP)
        if seen == max(1, rows // 10):
            tenth = memory("VmHWM") - before
    return {"seconds": time.perf_counter() - start, "peak": memory("VmHWM") - before, "tenth": tenth}


def dict_reader(path: Path) -> dict[str, float]:
    csv.field_size_limit(sys.maxsize)
    before = reset_peak()

    def load() -> list[dict[str, str]]:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    return {**seconds_of(load), "peak": memory("VmHWM") - before}


def counting(path: Path) -> dict[str, float]:
    def read() -> None:
        with path.open("rb", buffering=0) as file:
            while file.read(CHUNK):
                pass

    ours, bare = in_turn(lambda: len(TsvTable(path)), read, 5)
    return {"ratio": ours / bare}


def reset_peak() -> float:
    """Resets the peak of resident memory. Returns the memory in use, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * int(next(line for line in lines if line.startswith(name)).split()[1])


MEASURES: dict[str, Callable[[Path], dict[str, float]]] = {
    "suite": lambda path: seconds_of(lambda: open_suite(path)[0]),
    "env": lambda path: reset(path, options={"task": 0}),
    "drawn": lambda path: reset(path, seed=0),
    "whole": go_through,
    "dict_reader": dict_reader,
    "count": counting,
}

if __name__ == "__main__":
    main()
