"""The dynamics interpreter on a thousand layouts, and on pictures that try to cheat."""

from __future__ import annotations

import io
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from PIL import Image

from o3gym.worlds import WORLDS, FrozenLake, Maze, MiniBehaviour, World, draw_world, read_move
from o3gym.worlds.base import BLOCKED, LayoutError
from o3gym.worlds.tiles import StatePicture, cell_edges

LEVELS = [(name, level) for name, kind in WORLDS.items() for level in kind.levels]
NOISE = np.random.default_rng(1).normal(0, 14, (256, 256, 3)).astype(np.int16)


def changed(picture: StatePicture, number: int) -> StatePicture:
    """In turn the picture itself, with noise, as JPEG of quality 30, and darker."""
    if number % 4 == 0:
        return picture
    if number % 4 == 1:
        return np.clip(picture + np.roll(NOISE, number, axis=1), 0, 255).astype(np.uint8)
    if number % 4 == 2:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "jpeg", quality=30)
        return np.asarray(Image.open(file).convert("RGB"))
    return picture - picture // 16


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_moves_of_a_hundred_layouts_of_each_level_are_read(name: str, level: int) -> None:
    """Together a thousand layouts: all moves in the start state and in one drawn from the others."""
    kinds = set()
    for seed in range(100):
        world = draw_world(name, seed, level)
        others = [state for state in world.graph if not world.goal(state)]
        for state in (world.start, others[Random(seed).randrange(len(others))]):
            for move, to in enumerate(world.graph[state]):
                if to != BLOCKED:
                    assert read_move(world, state, changed(world.render(to), seed)) == (move, to, ""), (seed, state)
                    kinds.add(move)
    assert kinds == set(range(len(world.moves)))


def paste(world: World, picture: StatePicture, cell: int, source: StatePicture) -> StatePicture:
    """The picture with the tile of one cell taken from another picture."""
    edges, ring = cell_edges(world.rows), int(isinstance(world, MiniBehaviour))
    row, column = (place + ring for place in divmod(cell, world.level))
    result = picture.copy()
    tile = (slice(edges[row], edges[row + 1]), slice(edges[column], edges[column + 1]))
    result[tile] = source[tile]
    return result


def cells_with_agent(world: World) -> dict[int, int]:
    """For each cell in which the agent can be, a state in which it is there."""
    return {world.cell(state): state for state in world.graph if not world.goal(state) or not has_phases(world)}


def has_phases(world: World) -> bool:
    return isinstance(world, MiniBehaviour)


def refused(world: World, state: int, picture: StatePicture) -> bool:
    reading = read_move(world, state, picture)
    assert (reading.move == BLOCKED) == bool(reading.reason)
    return reading.move == BLOCKED and reading.state == state


def futures(world: World) -> Iterator[tuple[int, int, StatePicture]]:
    """States along an optimal plan, and for each move from them the state after it with its picture."""
    state = world.start
    for move in world.optimal_plan():
        for to in {to for to in world.graph[state] if to != BLOCKED}:
            yield state, to, world.render(to)
        state = world.graph[state][move]


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_a_second_agent_anywhere_is_refused(name: str, level: int) -> None:
    for seed in range(2):
        world = draw_world(name, seed, level)
        for state, to, picture in futures(world):
            for cell, other in list(cells_with_agent(world).items())[:: level - 1]:
                if cell not in (world.cell(to), getattr(world, "printer", -1)):
                    assert refused(world, state, paste(world, picture, cell, world.render(other)))


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_a_picture_without_an_agent_is_refused(name: str, level: int) -> None:
    for seed in range(6):
        world = draw_world(name, seed, level)
        for state, to, picture in futures(world):
            if world.cell(to) != world.cell(state):
                assert refused(world, state, paste(world, picture, world.cell(to), world.render(state)))


@pytest.mark.parametrize("name", ["frozenlake", "maze"])
def test_a_goal_that_moved_or_was_doubled_is_refused(name: str) -> None:
    tried = 0
    for seed in range(8):
        world = draw_world(name, seed)
        assert isinstance(world, FrozenLake | Maze)
        for state, to, picture in futures(world):
            for target in set(range(world.level**2)) - {world.target, world.start, to, state}:
                try:
                    layout = world.holes if isinstance(world, FrozenLake) else world.walls
                    moved = type(world)(world.level, layout, world.start, target)  # type: ignore[arg-type]
                except LayoutError:
                    continue
                if tried % 27 == 0 and to in moved.graph:
                    shown = moved.render(to)
                    doubled = paste(world, picture, target, shown)
                    assert refused(world, state, shown)
                    assert refused(world, state, doubled)
                tried += 1
    assert tried > 100


def test_holes_that_appear_or_vanish_are_refused() -> None:
    lake = FrozenLake(4, [5, 10], start=0, target=15)
    for holes in ([5], [10], [5, 10, 3], [3, 12], []):
        shown = FrozenLake(4, holes, start=0, target=15)
        for to in (1, 4):
            assert refused(lake, 0, shown.render(to))
    assert not refused(lake, 0, lake.render(1))


ROOM = MiniBehaviour(5, (11, 12, 13, 16, 17, 18), printer=2, start=1)


def test_a_printer_that_vanishes_or_lands_elsewhere_is_refused() -> None:
    walked, carried = ROOM.render(6), ROOM.render(ROOM.state(6, carrying=True))
    gone = paste(ROOM, walked, 2, carried)
    assert refused(ROOM, 1, gone)
    assert read_move(ROOM, 1, gone).reason == "the agent moves and handles the printer at once"
    state = ROOM.state(7, carrying=True)
    dropped = ROOM.render(ROOM.graph[state][5])
    assert read_move(ROOM, state, dropped).move == 5
    floor = ROOM.render(ROOM.state(6, carrying=True))
    elsewhere = paste(ROOM, paste(ROOM, dropped, 12, floor), 18, ROOM.render(ROOM.state(19, True, dropped=True)))
    assert refused(ROOM, state, elsewhere)
    both = paste(ROOM, dropped, 18, ROOM.render(ROOM.state(19, True, dropped=True)))
    assert refused(ROOM, state, both)


@pytest.mark.parametrize("name", list(WORLDS))
def test_pictures_of_other_layouts_and_of_nothing_are_refused(name: str) -> None:
    rng = np.random.default_rng(0)
    for seed in range(6):
        world = draw_world(name, seed)
        shown = world.render(world.start)
        other = draw_world(name, seed + 100, world.level)
        nothing = (
            *(rng.integers(0, 256, shown.shape, dtype=np.uint8), np.zeros_like(shown), np.full_like(shown, 255)),
            *(255 - shown, shown, world.render(world.start)[::-1], np.roll(shown, 128, axis=1)),
        )
        for picture in (other.render(other.start), *nothing):
            assert refused(world, world.start, picture)


@pytest.mark.parametrize(
    "picture",
    [
        np.array(None),
        np.zeros((0, 256, 3), np.uint8),
        np.zeros((256, 256, 4), np.uint8),
        np.zeros((1,) * 30, np.uint8),
        np.zeros((256, 256, 3), "datetime64[s]"),
        np.zeros((256, 256, 3), [(f"field{i}", "u1") for i in range(200)]),
        np.zeros((256, 256, 3), bool),
        np.full((256, 256, 3), "a"),
        np.ma.masked_equal(np.zeros((256, 256, 3), np.uint8), 0),
        np.zeros((512, 256, 3), np.uint8)[::-2],
        np.zeros((3, 256, 256), np.uint8).T,
        np.zeros((256, 256, 3), np.uint8).view(type("Picture", (np.ndarray,), {})),
        np.broadcast_to(np.uint8(7), (256, 256, 3)),
    ],
    ids=lambda picture: f"{picture.dtype.kind}{picture.ndim}",
)
def test_no_array_raises(picture: object) -> None:
    for name in WORLDS:
        world = draw_world(name, 0)
        for strict in (True, False):
            reading = read_move(world, world.start, picture, strict=strict)
            assert reading.state in world.graph
            assert len(reading.reason) < 160
        assert read_move(world, world.start, picture).move == BLOCKED
