"""A small planner for tests: FrozenLake's tiles as codebook, and a transformer of a few thousand weights."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from o3gym.policies.planner.cells import GRIDS, CellTokenizer, tile_side
from o3gym.policies.planner.model import Planner, PlannerForm, build_planner
from o3gym.train.planning.recipe import PlanningRecipe, read_planning
from o3gym.worlds.tiles import draw_tile

TILES = ("ice", "hole", "gift", "walker", "walker on gift")


@cache
def lake_tokenizer() -> CellTokenizer:
    sides = {rows: tile_side(rows) for rows in GRIDS}
    return CellTokenizer(
        {rows: np.stack([draw_tile((name,), side, side) for name in TILES]) for rows, side in sides.items()}
    )


def lake_planner(seed: int = 0, form: PlannerForm = "picture") -> Planner:
    return build_planner(lake_tokenizer(), form, layers=1, width=16, heads=2, seed=seed)


def tokenizer_of_folder(folder: Path) -> CellTokenizer:
    return lake_tokenizer()


def not_a_planner(seed: int = 0) -> str:
    return "no planner"


def lake_recipe(**more: Any) -> PlanningRecipe:
    base: dict[str, Any] = {
        **{"model": "tests.train.planning.lake:lake_planner", "method": "paths", "levels": [3], "layouts": 4},
        **{
            "steps": 4,
            "batch": 4,
            "samples": 4,
            "learning_rate": 1e-2,
            "warmup": 0,
            "save_dtype": "float32",
            "seed": 3,
        },
    }
    if "epochs" in more:
        del base["steps"]
    return read_planning({**base, **more})


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same_planner(first: Path, second: Path) -> bool:
    one, two = saved_weights(first), saved_weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
