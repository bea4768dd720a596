"""`move`: moves in words, one picture of the state after them, and invalid moves that are recorded."""

from __future__ import annotations

import time

import pytest

from o3gym.tools.base import Invalid, ViewRequest
from o3gym.tools.move import Move
from o3gym.types import FULL, Source, Task
from o3gym.worlds.base import BLOCKED
from o3gym.worlds.records import newest_standing, state_source
from tests.tools.planning_scenes import apply, planning_scene
from tests.worlds.planning_episodes import DOWN, LAKE, PICK, RIGHT, ROOM, UP

MOVE = Move()


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("down", [DOWN]),
        (" Down\n", [DOWN]),
        ("down, right", [DOWN, RIGHT]),
        ("DR", [DOWN, RIGHT]),
        ("down → right → left", [DOWN, RIGHT, 2]),
    ],
)
def test_moves_are_made_and_one_picture_shows_the_state_after_them(text: str, plan: list[int]) -> None:
    result = apply(MOVE, planning_scene(LAKE), text)
    assert result.sources == (state_source(LAKE, plan),)
    assert result.views == (ViewRequest(1, FULL, 0),)
    assert (result.text, result.error, result.stop) == ("", "", "")


def test_a_plan_grows_over_calls() -> None:
    before = state_source(LAKE, [DOWN, BLOCKED])
    result = apply(MOVE, planning_scene(LAKE, before), "right")
    assert result.sources == (state_source(LAKE, [DOWN, BLOCKED, RIGHT]),)
    assert result.views == (ViewRequest(2, FULL, 1),)


def test_the_goal_ends_the_episode_and_the_plan_is_the_answer() -> None:
    result = apply(MOVE, planning_scene(LAKE, state_source(LAKE, [BLOCKED, DOWN])), "right right up up down")
    assert (result.stop, result.answer) == ("answered", "invalid down right right up")
    assert result.sources == (state_source(LAKE, [BLOCKED, DOWN, RIGHT, RIGHT, UP]),)
    assert len(result.views) == 1
    assert result.error == ""


def test_pick_and_drop_are_moves_of_the_room() -> None:
    result = apply(MOVE, planning_scene(ROOM), "up right pick")
    assert result.sources == (state_source(ROOM, [UP, RIGHT, PICK]),)
    assert result.error == ""
    lake = apply(MOVE, planning_scene(LAKE), "pick")
    assert (lake.error, lake.text) == ("bad_move", 'word 1 of the plan, "pick", is none of up, down, left, right')


@pytest.mark.parametrize(
    ("text", "made", "reason"),
    [
        ("up", [UP], "move 1 is not possible: up"),
        ("right down", [RIGHT], "move 1 is not possible: right; the 1 after it was not made"),
        ("down left up right", [DOWN, 2], "move 2 is not possible: left; the 2 after it were not made"),
        ("invalid", [BLOCKED], "move 1 is not possible: invalid"),
        ("", [BLOCKED], "the plan is empty"),
        (" \n,", [BLOCKED], "the plan is empty"),
        ("down jump up", [BLOCKED], 'word 2 of the plan, "jump", is none of up, down, left, right'),
        ("x" * 5000, [BLOCKED], f'word 1 of the plan, "{"x" * 30}…", is none of'),
        ("漢\ud800", [BLOCKED], 'word 1 of the plan, "漢?"'),
        ("up " * 1001, [BLOCKED], "the plan has more than 1000 moves"),
        ("U" * 100_000, [BLOCKED], "the plan has more than 1000 moves"),
    ],
)
def test_an_invalid_move_is_recorded_and_shows_the_state_again(text: str, made: list[int], reason: str) -> None:
    result = apply(MOVE, planning_scene(LAKE), text)
    assert (result.error, result.stop) == ("bad_move", "")
    assert result.text.startswith(reason)
    standing = newest_standing(result.sources)
    assert standing is not None
    assert standing.plan == tuple(made)
    assert result.views == (ViewRequest(1, FULL, 0),)


def test_a_million_moves_are_refused_by_their_length_at_once() -> None:
    text, start = "up " * 10**6, time.perf_counter()
    assert MOVE.accepts({"moves": text}).startswith('"moves" of move must be text of at most 100000 characters, got')
    assert time.perf_counter() - start < 0.05


@pytest.mark.parametrize("moves", [None, 1, ["up"], {"up": 1}, b"up"])
def test_moves_must_be_text(moves: object) -> None:
    assert MOVE.accepts({"moves": moves}).startswith('"moves" of move must be text')


def test_other_tasks_have_no_world() -> None:
    scene = planning_scene(LAKE)
    photo = Source.file("photo.jpg")
    other = type(scene)(
        Task("t", (photo,), "?"), (photo,), scene.views, scene.size_of, scene.size_rule, scene.time_rule
    )
    with pytest.raises(Invalid, match="this task has no world in which move can make a move") as caught:
        MOVE.apply(other, moves="up")
    assert caught.value.kind == "bad_args"
