"""Where `PlanningEnv` takes its layouts from: any of a split, the first N of a split, or the rows of a file."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from o3gym.envs import layouts
from o3gym.envs.planning import PlanningEnv
from o3gym.suites.base import BadTask, SuiteError
from o3gym.worlds import WORLDS, World, draw_world
from tests.worlds.test_released_rows import ROWS, lake_row


def identity(world: World) -> tuple[bytes, int]:
    return world.map_key(), world.start


def first_layouts(env: PlanningEnv, count: int, seed: int | None = 0) -> list[tuple[bytes, int]]:
    found = []
    for i in range(count):
        env.reset(seed=seed if i == 0 else None)
        found.append(identity(env.world))
    return found


@pytest.mark.parametrize("name", WORLDS)
def test_a_limited_number_of_layouts_is_taken_from_the_first_of_the_split(name: str) -> None:
    env = PlanningEnv(name, split="train", layouts=5, observation="symbols")
    expected = {identity(draw_world(name, seed, split="train")) for seed in range(5)}
    taken = first_layouts(env, 60)
    assert set(taken) == expected
    assert taken == first_layouts(PlanningEnv(name, split="train", layouts=5), 60)
    assert taken != first_layouts(env, 60, seed=1)
    env.reset(options={"layout": 7})
    assert identity(env.world) == identity(draw_world(name, 7, split="train"))


def test_layouts_that_are_kept_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts._keep_world.cache_clear()
    for _ in range(2):
        first_layouts(PlanningEnv(level=4, layouts=3), 30)
    assert layouts._keep_world.cache_info().misses == 3
    first_layouts(PlanningEnv(level=4), 30)
    assert layouts._keep_world.cache_info().misses == 3


def write_rows(folder: Path, worlds: list[World], broken: int = 0, **wrong: Any) -> str:
    """A file of released rows, of which the first `broken` have wrong values in `meta`."""
    rows = [ROWS[world.name](world) for world in worlds]
    for row in rows[:broken]:
        row["meta"].update(wrong)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(folder / "rows.jsonl")


@pytest.mark.parametrize("name", WORLDS)
def test_layouts_of_a_file_are_its_rows(name: str, tmp_path: Path) -> None:
    worlds = [draw_world(name, seed) for seed in range(12)]
    file = write_rows(tmp_path, worlds)
    env = PlanningEnv(name, data=file, observation="symbols")
    for i, world in enumerate(worlds):
        observation, info = env.reset(options={"layout": i})
        assert identity(env.world) == identity(world)
        assert observation in env.observation_space
        assert info["optimal"] == world.optimal_length
    taken = first_layouts(env, 80)
    assert set(taken) == {identity(world) for world in worlds}
    assert taken == first_layouts(PlanningEnv(name, data=file), 80)
    twin = PlanningEnv(name, data=file)
    twin.reset(seed=0)
    assert taken[1:] == first_layouts(pickle.loads(pickle.dumps(twin)), 79, seed=None)
    few = first_layouts(PlanningEnv(name, data=file, layouts=2), 20)
    assert set(few) == {identity(world) for world in worlds[:2]}
    level = worlds[0].level
    of_level = first_layouts(PlanningEnv(name, data=file, level=level), 40)
    assert set(of_level) == {identity(world) for world in worlds if world.level == level}


def test_rows_of_unusual_sizes_have_room_among_the_symbols(tmp_path: Path) -> None:
    world = WORLDS["frozenlake"](8, [3], 0, 60)  # type: ignore[arg-type, call-arg]
    env = PlanningEnv(data=write_rows(tmp_path, [world]), observation="symbols")
    assert env.reset(seed=0)[0].shape == (8, 8) == env.observation_space.shape


def test_a_few_bad_rows_are_skipped_with_one_warning(tmp_path: Path) -> None:
    worlds = [draw_world("frozenlake", seed, 3) for seed in range(30)]
    file = write_rows(tmp_path, worlds, broken=1, level="3")
    with pytest.warns(
        UserWarning, match=r"planning-frozenlake: skipped 1 of 30 rows: .*rows.jsonl, line 1, field"
    ) as w:
        env = PlanningEnv(data=file, level=3)
    assert len(w) == 1
    assert w[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PlanningEnv(data=file, level=3)
    assert set(first_layouts(env, 200)) == {identity(world) for world in worlds[1:]}
    with pytest.raises(BadTask, match=r"line 1, field \"meta.level\": expected a whole number, got '3'"):
        env.reset(options={"layout": 0})
    env.reset(options={"layout": 1})
    assert identity(env.world) == identity(worlds[1])


def test_more_bad_rows_are_an_error(tmp_path: Path) -> None:
    worlds = [draw_world("frozenlake", seed, 3) for seed in range(30)]
    with pytest.raises(
        SuiteError, match=r"2 of 30 rows are bad, more than 5%: .*line 1, field \"meta.start_pos\": exp"
    ):
        PlanningEnv(data=write_rows(tmp_path, worlds, broken=2, start_pos=None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected at least one row"),
        ("[]\n", r"no row is good: .*line 1, field \"\(whole row\)\": expected an object"),
        ('{"meta": {"level": 3}}', r"no row is good: .*line 1, field \"meta.layout\": missing"),
        ("{", r"no row is good: .*line 1, field \"\(whole row\)\": expected JSON"),
        (json.dumps(lake_row(draw_world("frozenlake", 0, 4))), "expected at least one row of level 3"),
    ],
)
def test_files_without_a_good_row_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(SuiteError, match=message):
        PlanningEnv(data=str(tmp_path / "rows.jsonl"), level=3)


def test_a_row_whose_goal_cannot_be_reached_is_bad(tmp_path: Path) -> None:
    row = lake_row(WORLDS["frozenlake"](3, [4], 0, 8))  # type: ignore[arg-type, call-arg]
    row["meta"]["layout"] = [["S", "H", "F"], ["H", "F", "F"], ["F", "F", "G"]]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(SuiteError, match=r"field \"meta\": frozenlake: the goal cannot be reached from the start"):
        PlanningEnv(data=str(tmp_path / "rows.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "no/such/file.jsonl"}, r"data: no/such/file.jsonl: expected a JSONL file of released rows"),
        ({"data": ""}, "data: expected the path of a JSONL file"),
        ({"layouts": 0}, "layouts: expected a whole number from 1 up, got 0"),
        ({"layouts": 2.5}, "layouts: expected a whole number from 1 up, got 2.5"),
    ],
)
def test_bad_sources_of_layouts_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlanningEnv(**arguments)


@pytest.mark.parametrize("index", [-1, 3, 1.5, True])
def test_an_index_that_the_file_does_not_have_is_refused(index: object, tmp_path: Path) -> None:
    env = PlanningEnv(data=write_rows(tmp_path, [draw_world("frozenlake", seed) for seed in range(3)]))
    with pytest.raises(ValueError, match="layout: expected a"):
        env.reset(options={"layout": index})
