"""Measures `PlanningEnv` on one core: `python benchmarks/planning.py`.

(a) steps a second without pictures, (b) with pictures, (c) the dynamics interpreter, (d) against Gymnasium's FrozenLake
on the same work (`pip install pygame`), (e) vectors of 64 environments. With `--check N`, the script instead reads all
moves of N layouts of each world from clean, noisy and compressed pictures, and counts the moves that are misread.

Times of (a) to (c) are processor times, the best of several rounds; ratios are timed in turn. Play with random moves
has episodes of 6 to 13 steps. Play with optimal moves has the shortest episodes possible, 3 to 6 steps.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import gymnasium as gym
import numpy as np
from figures import Figure, in_turn, show
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from PIL import Image

from o3gym.envs.planning import PlanningEnv
from o3gym.envs.planning_vector import PlanningVectorEnv
from o3gym.worlds import WORLDS, World, draw_world, read_move
from o3gym.worlds.base import BLOCKED

ENVIRONMENTS = 64
"""Environments in a vector."""
FEW = 300
"""Layouts that episodes take where their number is limited."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", type=int, metavar="N", help="read all moves of N layouts of each world")
    count = parser.parse_known_args()[0].check
    figures = all_moves(count) if count else [*plain_steps(), *interpreter(), *gymnasium_lake(), *vectors()]
    show("o3gym environments for planning", list(figures), parser)


def seconds(work: Callable[[], int], rounds: int = 5) -> float:
    """Processor seconds for each thing that `work` does and counts, in the best round."""
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        done = work()
        times.append((time.process_time() - start) / done)
    return min(times)


def random_play(env: PlanningEnv, steps: int = 4000) -> int:
    env.reset(seed=0)
    for action in np.random.default_rng(0).integers(0, env.action_space.n, steps).tolist():  # type: ignore[attr-defined]
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return steps


def optimal_play(env: PlanningEnv, steps: int = 4000) -> int:
    env.reset(seed=0)
    done = 0
    while done < steps:
        for move in env.world.optimal_plan():
            env.step(move)
            done += 1
        env.reset()
    return done


def plain_steps() -> Iterator[Figure]:
    """(a) and (b): a new layout in each episode, and few layouts that are kept."""
    plays = (
        ("new layouts, random moves", None, random_play),
        ("new layouts, optimal moves", None, optimal_play),
        ("300 layouts, random moves", FEW, random_play),
        ("300 layouts, optimal moves", FEW, optimal_play),
    )
    for part, observation, goal in (("(a)", "symbols", 20_000), ("(b)", "picture", 2_000)):
        for world in WORLDS:
            for text, layouts, play in plays:
                env = PlanningEnv(world, split="train", layouts=layouts, observation=observation)
                speed = 1 / seconds(partial(play, env))
                name = f"{part} {world}, {observation}: {text}"
                yield Figure(name, speed, "steps/s", f"at least {goal:,}", speed >= goal)


def interpreter() -> Iterator[Figure]:
    """(c) The mean time of reading a picture, over all moves of layouts of every level."""
    for name, kind in WORLDS.items():
        worlds = [draw_world(name, seed, level) for level in kind.levels for seed in range(3)]
        cases = [(world, state, world.render(to)) for world in worlds for state, _, to in valid_moves(world)]
        each = 1e3 * seconds(partial(read_all, cases), 3)
        yield Figure(f"(c) {name}: a picture read", each, "ms", "at most 1", each <= 1)


def read_all(cases: list[tuple[World, int, np.ndarray]]) -> int:
    for world, state, picture in cases:
        read_move(world, state, picture)
    return len(cases)


def valid_moves(world: World) -> Iterator[tuple[int, int, int]]:
    for state, after in world.graph.items():
        yield from ((state, move, to) for move, to in enumerate(after) if to != BLOCKED)


def gymnasium_lake() -> list[Figure]:
    """(d) A picture of 256 × 256 pixels after each reset and step on a 4 × 4 lake, the same moves for both."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    try:
        import pygame  # noqa: F401
        from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv, generate_random_map
    except ImportError:
        print("(d) is skipped: Gymnasium's FrozenLake draws with pygame, which is not installed")
        return []
    moves = np.random.default_rng(0).integers(0, 4, 2000).tolist()
    ours = PlanningEnv(level=4, split=None, layouts=1)
    theirs = FrozenLakeEnv(is_slippery=False, render_mode="rgb_array")
    new = PlanningEnv(level=4, split=None)
    drawn = (
        FrozenLakeEnv(desc=generate_random_map(4, seed=seed), is_slippery=False, render_mode="rgb_array")
        for seed in cycle(range(1000))
    )
    results = []
    for text, first, second in (  # a new layout is a new environment there
        ("one layout", partial(look, lambda: ours, moves), partial(look, lambda: theirs, moves, True)),
        ("new layouts", partial(look, lambda: new, moves), partial(look, lambda: next(drawn), moves, True)),
    ):
        mine, other = in_turn(first, second, 5)
        goal = other / mine >= 5
        results.append(Figure(f"(d) Gymnasium's FrozenLake / ours, {text}", other / mine, "×", "at least 5", goal))
    return results


def look(make: Callable[[], gym.Env[Any, Any]], moves: list[int], render: bool = False) -> None:
    """Makes moves and looks at each state. Our observations are the pictures."""
    env = make()
    picture = env.reset(seed=0)[0]
    for move in moves:
        picture, _, terminated, truncated, _ = env.step(move)
        if terminated or truncated:
            env = make()
            picture = env.reset()[0]
        if render:
            picture = env.render()
    assert np.shape(picture) == (256, 256, 3)


def vectors() -> Iterator[Figure]:
    """(e) 64 environments in one process, in one process each with shared memory, and in one process for each core."""
    for mode, observation, steps in (("move", "symbols", 40), ("move", "picture", 20), ("image", "picture", 6)):
        options = {"mode": mode, "observation": observation, "layouts": FEW}
        makers = [partial(PlanningEnv, **options)] * ENVIRONMENTS
        kinds = (SyncVectorEnv(makers), AsyncVectorEnv(makers), PlanningVectorEnv(num_envs=ENVIRONMENTS, **options))
        plays = [partial(step_all, envs, next_actions(mode), steps) for envs in kinds]
        many, _ = in_turn(plays[1], plays[0], 5)
        cores, one = in_turn(plays[2], plays[0], 5)
        for envs in kinds:
            envs.close()
        name = f"(e) 64 environments, {mode}, {observation}"
        speed, reference = ENVIRONMENTS * steps, "for reference"
        yield Figure(f"{name}: one process", speed / one, "steps/s", reference, True)
        yield Figure(f"{name}: AsyncVectorEnv / one process", one / many, "×", reference, True)
        yield Figure(f"{name}: {cores_here()} workers / one process", one / cores, "×", "more than 1", cores < one)


def cores_here() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def next_actions(mode: str) -> np.ndarray:
    if mode == "move":
        return np.random.default_rng(0).integers(0, 4, ENVIRONMENTS)
    lake = draw_world("frozenlake", 0)
    return np.stack([lake.render(lake.start)] * ENVIRONMENTS)


def step_all(envs: VectorEnv[Any, Any, Any], actions: np.ndarray, steps: int) -> None:
    envs.reset(seed=0)
    for _ in range(steps):
        envs.step(actions)


def all_moves(count: int) -> Iterator[Figure]:
    """Misread moves among all moves in all states of many layouts, for each kind of picture."""
    rng = np.random.default_rng(0)
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "clean": lambda picture: picture,
        "noise, σ = 12": lambda picture: np.clip(picture + noise, 0, 255).astype(np.uint8),
        "JPEG, quality 30": compressed,
    }
    for name in WORLDS:
        wrong, total = dict.fromkeys(changes, 0), 0
        for seed in range(count):
            world = draw_world(name, seed)
            noise = rng.normal(0, 12, (256, 256, 3)).astype(np.int16)
            shown = {
                to: {kind: change(world.render(to)) for kind, change in changes.items()}
                for to in {to for _, _, to in valid_moves(world)}
            }
            for state, move, to in valid_moves(world):
                total += 1
                for kind, picture in shown[to].items():
                    wrong[kind] += read_move(world, state, picture) != (move, to, "")
        for kind, number in wrong.items():
            yield Figure(f"{name}, {kind}: misread of {total:,} moves", number, "moves", "none", number == 0)


def compressed(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=30)
    return np.asarray(Image.open(file).convert("RGB"))


if __name__ == "__main__":
    main()
