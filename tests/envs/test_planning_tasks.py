"""Visual planning in `VisualSearchEnv`: tools that may end the episode, the last turn, budgets and controls."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import o3gym
from o3gym.envs import VisualSearchEnv
from o3gym.types import Call
from o3gym.worlds import World
from o3gym.worlds.base import BLOCKED
from o3gym.worlds.plans import write_plan
from o3gym.worlds.records import newest_standing, task_world
from tests.tools.planning_scenes import data_url, encoded
from tests.worlds.planning_episodes import DOWN, UP, planning_task

SUITES = ("planning-frozenlake", "planning-maze", "planning-minibehaviour")


def move(text: str) -> Call:
    return Call("move", {"moves": text})


def draw(world: World, state: int) -> Call:
    return Call("draw_state", {"picture": data_url(encoded(world.render(state)))})


def planning(suite: str = "", **arguments: Any) -> tuple[VisualSearchEnv, World]:
    """A suite's sixth task, or the lake of `planning_task`: down is possible at its start, and up is not."""
    env = VisualSearchEnv(suite or "planning-frozenlake", **arguments)
    env.reset(seed=0, options={"task": 5 if suite else planning_task()})
    world = task_world(env.episode.task)
    assert world is not None
    return env, world


def plan_of(env: VisualSearchEnv) -> tuple[int, ...]:
    standing = newest_standing(env.episode.sources)
    assert standing is not None
    return standing.plan


@pytest.mark.parametrize("suite", SUITES)
def test_the_suite_brings_its_tools_and_its_turns(suite: str) -> None:
    env, _ = planning(suite)
    assert list(env.tools) == ["move", "draw_state", "answer"]
    assert env.rules.max_turns == 32
    assert VisualSearchEnv(suite, max_turns=3).rules.max_turns == 3
    assert VisualSearchEnv("synthetic").rules.max_turns == 6


@pytest.mark.parametrize("suite", SUITES)
def test_moves_lead_to_the_goal_and_end_the_episode(suite: str) -> None:
    env, world = planning(suite)
    *before, last = world.optimal_plan()
    state = world.start
    for number in before:
        observation, _, terminated, truncated, info = env.step(move(world.moves[number]))
        state = world.graph[state][number]
        assert np.array_equal(observation["images"][0], world.render(state))
        assert (len(observation["images"]), terminated, truncated, info["error"]) == (1, False, False, "")
    observation, _, terminated, truncated, info = env.step(move(world.moves[last]))
    assert (terminated, truncated, info["stop"]) == (True, False, "answered")
    assert np.array_equal(observation["images"][0], world.render(world.graph[state][last]))
    assert env.trajectory.answer == write_plan([*before, last], world.moves)


@pytest.mark.parametrize("suite", SUITES)
def test_drawn_states_lead_to_the_goal_and_both_pictures_are_shown(suite: str) -> None:
    env, world = planning(suite)
    state = world.start
    for number in world.optimal_plan():
        state = world.graph[state][number]
        observation, *_, info = env.step(draw(world, state))
        assert [np.array_equal(image, world.render(state)) for image in observation["images"]] == [True, True]
        assert (info["n_new"], info["error"]) == (2, "")
    assert env.episode.stop == "answered"
    parents = [view.parent for view in env.views]
    assert parents == list(range(-1, len(parents) - 1))


def test_an_invalid_move_is_carried_out_and_the_unchanged_state_is_shown() -> None:
    env, world = planning()
    for call in (move("up"), move("swim"), Call("draw_state", {"picture": "?"})):
        observation, _, terminated, truncated, info = env.step(call)
        assert (terminated, truncated, info["error"], info["n_new"]) == (False, False, "bad_move", 1)
        assert np.array_equal(observation["images"][0], world.render(world.start))
        assert observation["text"]
    assert plan_of(env) == (UP, BLOCKED, BLOCKED)
    observation, *_, info = env.step(move("up " * 10**6))  # fails the shape check, like any text of that length
    assert (info["error"], info["n_new"], len(plan_of(env))) == ("bad_args", 0, 3)
    assert "100000 characters" in observation["text"]


# ── The last turn and other budgets ─────────────────────────────────────────────────────────────────────────────────


def test_a_move_in_the_last_turn_is_carried_out() -> None:
    env, world = planning(max_turns=2)
    env.step(move("down"))
    observation, _, terminated, truncated, info = env.step(move("left up"))
    assert (terminated, truncated, info["stop"]) == (False, True, "malformed")
    env, world = planning(max_turns=2)
    env.step(move("swim"))
    observation, _, terminated, truncated, info = env.step(move("down"))
    assert (terminated, truncated, info["stop"], info["error"]) == (False, True, "over_turn", "")
    assert len(observation["images"]) == 1
    assert plan_of(env) == (BLOCKED, DOWN)
    env, world = planning(max_turns=2)
    env.step(move("swim"))
    *_, terminated, truncated, info = env.step(move(write_plan(world.optimal_plan(), world.moves)))
    assert (terminated, truncated, info["stop"]) == (True, False, "answered")


def test_other_calls_are_still_refused_in_the_last_turn() -> None:
    env, _ = planning(max_turns=2, tools=["move", "crop"])
    env.step(move("swim"))
    *_, truncated, info = env.step(o3gym.crop((0, 0, 0.5, 0.5)))
    assert (truncated, info["stop"], info["error"], info["n_new"]) == (True, "over_turn", "budget", 0)


def test_an_invalid_move_beyond_max_views_is_recorded_and_not_shown() -> None:
    env, _ = planning(max_views=2)
    env.step(move("swim"))
    observation, *_, truncated, info = env.step(move("up"))
    assert (truncated, info["error"], info["n_new"]) == (False, "bad_move", 0)
    assert observation["text"].endswith("No more than 2 pictures can be shown.")
    assert len(plan_of(env)) == 2
    *_, truncated, info = env.step(move("down"))
    assert (truncated, info["stop"], info["error"]) == (True, "over_views", "budget")
    assert len(plan_of(env)) == 2


def test_max_calls_leaves_the_answer() -> None:
    env, _ = planning(max_calls=1)
    env.step(move("down"))
    *_, info = env.step(move("down"))
    assert info["error"] == "budget"
    assert len(plan_of(env)) == 1
    *_, terminated, _, info = env.step(o3gym.answer("up"))
    assert (terminated, info["stop"]) == (True, "answered")


# ── Tools, controls, copies ─────────────────────────────────────────────────────────────────────────────────────────


def test_without_an_answer_to_give_max_calls_ends_the_episode() -> None:
    env, _ = planning(max_calls=1, tools=["move"])
    env.step(move("down"))
    *_, terminated, truncated, info = env.step(move("right"))
    assert (terminated, truncated, info["stop"], info["error"]) == (False, True, "over_turn", "budget")
    assert plan_of(env) == (DOWN,)


@pytest.mark.parametrize("tool", ["move", "draw_state"])
def test_a_tool_that_may_end_the_episode_is_enough(tool: str) -> None:
    env, _ = planning(tools=[tool])
    assert list(env.tools) == [tool]


def test_no_tool_leaves_the_answer_and_needs_one() -> None:
    assert list(planning(control="no_tool")[0].tools) == ["answer"]
    with pytest.raises(ValueError, match="tools: expected one that ends the episode"):
        planning(tools=["move"], control="no_tool")


def test_blank_crop_hides_the_states_and_the_plan_goes_on() -> None:
    env, world = planning(control="blank_crop")
    plan = world.optimal_plan()
    for number in plan[:-1]:
        observation, *_ = env.step(move(world.moves[number]))
        assert (observation["images"][0] == 127).all()
    state = world.after(plan[:-1])
    observation, *_, info = env.step(draw(world, world.graph[state][plan[-1]]))
    assert all((image == 127).all() for image in observation["images"])
    assert (info["stop"], plan_of(env)) == ("answered", tuple(plan))


def test_states_of_an_older_view_do_not_undo_moves() -> None:
    env, _ = planning(tools=["move", "rotate"])
    env.step(move("down"))
    env.step(Call("rotate", {"view": 0, "angle": 90}))
    env.step(move("swim"))
    assert plan_of(env) == (DOWN, BLOCKED)


def test_a_task_of_another_suite_has_no_moves(local: str) -> None:
    env = VisualSearchEnv(local, tools=["move", "draw_state", "answer"], min_pixels=100)
    env.reset(seed=0)
    for call in (move("up"), Call("draw_state", {"picture": "?"})):
        *_, info = env.step(call)
        assert (info["error"], info["n_new"]) == ("bad_args", 0)


@pytest.mark.parametrize("suite", SUITES)
def test_the_environment_is_one_of_gymnasium(suite: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(VisualSearchEnv(suite), skip_render_check=True)
    allowed = ("A Box observation space", "not in gymnasium registry")
    assert not [str(w.message) for w in caught if not any(ok in str(w.message) for ok in allowed)]


def test_a_pickled_episode_goes_on_alike() -> None:
    env, world = planning()
    env.step(move("down"))
    twin = pickle.loads(pickle.dumps(env))
    call = draw(world, world.start)
    (first, *rest), (second, *twins) = env.step(call), twin.step(call)
    assert all(np.array_equal(a, b) for a, b in zip(first["images"], second["images"], strict=True))
    assert rest == twins
    assert env.trajectory == twin.trajectory


def test_sampled_moves_are_moves() -> None:
    env = VisualSearchEnv("planning-minibehaviour", tools=["move"])
    env.action_space.seed(0)
    assert {env.action_space.sample().args["moves"] for _ in range(50)} == {"up", "down", "left", "right"}


@pytest.mark.parametrize("suite", SUITES)
def test_rendering_shows_the_newest_state(suite: str) -> None:
    env, world = planning(suite, render_mode="rgb_array")
    env.step(draw(world, world.start))
    env.step(move("swim"))
    frame = env.render()
    assert frame is not None
    assert frame.shape == (540, 960, 3)
