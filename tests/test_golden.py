"""Golden trajectories: one per registered id and per suite of planning. If one changes, its version must rise.

Everything but pixels is compared exactly; pixels as the mean colours of a 4×4 grid, within what another Pillow may
round differently. After raising a version: `O3GYM_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import o3gym
from o3gym.codec import encode
from o3gym.env_ids import ENVS, PLANNING_ENVS
from o3gym.types import Call
from o3gym.worlds.records import layout_record, newest_standing
from tests.tools.planning_scenes import encoded

FILE = Path(__file__).with_name("golden.json")
TOLERANCE = 3.0
CALLS = (
    o3gym.crop((0.25, 0.25, 0.75, 0.75)),
    o3gym.zoom((0.3, 0.6), 3.0, view=1),
    o3gym.reuse(0),
    o3gym.crop((0.6, 0.2, 0.5, 0.4)),
)


def play(name: str) -> dict[str, Any]:
    env = gym.make(name)
    observation, info = env.reset(seed=20)
    infos, grids = [info], [grid(observation["images"][0])]
    ends = {"box": o3gym.locate((0.2, 0.2, 0.6, 0.6)), "span": o3gym.locate_span(1.0, 9.0)}
    end = ends.get(env.unwrapped.episode.task.kind, o3gym.answer("B"))
    rewards = []
    for call in (*CALLS, Call("answer", {}), end):
        observation, reward, *_, info = env.step(call)
        infos.append(info)
        rewards.append(reward)
        grids += [grid(picture) for picture in observation["images"]]
    record = {"task": encode(env.unwrapped.episode.task), "views": encode(env.unwrapped.views), "infos": encode(infos)}
    digest = hashlib.sha256(json.dumps([record, rewards], sort_keys=True).encode()).hexdigest()
    return {"record": digest, "pixels": grids}


PLANNING_SUITES = [f"planning-{kwargs['world']}" for kwargs in PLANNING_ENVS.values()]
MOVES = ("down", "left up", "right right down", "swim", "up pick drop")


def play_suite(suite: str) -> dict[str, Any]:
    """Moves, pictures and a plan as the answer, in the environment with tools."""
    env = gym.make("o3gym/VisualSearch-v0", suite=suite)
    observation, info = env.reset(seed=20)
    steps, grids = [encode(info)], [grid(observation["images"][0])]
    drawn = "data:image/png;base64," + base64.b64encode(encoded(observation["images"][0])).decode()
    calls = (Call("move", {"moves": moves}) for moves in MOVES)
    for call in (*calls, Call("draw_state", {"picture": drawn}), o3gym.answer("up")):
        observation, reward, terminated, *_, info = env.step(call)
        steps.append([encode(info), reward])
        grids += [grid(picture) for picture in observation["images"]]
        if terminated:
            break
    record = {"task": encode(env.unwrapped.episode.task), "views": encode(env.unwrapped.views), "steps": steps}
    plan = newest_standing(env.unwrapped.episode.sources).plan
    digest = hashlib.sha256(json.dumps([record, plan], sort_keys=True).encode()).hexdigest()
    return {"record": digest, "pixels": grids}


def play_moves(name: str) -> dict[str, Any]:
    """A walk over an environment of moves, and then the optimal plan."""
    env = gym.make(name)
    observation, info = env.reset(seed=20)
    world = env.unwrapped.world
    steps, grids = [encode(info)], [grid(observation)]
    first = next(move for move in range(4) if not world.goal(world.step(world.start, move)[0]))
    plan = [first, *world.optimal_plan(world.step(world.start, first)[0])]
    for move in plan:
        observation, *outcome, info = env.step(move)
        steps.append([*outcome, encode(info)])
        grids.append(grid(observation))
    digest = hashlib.sha256(json.dumps([layout_record(world), plan, steps], sort_keys=True).encode()).hexdigest()
    return {"record": digest, "pixels": grids}


def grid(picture: np.ndarray) -> list[float]:
    """Mean RGB of 4×4 cells, row by row."""
    rows = np.array_split(picture.astype(np.float64), 4, axis=0)
    return [round(float(v), 2) for row in rows for cell in np.array_split(row, 4, axis=1) for v in cell.mean((0, 1))]


@pytest.mark.parametrize("name", [*ENVS, *PLANNING_ENVS, *PLANNING_SUITES])
def test_golden(name: str) -> None:
    played = play_moves(name) if name in PLANNING_ENVS else play_suite(name) if name in PLANNING_SUITES else play(name)
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    if os.environ.get("O3GYM_WRITE_GOLDEN"):
        FILE.write_text(json.dumps({**known, name: played}, indent=0) + "\n")
        return
    assert played["record"] == known[name]["record"], f"{name} changed: raise its version, then write the golden file"
    assert np.allclose(played["pixels"], known[name]["pixels"], atol=TOLERANCE), f"pixels of {name} changed"
