"""Layouts as JSON, states as sources, and the plan that the sources of an episode hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from o3gym.codec import decode, encode
from o3gym.media.images import ImageStore
from o3gym.types import Source, Task
from o3gym.worlds import WORLDS, LayoutError, draw_world
from o3gym.worlds.base import BLOCKED
from o3gym.worlds.records import (
    layout_record,
    newest_standing,
    planned,
    read_layout,
    standing_of,
    standing_size,
    state_source,
    task_world,
)
from tests.worlds.planning_episodes import DOWN, LAKE, RIGHT, UP, answered, walk

PHOTO = Source.file("photo.jpg")


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("seed", range(20))
def test_a_layout_survives_json(name: str, seed: int) -> None:
    world = draw_world(name, seed)
    record = json.loads(json.dumps(layout_record(world)))
    again = read_layout(record)
    assert (type(again), again.graph, again.remaining) == (type(world), world.graph, world.remaining)
    assert again.map_key() == world.map_key()
    assert np.array_equal(again.render(again.start), world.render(world.start))
    assert read_layout(record) is again


@pytest.mark.parametrize("name", WORLDS)
def test_a_source_is_its_state_and_draws_it(name: str) -> None:
    world, store = draw_world(name, 3), ImageStore()
    plan = [*world.optimal_plan()[:-1], BLOCKED]
    source = decode(Source, json.loads(json.dumps(encode(state_source(world, plan)))))
    standing = standing_of(source)
    assert standing is not None
    assert (standing.plan, standing.state) == (tuple(plan), world.after(plan))
    assert source == state_source(world, plan) != state_source(world, plan[:-1])
    assert store.size(source) == standing_size(**source.args) == (256, 256)
    assert store.used == 0  # the size is known without drawing
    assert np.array_equal(store.region(source), world.render(world.after(plan)))


LAKE_RECORD = layout_record(LAKE)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "KeyError"),
        (None, "expected the record of a layout, got None"),
        ([1], "expected the record of a layout"),
        (LAKE_RECORD | {"world": "ocean"}, "expected frozenlake, maze or minibehaviour, got 'ocean'"),
        (LAKE_RECORD | {"level": "3"}, "level: expected a whole number"),
        (LAKE_RECORD | {"holes": None}, "TypeError"),
        (LAKE_RECORD | {"holes": [[1]]}, "expected"),
        (LAKE_RECORD | {"holes": [1, 3]}, "the goal cannot be reached from the start"),
        (LAKE_RECORD | {"start": float("nan")}, "start: expected a cell"),
        ({**layout_record(draw_world("maze", 0)), "walls": "f"}, "walls: expected"),
        ({**layout_record(draw_world("maze", 0)), "walls": "fig"}, "ValueError"),
        ({**layout_record(draw_world("maze", 0)), "walls": [[0]]}, "walls: expected one hexadecimal digit"),
        ({**layout_record(draw_world("minibehaviour", 0)), "table": [0]}, "table: expected a rectangle"),
        ({"a": object()}, "expected the record of a layout"),
    ],
)
def test_a_malformed_record_is_refused_with_the_reason(record: Any, reason: str) -> None:
    with pytest.raises(LayoutError, match=reason):
        read_layout(record)


@pytest.mark.parametrize("plan", [None, "up", [0, "up"], [9], [-2], [0.0], [True]])
def test_a_source_with_a_malformed_plan_is_refused(plan: Any) -> None:
    with pytest.raises(LayoutError, match=r"plan: expected a list of moves from -1 to 3, got"):
        standing_of(Source.generated("planning", layout=LAKE_RECORD, plan=plan))
    with pytest.raises(LayoutError):
        newest_standing([Source.generated("planning", plan=plan if isinstance(plan, list) else [])])


def test_other_pictures_have_no_standing() -> None:
    video = replace(PHOTO, duration=3.0)
    others = [PHOTO, video, Source.of_bytes(b"x"), Source.generated("synthetic"), Source.derived(PHOTO, "draw", None)]
    assert [standing_of(source) for source in others] == [None] * 5
    assert newest_standing(others) is None
    assert newest_standing([]) is None
    assert task_world(Task("t", (PHOTO,), "?")) is None


def test_the_newest_state_has_the_longest_plan_whatever_is_shown_after_it() -> None:
    first, second = state_source(LAKE), state_source(LAKE, [DOWN, BLOCKED])
    turned = Source.derived(first, "rotate", None, angle=90)
    blank = Source.derived(state_source(LAKE, [DOWN, BLOCKED, RIGHT]), "blank", None)
    drawn = Source.made(b"x", first, by="model")
    for sources, plan in (
        ([first], ()),
        ([first, second, turned], (DOWN, BLOCKED)),
        ([first, second, drawn], (DOWN, BLOCKED)),
        ([first, second, blank], (DOWN, BLOCKED, RIGHT)),
        ([PHOTO, second], (DOWN, BLOCKED)),
    ):
        standing = newest_standing(sources)
        assert standing is not None
        assert standing.plan == plan
        assert standing.state == LAKE.after(plan)


def test_a_task_has_the_world_of_its_picture() -> None:
    world = task_world(Task("t", (state_source(LAKE),), "?"))
    assert world is not None
    assert layout_record(world) == LAKE_RECORD


def test_the_plan_of_an_episode_is_what_it_answered_or_else_what_it_did() -> None:
    made = planned(walk(LAKE, [DOWN, RIGHT], [BLOCKED], [RIGHT, UP]))
    assert made is not None
    assert (made.moves, made.error) == ((DOWN, RIGHT, BLOCKED, RIGHT, UP), "")
    whole = planned(answered(LAKE, "Down, right, RIGHT up"))
    assert whole is not None
    assert whole.moves == (DOWN, RIGHT, RIGHT, UP)
    both = planned(answered(LAKE, "up up", [DOWN]))
    assert both is not None
    assert both.moves == (UP, UP)  # the judge knows nothing of the move before
    none = planned(answered(LAKE, "swim"))
    assert none is not None
    assert (none.moves, none.error) == ((), 'word 1 of the plan, "swim", is none of up, down, left, right')
    assert planned(replace(walk(LAKE), sources=(PHOTO,))) is None
