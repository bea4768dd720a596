"""How much of a server's time the openai policy uses: `python benchmarks/api_concurrency.py`.

The stub server of the tests answers, in a process of its own, after log-normal delays (median 50 ms, 99th percentile
500 ms, seeded), and 64 requests are in flight. A perfect client finishes them in the sum of the delays divided by 64.
That holds while 64 are in flight: at the very end the slowest ones run on alone, whoever asks. So (a) counts from the
arrival of the 64th request to that of the last, delays cut at both, and (b) compares the whole run, its start and its
end included, with a perfect client's, one that sends the next request in the instant an answer is ready.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
import time
from pathlib import Path

import numpy as np
from figures import Figure, show

from o3gym.policies.dialogue import Dialogue, Picture, Request
from o3gym.policies.openai.policy import OpenAIPolicy
from o3gym.types import FULL, Sampling, View

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "policies"))
from openai_stub import Stub, completion

IN_FLIGHT, OPEN, REQUESTS = 64, 96, 1000
"""Requests in flight; those that the policy has been given, so that the next is at hand; all of them."""
MEDIAN, P99 = 0.050, 0.500
NORMAL_P99 = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


def main() -> None:
    figures = []
    with Stub() as stub:
        for seed in range(3):
            figures += measured(stub, delays(seed), seed)
    show(f"openai policy, {IN_FLIGHT} in flight, {REQUESTS} requests", figures)


def delays(seed: int) -> list[float]:
    rng = random.Random(seed)
    sigma = math.log(P99 / MEDIAN) / NORMAL_P99
    return [rng.lognormvariate(math.log(MEDIAN), sigma) for _ in range(REQUESTS)]


def measured(stub: Stub, seconds: list[float], seed: int) -> list[Figure]:
    policy = OpenAIPolicy("m", base_url=stub.url, concurrency=IN_FLIGHT)
    stub.script({"body": completion(), "delay": MEDIAN})
    exchange(policy, IN_FLIGHT)  # opens the connections
    stub.script(*[{"body": completion(), "delay": delay} for delay in seconds], {"body": completion()})
    whole = exchange(policy, REQUESTS)
    policy.close()
    log = stub.log()
    first, last = log[IN_FLIGHT - 1]["at"], log[-1]["at"]
    spans = [(max(entry["at"], first), min(entry["at"] + entry["delay"], last)) for entry in log]
    work = sum(max(0.0, end - begin) for begin, end in spans)
    steady, perfect = work / IN_FLIGHT / (last - first), schedule(seconds)
    return [
        Figure(f"(a) throughput / ideal, seed {seed}", steady, "×", "at least 0.95", steady >= 0.95),
        Figure(f"(b) a perfect client's time / ours, seed {seed}", perfect / whole, "×", "for reference", True),
    ]


def exchange(policy: OpenAIPolicy, count: int) -> float:
    """Seconds from the first request to the last reply, each with a small picture."""
    requests, came = [asked(number) for number in range(count)], 0
    start = time.perf_counter()
    for request in requests[:OPEN]:
        policy.submit(request)
    while came < count:
        for key, reply in policy.poll():
            assert reply.finish == "stop", reply.error
            policy.release(key)
            came += 1
            if came + OPEN <= count:
                policy.submit(requests[came + OPEN - 1])
    return time.perf_counter() - start


PIXELS = np.full((28, 28, 3), 128, np.uint8)


def asked(number: int) -> Request:
    dialogue = Dialogue()
    dialogue.add("system", ["You look."])
    dialogue.add("user", [Picture(View(0, 0, FULL, (28, 28), (28, 28)), lambda: PIXELS), "What is it?"])
    return Request(("arm", str(number), 0, "main"), dialogue, Sampling(seed=number))


def schedule(seconds: list[float]) -> float:
    """The whole time of a client that loses none: each request goes to the slot that is free first."""
    slots = [0.0] * IN_FLIGHT
    for delay in seconds:
        heapq.heapreplace(slots, slots[0] + delay)
    return max(slots)


if __name__ == "__main__":
    main()
