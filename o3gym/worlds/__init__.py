"""Worlds for visual planning: the pure rules of FrozenLake, Maze and MiniBehaviour, and pictures of their states."""

from o3gym.worlds.base import LayoutError, PlanScore, World
from o3gym.worlds.drawing import WORLDS, draw_world
from o3gym.worlds.frozen_lake import FrozenLake
from o3gym.worlds.interpreter import Reading, read_move
from o3gym.worlds.maze import Maze
from o3gym.worlds.mini_behaviour import MiniBehaviour
from o3gym.worlds.released_rows import read_world_rows

__all__ = [
    "WORLDS",
    "FrozenLake",
    "LayoutError",
    "Maze",
    "MiniBehaviour",
    "PlanScore",
    "Reading",
    "World",
    "draw_world",
    "read_move",
    "read_world_rows",
]
