"""The suites of visual planning: drawn layouts, rows in the released form, and bad rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from o3gym.codec import encode
from o3gym.registry import UnknownName
from o3gym.suites.base import BadTask, Suite, SuiteError, make_suite, recommended_turns
from o3gym.worlds import World, draw_world
from o3gym.worlds.plans import read_plan
from o3gym.worlds.records import layout_record, task_world
from tests.worlds.test_released_rows import lake_row, maze_row, room_row

NAMES = {"planning-frozenlake": "frozenlake", "planning-maze": "maze", "planning-minibehaviour": "minibehaviour"}
SPLITS = ("train", "val", "test")
ROWS = {"frozenlake": lake_row, "maze": maze_row, "minibehaviour": room_row}


def world_of(suite: Suite, index: int) -> World:
    world = task_world(suite[index])
    assert world is not None
    return world


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["test", "train", "val"])
def test_tasks_show_the_start_and_are_answered_by_an_optimal_plan(name: str, split: str) -> None:
    suite = make_suite(name, split)
    assert len(suite) == 1000
    for index in (0, 1, 2, 3, 5, 999):
        task, world = suite[index], world_of(suite, index)
        assert (world.name, world.split) == (NAMES[name], split)
        assert task.tags == {"world": world.name, "level": str(world.level), "length": str(world.optimal_length)}
        assert (task.kind, task.choices, len(task.sources)) == ("free", (), 1)
        plan = read_plan(task.answer, world.moves)
        assert world.score_plan(plan.moves).exact
        assert all(move in task.question for move in world.moves)
        assert encode(suite.task(index)) == encode(task)
        assert task.origin["suite"] == name
        drawn = draw_world(NAMES[name], task.origin["seed"], world.level, split)
        assert layout_record(drawn) == layout_record(world)


@pytest.mark.parametrize("name", NAMES)
def test_levels_take_turns_and_a_pick_is_balanced(name: str) -> None:
    suite = make_suite(name, n=40)
    levels = type(world_of(suite, 0)).levels
    for seed in range(5):
        picked = [int(suite[index].tags["level"]) for index in suite.pick(2 * len(levels), seed)]
        assert sorted(picked) == sorted([*levels, *levels])
    assert len(set(suite.pick(100, 3))) == 40


def test_splits_share_no_map() -> None:
    maps = [{world_of(make_suite("planning-maze", split, n=60), i).map_key() for i in range(60)} for split in SPLITS]
    assert not maps[0] & maps[1]
    assert not maps[0] & maps[2]
    assert not maps[1] & maps[2]


def test_options() -> None:
    suite = make_suite("planning-frozenlake?level=4&n=7")
    assert len(suite) == 7
    assert {suite[i].tags["level"] for i in range(7)} == {"4"}
    assert len({suite[i].id for i in range(7)}) == 7
    assert (suite.own_tools, suite.turns, suite.measure) == (("move", "draw_state", "answer"), 32, "planning")
    assert suite.kinds == {"free"}
    assert suite.fingerprint() == {}


@pytest.mark.parametrize(
    ("spec", "options", "reason"),
    [
        ("planning-maze:x", {}, r'takes no argument, got "x"; write "planning-maze\?data=FILE"'),
        ("planning-maze", {"level": 7}, "level: expected one of 3, 4, 5, 6 or None, got 7"),
        ("planning-minibehaviour", {"level": 4}, "level: expected one of 5, 6 or None, got 4"),
        ("planning-maze", {"level": "all"}, "level: expected one of"),
        ("planning-maze", {"n": -1}, "n: expected a whole number from 0 up"),
        ("planning-maze", {"split": "dev"}, 'has no split "dev"'),
    ],
)
def test_wrong_options_are_refused(spec: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make_suite(spec, **options)
    with pytest.raises(UnknownName, match='did you mean "planning-maze"'):
        make_suite("planning-mace")


def test_the_recommended_turns_are_known_without_opening_a_suite() -> None:
    assert recommended_turns("planning-maze?data=nowhere.jsonl") == 32
    assert [recommended_turns(spec) for spec in ("synthetic?family=hidden", "local:nowhere", "vstar", "typo")] == [
        6
    ] * 4


# ── Rows in the released form ───────────────────────────────────────────────────────────────────────────────────────


def written(folder: Path, *rows: object) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return file


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_file_are_tasks(name: str, tmp_path: Path) -> None:
    world = NAMES[name]
    layouts = [draw_world(world, seed, split="test") for seed in range(12)]
    file = written(tmp_path, *map(ROWS[world], layouts[:6]), "", *map(ROWS[world], layouts[6:]))
    suite = make_suite(name, data=str(file))
    assert len(suite) == 12
    assert [layout_record(world_of(suite, i)) for i in range(12)] == [layout_record(layout) for layout in layouts]
    assert suite[0].id == f"{name}/rows/1"
    assert suite[6].id == f"{name}/rows/8"
    assert suite[6].origin["row"] == 8
    assert suite[6].origin["file"] == "rows.jsonl"
    assert sorted(suite.pick(12, 0)) == list(range(12))
    assert list(suite.fingerprint()) == ["file_sha256"]
    assert len(make_suite(name, data=str(file), n=5)) == 5
    level = layouts[0].level
    chosen = make_suite(name, data=str(file), level=level)
    assert len(chosen) == sum(layout.level == level for layout in layouts)
    assert {chosen[i].tags["level"] for i in range(len(chosen))} == {str(level)}


def test_a_changed_file_is_opened_again(tmp_path: Path) -> None:
    rows = [lake_row(draw_world("frozenlake", seed)) for seed in range(3)]
    file = written(tmp_path, *rows)
    assert len(make_suite("planning-frozenlake", data=str(file))) == 3
    written(tmp_path, *rows[:1])
    assert len(make_suite("planning-frozenlake", data=str(file))) == 1


GOOD = lake_row(draw_world("frozenlake", 0, 4))


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ("{", "(whole row)", "expected JSON"),
        ("[" * 100_000, "(whole row)", "expected JSON"),
        ("[]", "(whole row)", "expected an object, got []"),
        ({"meta": {}}, "meta.level", "missing"),
        ({**GOOD, "meta": {**GOOD["meta"], "start_pos": "0"}}, "meta.start_pos", "expected a whole number, got '0'"),
        ({**GOOD, "input_state": []}, "input_state", "expected a path that ends at the goal"),
        ({"meta": GOOD["meta"]}, "input_state", "missing"),
    ],
)
def test_a_bad_row_names_file_row_and_field(row: object, field: str, reason: str, tmp_path: Path) -> None:
    file = written(tmp_path, GOOD, row, GOOD)
    suite = make_suite("planning-frozenlake", data=str(file))
    assert suite[0].answer == suite[2].answer
    with pytest.raises(BadTask, match=re.escape(f'rows.jsonl, line 2, field "{field}": {reason}')):
        suite[1]
    assert len(make_suite("planning-frozenlake", data=str(file), level=4)) in (2, 3)


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"\xff\xfe{}"])
def test_a_file_without_rows_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SuiteError, match=r"data: .*rows\.jsonl: expected"):
        make_suite("planning-frozenlake", data=str(file))


def test_a_file_without_rows_of_the_level_is_an_error(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    with pytest.raises(SuiteError, match=r"expected at least one row of level 6"):
        make_suite("planning-frozenlake", data=str(file), level=6)


def test_a_split_inside_a_spec_is_refused_instead_of_ignored() -> None:
    with pytest.raises(ValueError, match="the split is an argument of its own"):
        make_suite("planning-maze?split=train")
