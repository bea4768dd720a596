"""Rows of the released form: they are read, and a wrong one is refused with its number and field."""

from __future__ import annotations

import json
import math
import pickle
from random import Random
from typing import Any

import pytest

from o3gym.worlds import FrozenLake, Maze, MiniBehaviour, World, draw_world, read_world_rows
from o3gym.worlds.released_rows import WorldRowError


def lake_row(lake: World) -> dict[str, Any]:
    assert isinstance(lake, FrozenLake)
    letters = ["H" if cell in lake.holes else "F" for cell in range(lake.level**2)]
    letters[lake.start], letters[lake.target] = "S", "G"
    return {
        "input_state": states(lake),
        "meta": {
            "start_pos": lake.start,
            "target_pos": lake.target,
            "layout": [letters[i : i + lake.level] for i in range(0, len(letters), lake.level)],
            "distance_map": {str(state): steps for state, steps in lake.remaining.items() if steps},
            "level": lake.level,
        },
    }


def maze_row(maze: World) -> dict[str, Any]:
    assert isinstance(maze, Maze)
    names = ("north", "south", "west", "east")
    cells = [{name: side in walls for side, name in enumerate(names)} for walls in maze.walls]
    return {
        "input_state": states(maze),
        "meta": {
            "start_pos": maze.start,
            "target_pos": maze.target,
            "layout": [cells[i : i + maze.level] for i in range(0, len(cells), maze.level)],
            "distance_map": {str(state): steps for state, steps in maze.remaining.items() if steps},
            "level": maze.level,
        },
    }


def room_row(room: World) -> dict[str, Any]:
    assert isinstance(room, MiniBehaviour)
    path, level = states(room), room.level

    def pair(cell: int) -> list[int]:
        return [cell // level, cell % level]

    def distances(sides: frozenset[int], carrying: bool) -> dict[str, dict[str, int]]:
        maps = {side: room.walking_distances(side, carrying) for side in sides}
        return {
            str(tuple(pair(side))): {str(tuple(pair(cell))): steps for cell, steps in found.items()}
            for side, found in maps.items()
        }

    return {
        "input_state": [[pair(room.cell(state)), room.phase(state) == 1] for state in path],
        "meta": {
            "level": level,
            "start_pos": pair(room.start),
            "start_dir": room.direction,
            "printer_pos": pair(room.printer),
            "table_pos": [pair(cell) for cell in room.table],
            "printer_neighbors": [pair(cell) for cell in room.printer_sides],
            "table_neighbors": [pair(cell) for cell in room.table_sides],
            "distance_map_to_printer": distances(room.printer_sides, carrying=False),
            "distance_map_to_table": distances(room.table_sides, carrying=True),
        },
    }


def states(world: World) -> list[int]:
    path = [world.start]
    for move in world.optimal_plan():
        path.append(world.graph[path[-1]][move])
    return path


ROWS = {"frozenlake": lake_row, "maze": maze_row, "minibehaviour": room_row}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_the_released_form_are_read(name: str) -> None:
    worlds = [draw_world(name, seed) for seed in range(20)]
    lines = [json.dumps(ROWS[name](world)) for world in worlds]
    rows = list(read_world_rows(name, ["\n", *lines, ""]))
    assert [(row.world.map_key(), row.world.start) for row in rows] == [(w.map_key(), w.start) for w in worlds]
    assert [list(row.path) for row in rows] == [states(world) for world in worlds]


REMOVE = object()
LAKE = FrozenLake(3, [4], 0, 8)
ROOM = MiniBehaviour(5, (16, 17, 18, 21, 22, 23), printer=7, start=20)
OPEN = {"north": False, "south": False, "west": False, "east": False}


def changed(row: dict[str, Any], path: str, value: object) -> str:
    record = row
    *parents, last = path.split(".")
    for key in parents:
        record = record[key]
    if value is REMOVE:
        del record[last]
    else:
        record[last] = value
    return json.dumps(row)


@pytest.mark.parametrize("name", ROWS)
def test_a_missing_field_is_named_with_its_row(name: str) -> None:
    world = draw_world(name, 1)
    row = ROWS[name](world)
    for path in ("meta", "input_state", *(f"meta.{key}" for key in row["meta"])):
        lines = [json.dumps(row), changed(json.loads(json.dumps(row)), path, REMOVE)]
        with pytest.raises(WorldRowError, match=rf"row 2: {path}: missing"):
            list(read_world_rows(name, lines))


@pytest.mark.parametrize(
    ("world", "path", "value", "message"),
    [
        (LAKE, "meta", [], "meta: expected an object"),
        (LAKE, "meta.level", "3", "meta.level: expected a whole number, got '3'"),
        (LAKE, "meta.level", True, "meta.level: expected a whole number"),
        (LAKE, "meta.level", 10**9, "meta.level: expected a whole number from 2 to 16"),
        (LAKE, "meta.level", 4, "meta.layout: expected 4 lists of 4 cells"),
        (LAKE, "meta.layout", "SFG", "meta.layout: expected a list"),
        (LAKE, "meta.layout", [["S", "F", "F"], ["F", "X", "F"], ["F", "F", "G"]], "meta.layout: expected S, G"),
        (LAKE, "meta.layout", [["S", "H", "F"], ["H", "F", "F"], ["F", "F", "G"]], "meta: .*cannot be reached"),
        (LAKE, "meta.start_pos", 1, "meta.start_pos: expected the only S of the layout, got 1"),
        (LAKE, "meta.target_pos", None, "meta.target_pos: expected a whole number"),
        (LAKE, "meta.distance_map", {"0": 4}, r"meta.distance_map: '1': expected 3, got 'no entry'"),
        (LAKE, "input_state", [], "input_state: expected a path that ends at the goal"),
        (LAKE, "input_state", [3, 6, 7, 8], r"input_state\[0\]: expected the start, got 3"),
        (LAKE, "input_state", [0, 4, 8], r"input_state\[1\]: no optimal move leads from 0 to 4"),
        (LAKE, "input_state", [0, 3, 6, 7], "input_state: expected a path that ends at the goal"),
        (LAKE, "input_state", [0, "3"], r"input_state\[1\]: expected a whole number"),
        (ROOM, "meta.printer_pos", [1], r"meta.printer_pos: expected \[row, column\] from 0 to 4"),
        (ROOM, "meta.start_pos", [5, 0], r"meta.start_pos: expected \[row, column\]"),
        (ROOM, "meta.table_pos", [[3, 1]], "meta: minibehaviour: table: expected a rectangle"),
        (ROOM, "meta.table_pos", [[3, "1"]], r"meta.table_pos\[0\]: expected \[row, column\]"),
        (ROOM, "meta.start_dir", 7, "meta: minibehaviour: direction"),
        (ROOM, "meta.printer_neighbors", [[0, 2]], "meta.printer_neighbors: expected"),
        (ROOM, "meta.distance_map_to_table", {}, "meta.distance_map_to_table: expected an entry for each of"),
        (ROOM, "meta.distance_map_to_printer.(1, 1)", {}, r"meta.distance_map_to_printer.\(1, 1\): '\(0, 0\)'"),
        (ROOM, "meta.distance_map_to_printer.(1, 1)", 3, r"meta.distance_map_to_printer.\(1, 1\): expected an object"),
        (ROOM, "input_state", [[[4, 0], False], [[3, 0], 1]], r"input_state\[1\]: expected \[\[row, column\]"),
    ],
)
def test_a_wrong_field_is_named(world: World, path: str, value: object, message: str) -> None:
    line = changed(ROWS[world.name](world), path, value)
    with pytest.raises(WorldRowError, match=f"row 1: {message}"):
        list(read_world_rows(world.name, [line]))


def test_walls_of_mazes_must_be_named() -> None:
    world = draw_world("maze", 0, 3)
    row = maze_row(world)
    row["meta"]["layout"][1][0] = {"north": True}
    with pytest.raises(WorldRowError, match=r"row 1: meta.layout: cell 3: expected true or false for north"):
        list(read_world_rows("maze", [json.dumps(row)]))
    row["meta"]["layout"] = [[OPEN] * 3] * 3
    with pytest.raises(WorldRowError, match="row 1: meta: maze: walls: cell 0 is open towards the outside"):
        list(read_world_rows("maze", [json.dumps(row)]))


@pytest.mark.parametrize("line", ["{", "3", "[]", "null", "[" * 100_000], ids=["cut", "number", "list", "null", "deep"])
def test_lines_that_are_no_rows(line: str) -> None:
    with pytest.raises(WorldRowError, match="row 1: "):
        list(read_world_rows("frozenlake", [line]))


def test_the_error_of_a_row_has_its_parts_and_can_be_pickled() -> None:
    with pytest.raises(WorldRowError) as caught:
        list(read_world_rows("frozenlake", ["", changed(lake_row(LAKE), "meta.level", "3")]))
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.row, error.field, error.reason) == (2, "meta.level", "expected a whole number, got '3'")
        assert str(error) == "row 2: meta.level: expected a whole number, got '3'"


ODD_VALUES = (None, True, -1, 10**30, 1.5, math.nan, "", "3", [], [[]], [0, 0], [[0, 0], False], {}, {"0": 1})


@pytest.mark.parametrize("name", ROWS)
def test_rows_with_an_odd_value_anywhere_are_read_or_refused(name: str) -> None:
    text, rng = json.dumps(ROWS[name](draw_world(name, 2))), Random(0)
    messages = []
    for _ in range(300):
        row = place = json.loads(text)
        while isinstance(place, dict | list) and place:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], dict | list) or rng.random() < 0.3:
                place[key] = rng.choice(ODD_VALUES)
                break
            place = place[key]
        try:
            (read,) = read_world_rows(name, [json.dumps(row)])
            assert read.world.goal(read.path[-1])
        except WorldRowError as error:
            messages.append(str(error))
    assert len(messages) > 250
    assert all(message.startswith("row 1: ") and len(message) < 400 for message in messages)


def test_an_unknown_world_is_refused() -> None:
    with pytest.raises(ValueError, match="world: expected one of"):
        list(read_world_rows("lake", []))
