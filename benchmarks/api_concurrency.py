"""How much of a server's time the openai policy uses: `python benchmarks/api_concurrency.py`.

The stub server of the tests runs in a process of its own and answers after log-normal delays (median 50 or 500 ms, 99th
percentile ten times that, seeded), with 64 requests in flight. A perfect client finishes them in the sum of the delays
divided by 64, as long as 64 are in flight; at the very end the slowest ones run on alone, whichever client asks. So (a)
counts from the arrival of the 64th request to that of the last, delays cut at both, and (b) compares the whole run, its
start and its end included, with that of a perfect client, which sends the next request at the instant an answer is
ready. (c) is the processor time of this process, which bounds (a): delays with a median of 50 ms have a mean of 82 ms,
which allows 64 requests in flight 784 requests a second, and each of them 1.28 ms of one core.

`--httpx` measures the transport that the client falls back on where aiohttp is not installed.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openai
from figures import Figure, show

from o3gym.policies.dialogue import Dialogue, Picture, Request
from o3gym.policies.openai.policy import OpenAIPolicy
from o3gym.sampling import Sampling
from o3gym.types import FULL, View

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "policies" / "openai"))
from openai_stub import Stub, completion

IN_FLIGHT, OPEN, REQUESTS, SEEDS = 64, 96, 1000, 3
"""Requests in flight; those handed to the policy, so that the next is at hand; all of them; runs a figure."""
GOALS = {0.050: 0.85, 0.500: 0.95}
"""Least share of the ideal throughput by median delay in seconds."""
P99_OVER_MEDIAN = 10.0
NORMAL_P99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


@dataclass(frozen=True)
class Run:
    """What one run of all requests measured: (a), (b) and (c) of the module."""

    throughput: float
    whole: float
    milliseconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--httpx", action="store_true", help="measure httpx, the transport without aiohttp")
    if parser.parse_known_args()[0].httpx:
        openai.DefaultAioHttpClient = openai.DefaultAsyncHttpxClient
    figures = []
    with Stub() as stub:
        for median, goal in GOALS.items():
            figures += summary([measured(stub, delays(median, seed), median) for seed in range(SEEDS)], median, goal)
    show(f"openai policy, {IN_FLIGHT} in flight, {REQUESTS} requests, median of {SEEDS} seeds", figures, parser)


def summary(runs: list[Run], median: float, goal: float) -> list[Figure]:
    at = f"delays of {1000 * median:.0f} ms"
    throughput = statistics.median(run.throughput for run in runs)
    whole = statistics.median(run.whole for run in runs)
    milliseconds = statistics.median(run.milliseconds for run in runs)
    return [
        Figure(f"(a) throughput / ideal, {at}", throughput, "×", f"at least {goal}", throughput >= goal),
        Figure(f"(b) a perfect client's time / ours, {at}", whole, "×", "for reference", True),
        Figure(f"(c) processor time of a request, {at}", milliseconds, "ms", "for reference", True),
    ]


def delays(median: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    sigma = math.log(P99_OVER_MEDIAN) / NORMAL_P99
    return [rng.lognormvariate(math.log(median), sigma) for _ in range(REQUESTS)]


def measured(stub: Stub, seconds: list[float], median: float) -> Run:
    policy = OpenAIPolicy("m", base_url=stub.url, concurrency=IN_FLIGHT)
    stub.script({"body": completion(), "delay": median})
    exchange(policy, IN_FLIGHT)  # opens the connections
    stub.script(*[{"body": completion(), "delay": delay} for delay in seconds], {"body": completion()})
    processor = time.process_time()
    whole = exchange(policy, REQUESTS)
    processor = time.process_time() - processor
    policy.close()
    log = stub.log()
    first, last = log[IN_FLIGHT - 1]["at"], log[-1]["at"]
    spans = [(max(entry["at"], first), min(entry["at"] + entry["delay"], last)) for entry in log]
    work = sum(max(0.0, end - begin) for begin, end in spans)
    return Run(work / IN_FLIGHT / (last - first), schedule(seconds) / whole, 1000 * processor / REQUESTS)


def exchange(policy: OpenAIPolicy, count: int) -> float:
    """Returns the seconds from the first request to the last reply; each request holds a small picture."""
    requests, arrived = [request(number) for number in range(count)], 0
    start = time.perf_counter()
    for opening in requests[:OPEN]:
        policy.submit(opening)
    while arrived < count:
        for key, reply in policy.poll():
            assert reply.finish == "stop", reply.error
            policy.release(key)
            arrived += 1
            if arrived + OPEN <= count:
                policy.submit(requests[arrived + OPEN - 1])
    return time.perf_counter() - start


PIXELS = np.full((28, 28, 3), 128, np.uint8)


def request(number: int) -> Request:
    dialogue = Dialogue()
    dialogue.add("system", ["You look."])
    dialogue.add("user", [Picture(View(0, 0, FULL, (28, 28), (28, 28)), lambda: PIXELS), "What is it?"])
    return Request(("arm", str(number), 0, "main"), dialogue, Sampling(seed=number))


def schedule(seconds: list[float]) -> float:
    """Returns the total time of a perfect client: each request goes to the slot that becomes free first."""
    slots = [0.0] * IN_FLIGHT
    for delay in seconds:
        heapq.heapreplace(slots, slots[0] + delay)
    return max(slots)


if __name__ == "__main__":
    main()
