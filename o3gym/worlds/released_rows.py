"""Reads the rows of VPRL's released files, and checks their paths and distances against the rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from o3gym.worlds.base import LayoutError, World
from o3gym.worlds.drawing import check_world
from o3gym.worlds.frozen_lake import FrozenLake
from o3gym.worlds.maze import Maze
from o3gym.worlds.mini_behaviour import MiniBehaviour

_SIDES = ("north", "south", "west", "east")
"""Names of the directions up, down, left and right in rows of mazes."""


class WorldRowError(ValueError):
    """A row is malformed, or contradicts the rules. The message names the row, if it has a number, and the field.

    Attributes:
        field: path of the wrong field; "" if the line holds no row
        reason: the value that was expected, and the actual one
        row: number of the row, counted from 1; 0 for a row without a number
    """

    def __init__(self, field: str, reason: str, row: int = 0) -> None:
        super().__init__(field, reason, row)  # these are the arguments with which the exception is unpickled
        self.field, self.reason, self.row = field, reason, row

    def __str__(self) -> str:
        return ": ".join(part for part in (self.row and f"row {self.row}", self.field, self.reason) if part)


class WorldRow(NamedTuple):
    """A row: the layout, and the states along the optimal path that the row gives."""

    world: World
    path: tuple[int, ...]


def read_world_rows(world: str, lines: Iterable[str]) -> Iterator[WorldRow]:
    """Reads rows of a JSONL file, one by one; empty lines are skipped, and rows are numbered from 1.

    Args:
        world: "frozenlake", "maze" or "minibehaviour"
        lines: the file's lines

    Raises:
        ValueError: the world is unknown.
        WorldRowError: a row lacks a field, has one of the wrong form, or disagrees with the rules about its path or a
            distance.
    """
    check_world(world)
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield read_world_row(world, json.loads(line))
            except WorldRowError as error:
                raise WorldRowError(error.field, error.reason, number) from None
            except (ValueError, RecursionError) as error:
                raise WorldRowError("", f"expected JSON ({error!s:.80})", number) from None


def read_world_row(world: str, row: object) -> WorldRow:
    """Reads a parsed row, see `read_world_rows`.

    Raises:
        WorldRowError: as there, but without the row's number.
    """
    if not isinstance(row, Mapping):
        raise WorldRowError("", f"expected an object, got {row!r:.60}")
    meta = _field(row, "meta", dict)
    level = _field(meta, "meta.level", int)
    if not 2 <= level <= 16:
        raise WorldRowError("meta.level", f"expected a whole number from 2 to 16, got {level}")
    read, check = _READERS[world]
    try:
        layout = read(meta, level)
    except LayoutError as error:
        raise WorldRowError("meta", str(error)) from None
    check(layout, meta)
    return WorldRow(layout, _optimal_path(layout, _field(row, "input_state", list)))


def _field(record: Mapping[str, Any], path: str, kind: type) -> Any:
    key = path.rpartition(".")[2]
    if key not in record:
        raise WorldRowError(path, "missing")
    value = record[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise WorldRowError(path, f"expected {_KINDS[kind]}, got {value!r:.60}")
    return value


_KINDS = {dict: "an object", list: "a list", int: "a whole number"}


def _cells(meta: Mapping[str, Any], level: int) -> list[Any]:
    """The cells of `layout`, row by row."""
    rows = _field(meta, "meta.layout", list)
    if len(rows) != level or not all(isinstance(row, list) and len(row) == level for row in rows):
        raise WorldRowError("meta.layout", f"expected {level} lists of {level} cells, got {rows!r:.60}")
    return [cell for row in rows for cell in row]


def _read_lake(meta: Mapping[str, Any], level: int) -> FrozenLake:
    cells = _cells(meta, level)
    start, target = _field(meta, "meta.start_pos", int), _field(meta, "meta.target_pos", int)
    unknown = [cell for cell in cells if cell not in ("S", "G", "F", "H")]
    if unknown:
        raise WorldRowError("meta.layout", f"expected S, G, F and H, got {unknown[0]!r:.60}")
    for letter, path, cell in (("S", "meta.start_pos", start), ("G", "meta.target_pos", target)):
        if [i for i, found in enumerate(cells) if found == letter] != [cell]:
            raise WorldRowError(path, f"expected the only {letter} of the layout, got {cell}")
    return FrozenLake(level, [i for i, cell in enumerate(cells) if cell == "H"], start, target)


def _read_maze(meta: Mapping[str, Any], level: int) -> Maze:
    walls = []
    for number, cell in enumerate(_cells(meta, level)):
        if not isinstance(cell, dict) or not all(isinstance(cell.get(side), bool) for side in _SIDES):
            raise WorldRowError("meta.layout", f"cell {number}: expected true or false for {', '.join(_SIDES)}")
        walls.append({i for i, side in enumerate(_SIDES) if cell[side]})
    return Maze(level, walls, _field(meta, "meta.start_pos", int), _field(meta, "meta.target_pos", int))


def _read_room(meta: Mapping[str, Any], level: int) -> MiniBehaviour:
    table = [
        _cell(place, f"meta.table_pos[{i}]", level) for i, place in enumerate(_field(meta, "meta.table_pos", list))
    ]
    printer, start = (_cell(_field(meta, path, list), path, level) for path in ("meta.printer_pos", "meta.start_pos"))
    return MiniBehaviour(level, table, printer, start, _field(meta, "meta.start_dir", int))


def _cell(place: object, path: str, level: int) -> int:
    """The number of a cell that is given as [row, column]."""
    if (
        not isinstance(place, list)
        or len(place) != 2
        or not all(type(value) is int and 0 <= value < level for value in place)
    ):
        raise WorldRowError(path, f"expected [row, column] from 0 to {level - 1}, got {place!r:.60}")
    return int(place[0]) * level + int(place[1])


def _check_distances(world: World, meta: Mapping[str, Any]) -> None:
    """Checks that `distance_map` holds the distances of the states that an episode can reach, without the goal's."""
    expected = {str(state): steps for state, steps in world.remaining.items() if not world.goal(state)}
    _compare("meta.distance_map", _field(meta, "meta.distance_map", dict), expected)


def _compare(path: str, found: object, expected: Mapping[str, Any]) -> None:
    if not isinstance(found, dict):
        raise WorldRowError(path, f"expected an object, got {found!r:.60}")
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            raise WorldRowError(
                path,
                f"{key!r:.40}: expected {expected.get(key, 'no entry')!r:.60}, got {found.get(key, 'no entry')!r:.60}",
            )


def _check_room(world: MiniBehaviour, meta: Mapping[str, Any]) -> None:
    """Checks the cells beside printer and table, and the distances from each of them."""
    for target, sides, carrying in (("printer", world.printer_sides, False), ("table", world.table_sides, True)):
        listed = _field(meta, f"meta.{target}_neighbors", list)
        beside = sorted([cell // world.level, cell % world.level] for cell in sides)
        path = f"meta.{target}_neighbors"
        if {_cell(place, path, world.level) for place in listed} != sides or len(listed) != len(sides):
            raise WorldRowError(path, f"expected {beside}, got {listed!r:.80}")
        path = f"meta.distance_map_to_{target}"
        maps = _field(meta, path, dict)
        if maps.keys() != {_name(world, cell) for cell in sides}:
            raise WorldRowError(path, f"expected an entry for each of {beside}, got {sorted(maps)!r:.80}")
        for cell in sides:
            steps = world.walking_distances(cell, carrying)
            expected = {_name(world, to): count for to, count in steps.items()}
            _compare(f"{path}.{_name(world, cell)}", maps[_name(world, cell)], expected)


def _name(world: World, cell: int) -> str:
    return str(divmod(cell, world.level))


def _optimal_path(world: World, listed: list[Any]) -> tuple[int, ...]:
    """The states of `input_state`: from the start to the goal, each one move closer than the one before."""
    path: list[int] = []
    for i, item in enumerate(listed):
        state = _state(world, item, f"input_state[{i}]", last=i == len(listed) - 1)
        if not path and state != world.start:
            raise WorldRowError(f"input_state[{i}]", f"expected the start, got {item!r:.60}")
        if path and state not in {world.graph[path[-1]][move] for move in world.optimal_moves(path[-1])}:
            raise WorldRowError(
                f"input_state[{i}]", f"no optimal move leads from {listed[i - 1]!r:.40} to {item!r:.40}"
            )
        path.append(state)
    if not path or not world.goal(path[-1]):
        raise WorldRowError("input_state", "expected a path that ends at the goal")
    return tuple(path)


def _state(world: World, item: object, path: str, last: bool) -> int:
    if not isinstance(world, MiniBehaviour):
        if type(item) is not int:
            raise WorldRowError(path, f"expected a whole number, got {item!r:.60}")
        return item
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], bool):
        raise WorldRowError(path, f"expected [[row, column], carrying], got {item!r:.60}")
    # The last state of a row is the one after the drop.
    return world.state(_cell(item[0], path, world.level), item[1], dropped=last and not item[1])


_READERS: Mapping[str, tuple[Any, Any]] = {
    "frozenlake": (_read_lake, _check_distances),
    "maze": (_read_maze, _check_distances),
    "minibehaviour": (_read_room, _check_room),
}
"""For each world, what builds the layout from a row's `meta`, and what compares the distances."""
