"""`PlanningEnv`: Gymnasium's checks, both modes, rewards and ends of episodes, and its bad input."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

from o3gym.env_ids import PLANNING_ENVS
from o3gym.envs.planning import PlanningEnv
from o3gym.worlds import FrozenLake, Maze, draw_world

WORLD_NAMES = ("frozenlake", "maze", "minibehaviour")


@pytest.mark.parametrize("observation", ["picture", "symbols"])
@pytest.mark.parametrize("mode", ["move", "image"])
@pytest.mark.parametrize("name", PLANNING_ENVS)
def test_gymnasium_check_env(name: str, mode: str, observation: str) -> None:
    env = gym.make(name, mode=mode, observation=observation, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Symbols look like a picture of an unusual size to the checker.
        warnings.filterwarnings("ignore", message=".*It seems a Box observation space.*")
        check_env(env.unwrapped)


def test_sb3_check_env() -> None:
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_checker import check_env as sb3_check_env

    sb3_check_env(PlanningEnv(observation="picture"), warn=True)


@pytest.mark.parametrize("mode", ["move", "image"])
@pytest.mark.parametrize("name", WORLD_NAMES)
def test_optimal_plans_are_exact_in_both_modes(name: str, mode: str) -> None:
    env = PlanningEnv(name, mode=mode)
    for seed in range(4):
        _, info = env.reset(seed=seed)
        rewards = []
        for move in env.world.optimal_plan():
            action = move if mode == "move" else env.world.render(env.world.graph[env.state][move])
            observation, reward, terminated, truncated, info = env.step(action)
            assert (info["move"], info["error"]) == (move, "")
            assert np.array_equal(observation, env.world.render(env.state))
            rewards.append(reward)
        assert rewards == [1.0] * info["optimal"]
        assert (terminated, truncated, info["exact"], info["progress"], info["remaining"]) == (True, False, True, 1, 0)


@pytest.mark.parametrize("name", WORLD_NAMES)
def test_infos_agree_with_the_score_of_the_plan(name: str) -> None:
    env = PlanningEnv(name, observation="symbols")
    for seed in range(20):
        _, info = env.reset(seed=seed)
        keys, plan, ended = {key: type(value) for key, value in info.items()}, [], False
        env.action_space.seed(seed)
        while not ended:
            plan.append(int(env.action_space.sample()))
            _, reward, terminated, truncated, info = env.step(plan[-1])
            ended = terminated or truncated
            assert {key: type(value) for key, value in info.items()} == keys
            assert (reward == -5) == bool(info["error"]) == (info["move"] == -1)
        score = env.world.score_plan(plan)
        assert (info["exact"], info["progress"], terminated) == (score.exact, score.progress, score.reached)
        assert terminated or len(plan) == 2 * info["optimal"]


LAKE = FrozenLake(3, [4], start=0, target=8)


def test_invalid_moves_stay_and_are_explained() -> None:
    env = PlanningEnv(max_moves=3)
    env.reset(options={"layout": LAKE})
    _, reward, _, truncated, info = env.step(0)
    assert (reward, truncated, info["state"], info["error"]) == (-5, False, 0, "up is not possible here")
    env.step(1)
    _, reward, _, truncated, info = env.step(3)
    assert (reward, truncated, info["progress"]) == (-5, True, 0)
    with pytest.raises(ResetNeeded, match="episode has ended"):
        env.step(0)


@pytest.mark.parametrize(
    ("picture", "error"),
    [
        (LAKE.render(0), "the agent does not move to a neighbouring cell"),
        (LAKE.render(8), "the agent does not move"),
        (np.full((256, 256, 3), np.nan), "expected uint8"),
        (np.zeros((3, 256, 256), np.uint8), "expected uint8 of shape"),
        ("right", "expected an array, got str"),
    ],
)
def test_pictures_of_no_move_are_invalid_moves(picture: object, error: str) -> None:
    env = PlanningEnv(mode="image", level=3)
    env.reset(options={"layout": LAKE})
    _, reward, terminated, _, info = env.step(picture)
    assert (reward, terminated, info["state"]) == (-5, False, 0)
    assert error in info["error"]


def test_layouts_belong_to_the_split_and_can_be_chosen() -> None:
    env = PlanningEnv("maze", split="val", observation="symbols")
    for seed in range(5):
        env.reset(seed=seed)
        assert env.world.split == "val"
    env.reset(options={"layout": 5})
    assert env.world.map_key() == draw_world("maze", 5, split="val").map_key()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layot": 1}, 'unknown reset option "layot"'),
        ({"layout": -1}, "layout: expected a World or a whole number from 0 up, got -1"),
        ({"layout": "maze"}, "layout: expected a World or a whole number"),
        ({"layout": Maze(2, ((0, 2, 3), (0, 2, 3), (1, 2), (1, 3)), 0, 1)}, "layout: expected a layout of frozenlake"),
        ({"layout": FrozenLake(7, [], 0, 1)}, "layout: expected at most 6 cells per side, got 7"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlanningEnv(observation="symbols").reset(options=options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"world": "lake"}, "world"),
        ({"level": 7}, "level: expected one of 3, 4, 5, 6"),
        ({"world": "minibehaviour", "level": 3}, "level: expected one of 5, 6"),
        ({"split": "dev"}, "split"),
        ({"mode": "text"}, "mode"),
        ({"observation": "text"}, "observation"),
        ({"max_moves": 0}, "max_moves"),
        ({"render_mode": "human"}, "render_mode"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlanningEnv(**arguments)


@pytest.mark.parametrize("action", [-1, 4, 1.5, None, "up"])
def test_moves_that_do_not_exist_raise(action: object) -> None:
    env = PlanningEnv()
    for use in (lambda: env.step(0), lambda: env.state):
        with pytest.raises(ResetNeeded, match=r"call env.reset\(\) first"):
            use()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected a whole number from 0 to 3"):
        env.step(action)


@pytest.mark.parametrize("name", PLANNING_ENVS)
def test_vectors(name: str) -> None:
    envs = SyncVectorEnv([lambda: gym.make(name, observation="symbols")] * 3)
    envs.action_space.seed(0)
    envs.reset(seed=0)
    for _ in range(20):
        observations, _, _, _, infos = envs.step(envs.action_space.sample())
        assert observations in envs.observation_space
    assert infos["optimal"].shape == (3,)
    envs.close()
