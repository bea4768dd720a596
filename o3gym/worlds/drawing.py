"""Draws a world's layout from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from o3gym.arguments import check_seed
from o3gym.worlds.base import PLAN_SPLITS, World, below
from o3gym.worlds.frozen_lake import FrozenLake
from o3gym.worlds.maze import Maze
from o3gym.worlds.mini_behaviour import MiniBehaviour

WORLDS: Mapping[str, type[World]] = {world.name: world for world in (FrozenLake, Maze, MiniBehaviour)}
"""The worlds by name."""


def check_world(world: object, level: object = None, split: object = None) -> None:
    """Checks the name of a world, a level (None: every level) and a split (None: every layout).

    Raises:
        ValueError: one of them is unknown.
    """
    if world not in WORLDS:
        raise ValueError(f"world: expected one of {', '.join(WORLDS)}, got {world!r:.60}")
    levels = WORLDS[str(world)].levels
    if level is not None and (isinstance(level, float) or level not in levels):
        raise ValueError(f"level: expected one of {', '.join(map(str, levels))} or None, got {level!r:.60}")
    if split is not None and split not in PLAN_SPLITS:
        raise ValueError(f"split: expected one of {', '.join(PLAN_SPLITS)} or None, got {split!r:.60}")


def draw_world(world: str, seed: int, level: int | None = None, split: str | None = None) -> World:
    """Draws a solvable layout. The same arguments always give the same layout, and splits share no maps.

    Args:
        world: "frozenlake", "maze" or "minibehaviour"
        seed: from 0 up
        level: cells per side; None draws one of the released levels
        split: "train", "val" or "test"; None draws from all layouts

    Raises:
        ValueError: an argument is unknown.
    """
    check_world(world, level, split)
    check_seed(seed)
    rng = Random(int(seed))
    kind = WORLDS[world]
    return kind.draw(rng, kind.levels[below(rng, len(kind.levels))] if level is None else level, split)
