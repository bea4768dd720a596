"""Layouts from seeds: the same every time, as in the released rows, and never in two splits."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

from o3gym.worlds import WORLDS, FrozenLake, MiniBehaviour, draw_world

NAMES = list(WORLDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_layout_every_time(name: str) -> None:
    for seed in (0, 7, 2**62):
        one, other = draw_world(name, seed), draw_world(name, seed)
        assert (one.map_key(), one.start) == (other.map_key(), other.start)
    assert len({draw_world(name, seed).map_key() for seed in range(40)}) > 30


@pytest.mark.parametrize(
    ("name", "checksum"), [("frozenlake", 2598586903), ("maze", 1064152190), ("minibehaviour", 1580390989)]
)
def test_layouts_stay_the_same_in_every_version(name: str, checksum: int) -> None:
    found = 0
    for seed in range(30):
        for split in (None, "train", "test"):
            world = draw_world(name, seed, split=split)
            # Trainings draw states by their position in the graph, so its order counts, too.
            found = zlib.crc32(repr((world.map_key(), world.start, list(world.graph.items()))).encode(), found)
    assert found == checksum


@pytest.mark.parametrize("name", NAMES)
def test_splits_share_no_maps(name: str) -> None:
    level = WORLDS[name].levels[0]
    maps = {
        split: {draw_world(name, seed, level, split).map_key() for seed in range(60)}
        for split in ("train", "val", "test")
    }
    assert all(len(keys) > 5 for keys in maps.values())
    assert not (maps["train"] & maps["val"] | maps["train"] & maps["test"] | maps["val"] & maps["test"])
    assert {draw_world(name, seed, split="test").split for seed in range(5)} == {"test"}


@pytest.mark.parametrize("name", NAMES)
def test_all_released_levels_are_drawn(name: str) -> None:
    levels = Counter(draw_world(name, seed).level for seed in range(60))
    assert tuple(sorted(levels)) == WORLDS[name].levels
    assert all(draw_world(name, seed, level).level == level for seed in range(3) for level in WORLDS[name].levels)


@pytest.mark.parametrize(
    ("level", "holes", "length"), [(3, 2.11, 2.04), (4, 2.86, 2.78), (5, 4.31, 3.57), (6, 6.56, 4.42)]
)
def test_lakes_have_as_many_holes_and_as_long_paths_as_released_ones(level: int, holes: float, length: float) -> None:
    lakes = [draw_world("frozenlake", seed, level) for seed in range(400)]
    assert all(isinstance(lake, FrozenLake) for lake in lakes)
    assert np.mean([len(lake.holes) for lake in lakes if isinstance(lake, FrozenLake)]) == pytest.approx(holes, abs=0.3)
    assert np.mean([lake.optimal_length for lake in lakes]) == pytest.approx(length, abs=0.3)


@pytest.mark.parametrize(("level", "length"), [(5, 5.24), (6, 6.27)])
def test_rooms_have_as_long_paths_as_released_ones(level: int, length: float) -> None:
    rooms = [draw_world("minibehaviour", seed, level) for seed in range(300)]
    assert np.mean([room.optimal_length for room in rooms]) == pytest.approx(length, abs=0.4)
    assert {room.direction for room in rooms if isinstance(room, MiniBehaviour)} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"world": "lake"}, "world: expected one of frozenlake"),
        ({"level": 7}, "level: expected one of 3, 4, 5, 6 or None"),
        ({"level": 3.0}, "level: expected one of 3, 4, 5, 6 or None, got 3.0"),
        ({"split": "dev"}, "split: expected one of train, val, test"),
        ({"seed": -1}, "seed: expected a whole number"),
        ({"seed": 2**63}, "seed: expected a whole number up to"),
    ],
)
def test_unknown_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_world(**{"world": "frozenlake", "seed": 0, **arguments})
