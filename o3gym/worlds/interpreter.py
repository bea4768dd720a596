"""The dynamics interpreter: reads a move from the pictures of two states.

The thresholds are those of VPRL's released parser. It compares grey values cell by cell: where the picture changed, and
where the outline is found that the agent had before.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from o3gym.worlds.base import BLOCKED, World
from o3gym.worlds.frozen_lake import FrozenLake
from o3gym.worlds.maze import Maze
from o3gym.worlds.mini_behaviour import DROP, PICK, MiniBehaviour
from o3gym.worlds.tiles import PICTURE_SIDE, StatePicture, cell_edges

CHANGED = 500.0
"""Mean square difference of grey values above which a cell has changed."""
CHANGED_AT_START = 1000.0
"""The same for a maze whose agent is still in its first cell."""
DARK = 200
"""Grey value up to which a pixel belongs to an outline in FrozenLake and Maze."""
BRIGHT = 40
"""Grey value above which a pixel belongs to an outline in MiniBehaviour, whose floor is black."""
AGENT_OVERLAP, PRINTER_OVERLAP = 0.05, 0.1
"""Least intersection over union with the agent's earlier outline, and with the printer's outline for it to be there."""
MARGINS = {"frozenlake": 0.0, "maze": 0.05, "minibehaviour": 0.1}
"""Share of a cell's side that is left out at each edge of the cell."""

Grey: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Mask: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Measures: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class Reading(NamedTuple):
    """What an interpreter read: a move (−1 if the pictures show no valid move), the state after it, and a reason.

    An invalid move leaves the state as it is; `reason` is "" for valid moves.
    """

    move: int
    state: int
    reason: str = ""


def read_move(
    world: World, state: int, after: object, before: StatePicture | None = None, strict: bool = True
) -> Reading:
    """Reads the move that leads from a state to the state that a picture shows.

    The released rules find the cell in which the agent is now, and what it picked or dropped. With `strict`, the
    picture must also show the resulting state and nothing else: no cell may differ from the world's own picture of that
    state by more than the released threshold of change. That refuses pictures with two agents or none, and pictures in
    which the goal has moved. Without it, the reading is the released parser's, except that a move which the layout
    forbids is always invalid; use that for pictures in another style, which need `before` in the same style.

    Args:
        world: the layout
        state: the state before the move
        after: the picture after it, uint8 RGB of shape (256, 256, 3); anything else is an invalid move
        before: the picture before it; None takes the world's own
        strict: whether the rest of the picture is checked
    """
    problem = picture_problem(after)
    if problem:
        return Reading(BLOCKED, state, problem)
    shown = _Shown(world, after)  # type: ignore[arg-type]
    earlier = _own(world, state) if before is None else _Shown(world, before)
    move, reason = _RULES[world.name](world, state, earlier, shown)
    if move == BLOCKED:
        return Reading(BLOCKED, state, reason)
    following = world.graph[state][move]
    if following == BLOCKED:
        return Reading(BLOCKED, state, f"{world.moves[move]} is not possible here")
    if strict and (shown.changes(_own(world, following)) > CHANGED).any():
        return Reading(BLOCKED, state, f"the picture shows more than the move {world.moves[move]}")
    return Reading(move, following)


def picture_problem(picture: object) -> str:
    """Says why something is no picture of a state, or ""."""
    if not isinstance(picture, np.ndarray):
        return f"expected an array, got {type(picture).__name__}"
    if picture.dtype != np.uint8 or picture.shape != (PICTURE_SIDE, PICTURE_SIDE, 3):
        return f"expected uint8 of shape (256, 256, 3), got {picture.dtype!s:.40} of shape {picture.shape!s:.40}"
    return ""


class _Shown:
    """A picture as grey cells without their margins: uint8 (cells, pixels), cells row by row."""

    def __init__(self, world: World, picture: StatePicture) -> None:
        grey = np.asarray(Image.fromarray(picture).convert("L"))
        rows = world.rows
        lines = _lines(rows, MARGINS[world.name])
        size = len(lines) // rows
        cut = grey.take(lines, 0).take(lines, 1).reshape(rows, size, rows, size).swapaxes(1, 2)
        if isinstance(world, MiniBehaviour):
            cut = cut[1:-1, 1:-1]  # The released parser leaves out the ring of walls.
        self.cells: Grey = cut.reshape(-1, size * size)

    def changes(self, other: _Shown) -> Measures:
        """The mean square difference of each cell."""
        difference = self.cells.astype(np.float32)
        difference -= other.cells
        total: Measures = np.einsum("ij,ij->i", difference, difference)
        return total / np.float32(difference.shape[1])


@lru_cache(maxsize=256)
def _own(world: World, state: int) -> _Shown:
    """The world's own picture of a state. Candidates for one step are compared with the same few pictures."""
    return _Shown(world, world.render(state))


@cache
def _lines(rows: int, margin: float) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """The pixel rows (and columns) of the cells, equally many for each."""
    size = PICTURE_SIDE // rows
    crop = int(size * margin)
    return np.concatenate([np.arange(edge + crop, edge + size - crop) for edge in cell_edges(rows)[:-1]])


def _overlaps(outline: Mask, outlines: Mask) -> Measures:
    """The intersection over union of an outline with each of others; 0 if both are empty."""
    # Counting by a matrix product is several times faster than by sums of booleans.
    weights = np.stack((outline, np.ones_like(outline)), axis=1).astype(np.float32)
    counts = outlines.astype(np.float32) @ weights
    both = counts[:, 0]
    either = counts[:, 1] + weights[:, 0].sum() - both
    shares: Measures = both / np.maximum(either, np.float32(1))
    return shares


def _to(world: World, state: int, cell: int) -> tuple[int, str]:
    """The move to a neighbouring cell. Staying is no move."""
    row, column = divmod(world.cell(state), world.level)
    to_row, to_column = divmod(cell, world.level)
    steps = {(-1, 0): 0, (1, 0): 1, (0, -1): 2, (0, 1): 3}
    move = steps.get((to_row - row, to_column - column), BLOCKED)
    return move, "" if move != BLOCKED else "the agent does not move to a neighbouring cell"


def _read_lake(world: World, state: int, before: _Shown, after: _Shown) -> tuple[int, str]:
    assert isinstance(world, FrozenLake)
    # Stable sorting puts the first of equally changed cells first, as the released parser does.
    changed = np.argsort(-before.changes(after), kind="stable")[:2]
    if world.target in changed:
        return _to(world, state, world.target)
    found = _most_like_agent(world, state, before, after)
    return _to(world, state, found if found in changed else state)


def _read_maze(world: World, state: int, before: _Shown, after: _Shown) -> tuple[int, str]:
    assert isinstance(world, Maze)
    changes = before.changes(after)
    if state == world.start:
        # The released pictures mark the first cell, so it changes less than the cell to which the agent moves. Ours do
        # not, and the cell itself is left out.
        changes[state] = 0
        most = int(changes.argmax())
        return _to(world, state, most if changes[most] > CHANGED_AT_START else state)
    changed = [cell for cell in np.argsort(-changes, kind="stable")[:2] if changes[cell] > CHANGED]
    return _to(world, state, world.target if world.target in changed else _most_like_agent(world, state, before, after))


def _most_like_agent(world: World, state: int, before: _Shown, after: _Shown) -> int:
    outline = before.cells[state] <= DARK
    return int(_overlaps(outline, after.cells <= DARK).argmax())


def _read_room(world: World, state: int, before: _Shown, after: _Shown) -> tuple[int, str]:
    assert isinstance(world, MiniBehaviour)
    cell, carrying = world.cell(state), world.phase(state) == 1
    bright = after.cells > BRIGHT
    overlaps = _overlaps(before.cells[cell] > BRIGHT, bright)
    overlaps[list(world.table if carrying else world.table | {world.printer})] = 0
    found = int(overlaps.argmax())
    if overlaps[found] < AGENT_OVERLAP:
        return BLOCKED, "the agent is nowhere"
    if carrying:
        handled = bool((before.changes(after)[list(world.table)] > CHANGED).any())
    else:
        printer = _overlaps(before.cells[world.printer] > BRIGHT, bright[[world.printer]])
        handled = bool(printer[0] < PRINTER_OVERLAP)
    if not handled:
        return _to(world, state, found)
    if found != cell:
        return BLOCKED, "the agent moves and handles the printer at once"
    return DROP if carrying else PICK, ""


_RULES = {"frozenlake": _read_lake, "maze": _read_maze, "minibehaviour": _read_room}
