"""The dynamics interpreter: every move is read from clean, noised and compressed pictures, and no false one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from o3gym.worlds import WORLDS, FrozenLake, Maze, MiniBehaviour, World, draw_world, read_move
from o3gym.worlds.base import BLOCKED
from o3gym.worlds.tiles import StatePicture

NAMES = list(WORLDS)


def jpeg(picture: StatePicture) -> StatePicture:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=40)
    return np.asarray(Image.open(file).convert("RGB"))


NOISE = np.random.default_rng(0).normal(0, 12, (256, 256, 3)).astype(np.int16)


def noised(picture: StatePicture) -> StatePicture:
    return np.clip(picture + NOISE, 0, 255).astype(np.uint8)


def valid_moves(world: World) -> Iterator[tuple[int, int, int]]:
    for state, after in world.graph.items():
        yield from ((state, move, to) for move, to in enumerate(after) if to != BLOCKED)


@pytest.mark.parametrize("change", [lambda picture: picture, noised, jpeg], ids=["clean", "noised", "jpeg"])
@pytest.mark.parametrize("name", NAMES)
def test_every_move_is_read(name: str, change: Callable[[StatePicture], StatePicture]) -> None:
    for i, level in enumerate(WORLDS[name].levels):
        world = draw_world(name, 3 + i, level)
        for state, move, to in list(valid_moves(world))[i::7]:
            picture = change(world.render(to))
            assert read_move(world, state, picture) == (move, to, "")
            assert read_move(world, state, picture, change(world.render(state)), strict=False) == (move, to, "")


def refused(world: World, state: int, picture: object) -> str:
    reading = read_move(world, state, picture)
    assert (reading.move, reading.state) == (BLOCKED, state)
    return reading.reason


@pytest.mark.parametrize("name", NAMES)
def test_staying_and_jumping_are_invalid(name: str) -> None:
    for seed in range(3):
        world = draw_world(name, seed)
        for state in list(world.graph)[::7]:
            if not world.goal(state):
                others = {to for to in world.graph if to not in world.graph[state]}
                assert all(refused(world, state, world.render(to)) for to in sorted(others)[::5])


@pytest.mark.parametrize("name", NAMES)
def test_two_agents_and_none_are_invalid(name: str) -> None:
    for seed in range(4):
        world = draw_world(name, seed)
        state = world.start
        ground = world.render(state)
        for to in {to for to in world.graph[state] if to != BLOCKED and world.cell(to) != world.cell(state)}:
            before, after = world.render(state), world.render(to)
            differs = (before != after).any(axis=2)
            rows, columns = np.nonzero(differs)
            cell = divmod(world.cell(to), world.level)
            two, none = before.copy(), after.copy()
            offset = int(world.rows > world.level)
            size = 256 / world.rows
            inside = (np.abs(rows - (cell[0] + offset + 0.5) * size) <= size / 2) & (
                np.abs(columns - (cell[1] + offset + 0.5) * size) <= size / 2
            )
            two[rows[inside], columns[inside]] = after[rows[inside], columns[inside]]
            none[rows[inside], columns[inside]] = before[rows[inside], columns[inside]]
            assert refused(world, state, two)
            assert refused(world, state, none)
        assert refused(world, state, np.zeros_like(ground))
        assert refused(world, state, np.full_like(ground, 255))


def test_a_moved_goal_is_invalid() -> None:
    lake = FrozenLake(3, [4], start=0, target=8)
    maze = draw_world("maze", 0, 3)
    assert isinstance(maze, Maze)
    for world, moved in (
        (lake, FrozenLake(3, [4], start=0, target=5)),
        (maze, Maze(3, maze.walls, maze.start, next(c for c in range(9) if c not in (maze.start, maze.target)))),
    ):
        for state in (world.start, moved.graph[world.start][moved.optimal_plan()[0]]):
            assert refused(world, world.start, moved.render(state))
    # The released rules alone take a goal beside the agent that is gone for one that was reached.
    state, without = 7, FrozenLake(3, [4], start=0, target=6).render(7)
    assert read_move(lake, state, without, strict=False).move == 3
    assert refused(lake, state, without)


def test_a_moved_printer_and_moves_that_the_layout_forbids_are_invalid() -> None:
    room = MiniBehaviour(5, (16, 17, 18, 21, 22, 23), printer=7, start=20)
    moved = MiniBehaviour(5, (16, 17, 18, 21, 22, 23), printer=8, start=20)
    assert all(refused(room, 20, moved.render(to)) for to in (20, 15))
    assert refused(room, 20, room.render(room.state(20, carrying=True))) == "pick is not possible here"
    assert refused(room, room.state(0, carrying=True), room.render(room.state(0, False)))
    lake = FrozenLake(3, [1], start=0, target=8)
    into_the_hole = FrozenLake(3, [], start=0, target=8).render(1)
    assert read_move(lake, 0, into_the_hole, strict=False).reason == "right is not possible here"


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (None, "expected an array, got NoneType"),
        ([[0]], "expected an array, got list"),
        (np.zeros((255, 256, 3), np.uint8), "got uint8 of shape"),
        (np.zeros((256, 256), np.uint8), "got uint8 of shape"),
        (np.full((256, 256, 3), np.nan), "got float64 of shape"),
        (np.zeros((256, 256, 3), np.int64), "got int64 of shape"),
    ],
)
def test_what_is_no_picture_is_an_invalid_move(picture: object, reason: str) -> None:
    assert reason in refused(draw_world("frozenlake", 0), draw_world("frozenlake", 0).start, picture)
