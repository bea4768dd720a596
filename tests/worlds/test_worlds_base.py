"""What the three worlds have in common: moves, distances, rewards, the score of a plan, and pictures."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from o3gym.worlds import WORLDS, FrozenLake, World, draw_world
from o3gym.worlds.base import BLOCKED, split_of_map

NAMES = list(WORLDS)


def drawn(name: str, count: int = 12) -> list[World]:
    return [draw_world(name, seed) for seed in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_distances_fall_by_one_along_optimal_moves_only(name: str) -> None:
    for world in drawn(name):
        for state, steps in world.remaining.items():
            after = [world.remaining[to] for to in world.graph[state] if to != BLOCKED]
            assert all(left >= steps - 1 for left in after)
            assert len(world.optimal_moves(state)) == after.count(steps - 1)
            assert world.goal(state) == (steps == 0)
            assert world.goal(state) or world.optimal_moves(state)


@pytest.mark.parametrize("name", NAMES)
def test_an_invalid_move_leaves_the_state_and_earns_minus_five(name: str) -> None:
    for world in drawn(name):
        for state, after in world.graph.items():
            for move, to in enumerate(after):
                following, valid = world.step(state, move)
                assert (following, valid) == ((state, False) if to == BLOCKED else (to, True))
                assert (world.reward(state, move) == -5) == (not valid)


@pytest.mark.parametrize("name", NAMES)
def test_optimal_plans_are_exact_and_earn_one_in_each_step(name: str) -> None:
    for seed, world in enumerate(drawn(name)):
        for plan in (world.optimal_plan(), world.optimal_plan(rng=Random(seed))):
            score = world.score_plan(plan)
            assert (score.exact, score.progress, score.invalid, score.reached) == (True, 1.0, 0, True)
            state, total = world.start, 0.0
            for move in plan:
                total += world.reward(state, move)
                state, _ = world.step(state, move)
            assert (total, len(plan)) == (world.optimal_length, world.optimal_length)


LAKE = FrozenLake(3, [4], start=0, target=8)
"""A 3 x 3 lake with a hole in the middle; the goal is four moves away."""
DOWN, RIGHT, UP, LEFT = 1, 3, 0, 2


@pytest.mark.parametrize(
    ("plan", "exact", "progress", "invalid", "reached"),
    [
        ([], False, 0.0, 0, False),
        ([DOWN, DOWN, RIGHT], False, 0.75, 0, False),
        ([DOWN, DOWN, RIGHT, RIGHT], True, 1.0, 0, True),
        ([RIGHT, LEFT, DOWN, DOWN, RIGHT, RIGHT], False, 0.25, 0, True),
        ([DOWN, RIGHT, DOWN, RIGHT, RIGHT], False, 0.25, 1, True),
        ([UP, DOWN, DOWN, RIGHT, RIGHT], False, 0.0, 1, True),
        ([DOWN, DOWN, RIGHT, RIGHT, RIGHT], False, 1.0, 1, True),
    ],
    ids=["empty", "short", "optimal", "detour", "into the hole", "over the edge", "past the goal"],
)
def test_the_score_of_a_plan(plan: list[int], exact: bool, progress: float, invalid: int, reached: bool) -> None:
    score = LAKE.score_plan(plan)
    assert (score.exact, score.progress, score.invalid, score.reached) == (exact, progress, invalid, reached)


def test_a_plan_of_a_million_moves_is_scored() -> None:
    assert LAKE.score_plan([UP] * 1_000_000).invalid == 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_fresh_arrays_and_different_for_different_states(name: str) -> None:
    for world in drawn(name, 4):
        pictures = [world.render(state) for state in world.graph]
        assert {(picture.shape, picture.dtype.name) for picture in pictures} == {((256, 256, 3), "uint8")}
        assert len({picture.tobytes() for picture in pictures}) == len(pictures)
        pictures[0][:] = 0
        assert world.render(next(iter(world.graph))).any()


@pytest.mark.parametrize("name", NAMES)
def test_symbols_differ_for_different_states(name: str) -> None:
    for world in drawn(name, 4):
        grids = [world.symbols(state) for state in world.graph]
        assert {(grid.shape, grid.dtype.name) for grid in grids} == {((world.level, world.level), "uint8")}
        assert len({grid.tobytes() for grid in grids}) == len(grids)
        assert all(np.count_nonzero(grid & 8) == 1 for grid in grids)


def test_splits_have_the_shares_that_the_page_says() -> None:
    splits = [split_of_map(bytes((i % 251, i // 251))) for i in range(5000)]
    shares = {name: splits.count(name) / len(splits) for name in ("train", "val", "test")}
    assert shares == pytest.approx({"train": 0.85, "val": 0.05, "test": 0.1}, abs=0.02)
