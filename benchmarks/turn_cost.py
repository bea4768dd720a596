"""Measures the cost of later turns of a dialogue with the transformers policy: `python benchmarks/turn_cost.py`.

A randomly initialised Qwen model of each family replies 16 times, with a new picture of 64 tokens and about 40 tokens
of text per turn. All replies have the same length. As the baseline the same model reads the whole dialogue again in
every turn, as happens for families without a decoding loop in o3gym. Dialogues alternate between the two.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import Figure, show

from o3gym.policies.dialogue import Dialogue, Picture, Request
from o3gym.policies.local.generate import WholeHistory
from o3gym.policies.local.transformers import Transformers
from o3gym.sampling import Sampling
from o3gym.types import FULL, View

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "policies" / "local"))
import vlm_folders

TURNS, ROUNDS = 16, 7
SIDE = {"qwen2_5_vl": 224, "qwen3_vl": 256}
"""Side of a picture in pixels: 64 tokens per picture at the patch size of each family."""
REPLY = '{"name": "crop", "arguments": {"box": [0.1, 0.25, 0.5, 0.75]}}'


def main() -> None:
    torch.set_num_threads(1)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for family in SIDE:
            path = vlm_folders.qwen(Path(folder) / family, family, hidden=128, layers=4)
            figures += measure(Transformers(path), family)
    show(f"a dialogue of {TURNS} turns, one thread", figures)


def measure(policy: Transformers, family: str) -> list[Figure]:
    engine = policy._engine
    whole = WholeHistory(policy.model, policy.encoder, 1, engine.max_context, engine.eos)
    ours, baseline = [], []
    for number in range(ROUNDS + 1):
        ours.append(seconds(engine, SIDE[family], number))
        baseline.append(seconds(whole, SIDE[family], number))
    kept, read = medians(ours[1:]), medians(baseline[1:])
    ratio = kept[15] / kept[1]
    return [
        Figure(f"{family}: turn 16 / turn 2, cache kept", ratio, "×", "at most 1.3×", ratio <= 1.3),
        Figure(f"{family}: turn 16 / turn 2, everything read again", read[15] / read[1], "×", "for reference", True),
        Figure(f"{family}: turn 16, read again / kept", read[15] / kept[15], "×", "for reference", True),
        Figure(f"{family}: turn 2, cache kept", 1000 * kept[1], "ms", "for reference", True),
    ]


def medians(rounds: list[list[float]]) -> list[float]:
    return [statistics.median(turn) for turn in zip(*rounds, strict=True)]


def seconds(engine: Any, side: int, number: int) -> list[float]:
    """Returns the seconds of each turn of one dialogue."""
    dialogue, times, key = Dialogue(), [], ("arm", str(number), 0, "main")
    dialogue.add("system", ["You look."])
    for turn in range(TURNS):
        pixels = np.random.default_rng(turn).integers(0, 256, (side, side, 3), dtype=np.uint8)
        dialogue.add("user", [Picture(View(turn, 0, FULL, (side, side), (side, side)), lambda p=pixels: p), "Go on."])
        start = time.perf_counter()
        engine.submit(Request(key, dialogue, Sampling(choices=(REPLY,))))
        ((_, reply),) = engine.poll()
        times.append(time.perf_counter() - start)
        assert reply.text == REPLY
        dialogue.add("assistant", [reply.text])
    engine.release(key)
    return times


if __name__ == "__main__":
    main()
