"""Measures the speed of environments, each figure against a baseline: `python benchmarks/env_throughput.py`.

(a) `step(crop)` against a bare crop of the same box by Pillow; (b) episodes that share a picture against a plain loop
in which each episode opens it; (c) peak memory; (d) time per step against the number of live environments; (e) rollout
with the run store writing against rollout alone. Each figure and its baseline are measured in the same run.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from figures import Figure, in_turn, show
from PIL import Image

import o3gym
from o3gym.dialects.base import make_dialect
from o3gym.media.images import shared_store
from o3gym.policies.base import make_policy
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.runs.store import RunStore

WIDE: tuple[int, int] = (7680, 4320)
OVERVIEW = (1885, 1060)
"""Size to which the default pixel budget reduces a `WIDE` picture."""
BUDGET = 768 * 2**20
"""Bytes for decoded pictures, too few for eight `WIDE` ones."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = [
            *step_against_pillow(Path(folder)),
            sharing(Path(folder)),
            memory(Path(folder)),
            *live_environments(Path(folder)),
            storing(Path(folder)),
        ]
    show("o3gym environments", figures)


def photographs(folder: Path, count: int) -> str:
    """Returns a `local` suite of `count` 33-megapixel JPEGs of smooth noise, which decode as slowly as photographs."""
    index = folder / f"photographs-{count}.jsonl"
    for number in range(count):
        path = folder / f"{number}.jpg"
        if not path.exists():
            noise = np.random.default_rng(number).integers(0, 256, (WIDE[1] // 8, WIDE[0] // 8, 3), dtype=np.uint8)
            Image.fromarray(noise).resize(WIDE, Image.Resampling.BICUBIC).save(path, quality=90)
    rows = [{"image": f"{n}.jpg", "question": "What is it?", "answer": "noise", "question_id": n} for n in range(count)]
    index.write_text("\n".join(map(json.dumps, rows)))
    return f"local:{index}"


def environment(suite: str, turns: int = 64) -> gym.Env:
    return gym.make("o3gym/VisualSearch-v0", suite=suite, max_turns=turns)


def unit(box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    return (box[0] / WIDE[0], box[1] / WIDE[1], box[2] / WIDE[0], box[3] / WIDE[1])


def step_against_pillow(folder: Path) -> list[Figure]:
    """(a) For both the picture is already decoded. Pillow crops, resizes if the size differs, and makes an array."""
    env = environment(photographs(folder, 1))
    picture = Image.open(folder / "0.jpg").convert("RGB")
    results = []
    for width, height, rounds in ((400, 300, 400), (1024, 768, 100), (3000, 2000, 20)):
        box = (1000, 700, 1000 + width, 700 + height)
        env.reset(seed=0)
        env.step(o3gym.crop(unit(box)))
        shown = env.unwrapped.views[-1].shown
        ours, bare = in_turn(lambda b=box: crop(env, b), lambda b=box, s=shown: by_pillow(picture, b, s), rounds)
        name = f"(a) step(crop {width}×{height}, {'copied' if shown == (width, height) else 'resampled'})"
        if width == 400:
            more = 1e6 * (ours - bare)
            results.append(Figure(f"{name} − Pillow", more, "µs", "at most 60 more", more <= 60))
        else:
            results.append(Figure(f"{name} / Pillow", ours / bare, "×", "at most 1.2", ours / bare <= 1.2))
    return results


def crop(env: gym.Env, box: tuple[int, int, int, int]) -> None:
    if env.step(o3gym.crop(unit(box)))[3]:
        env.reset(seed=0)


def by_pillow(picture: Image.Image, box: tuple[int, int, int, int], shown: tuple[int, int]) -> np.ndarray:
    region = picture.crop(box)
    return np.asarray(region if region.size == shown else region.resize(shown, Image.Resampling.BICUBIC))


def sharing(folder: Path) -> Figure:
    """(b) 16 episodes × 6 crops on one picture, against a loop in which each episode opens, reduces and crops it."""
    suite, boxes = photographs(folder, 1), [(x, 900, x + 800, 1500) for x in range(0, 6000, 1000)]
    shared_store().budget = BUDGET

    def ours() -> None:
        shared_store().forget()
        for _ in range(16):
            env = environment(suite)
            env.reset(seed=0)
            for box in boxes:
                env.step(o3gym.crop(unit(box)))

    def plain() -> None:
        for _ in range(16):
            picture = Image.open(folder / "0.jpg")
            np.asarray(picture.resize(OVERVIEW, Image.Resampling.BICUBIC, reducing_gap=2.0))  # as the store does
            for box in boxes:
                np.asarray(picture.crop(box))

    together, alone = in_turn(ours, plain, 3)
    return Figure(
        "(b) 16 episodes × 6 crops, plain loop / ours", alone / together, "×", "at least 10", alone / together >= 10
    )


def memory(folder: Path) -> Figure:
    """(c) Peak resident memory while 64 episodes are alive on 8 pictures that do not all fit into the budget."""
    suite = photographs(folder, 8)
    shared_store().forget()
    shared_store().budget = BUDGET
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    environments = [environment(suite) for _ in range(64)]
    for number, env in enumerate(environments):
        env.reset(options={"task": number // 8})
    for step in range(2):
        for env in environments:
            env.step(o3gym.crop((0.1 * step, 0.1, 0.1 * step + 0.2, 0.3)))
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    share = int(peak.split()[1]) * 1024 / BUDGET
    shared_store().forget()
    return Figure("(c) peak memory, 64 episodes on 8 pictures / budget", share, "×", "at most 1.25", share <= 1.25)


def live_environments(folder: Path) -> list[Figure]:
    """(d) Time per step with 1, 8 and 64 environments alive, stepped in turn."""
    suite, rounds = photographs(folder, 1), 9
    pools = {count: [environment(suite, 1000) for _ in range(count)] for count in (1, 8, 64)}
    times: dict[int, list[float]] = {count: [] for count in pools}
    for _ in range(rounds):
        for count, pool in pools.items():
            for env in pool:
                env.reset(seed=0)
            start = time.perf_counter()
            for index in range(192):
                pool[index % count].step(o3gym.crop((0.2, 0.2, 0.3, 0.3)))
            times[count].append((time.perf_counter() - start) / 192)
    one = statistics.median(times[1])
    figures = [Figure("(d) steps per second, 1 environment", 1 / one, "1/s", "for reference", True)]
    for count in (8, 64):
        ratio = statistics.median(times[count]) / one
        figures.append(
            Figure(f"(d) time per step, {count} environments / 1", ratio, "×", "flat: at most 1.2", ratio <= 1.2)
        )
    return figures


def storing(folder: Path) -> Figure:
    """(e) Episodes per second with the store writing, against rollout alone."""
    suite_args = {"family": "hidden", "difficulty": "easy"}
    arm = Arm("random", {"suite": "synthetic", "suite_args": suite_args, "max_turns": 6})
    jobs = [Job(index % 4, str(index), seed=index) for index in range(100)]
    policy, dialect = make_policy("random"), make_dialect("qwen3_vl")

    def bare() -> None:
        for _ in rollout(jobs, policy, dialect, arm):
            pass

    def stored() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as run, RunStore(run, {}) as store:
            for trajectory in rollout(jobs, policy, dialect, arm):
                store.append(trajectory)

    written, alone = in_turn(stored, bare, 7)
    return Figure("(e) episodes per second, stored / not", alone / written, "×", "at least 0.8", alone / written >= 0.8)


if __name__ == "__main__":
    main()
