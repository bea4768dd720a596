"""`PlanningEnv` under Gymnasium: vectors repeat single environments, wrappers work, and copies go on alike."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, RecordEpisodeStatistics, TimeLimit

from o3gym.env_ids import PLANNING_ENVS
from o3gym.envs.planning import PlanningEnv

LAKE = "o3gym/Planning-FrozenLake-v0"


def alone(name: str, seed: int, actions: list[int], **options: Any) -> list[tuple[Any, ...]]:
    """Steps of one environment, which is reset instead of stepped after an episode's end, as vectors do."""
    env = gym.make(name, **options)
    observation, info = env.reset(seed=seed)
    steps: list[tuple[Any, ...]] = [(observation, 0.0, False, False, info)]
    for action in actions:
        if steps[-1][2] or steps[-1][3]:
            observation, info = env.reset()
            steps.append((observation, 0.0, False, False, info))
        else:
            steps.append(env.step(action))
    return steps


@pytest.mark.parametrize("name", PLANNING_ENVS)
@pytest.mark.parametrize(("mode", "observation"), [("sync", "symbols"), ("async", "symbols"), ("sync", "picture")])
def test_vectors_give_the_same_episodes_as_single_environments(name: str, mode: str, observation: str) -> None:
    options: dict[str, Any] = {"observation": observation, "max_moves": 6}
    envs = gym.make_vec(name, num_envs=4, vectorization_mode=mode, **options)
    rng = np.random.default_rng(0)
    actions = rng.integers(0, envs.single_action_space.n, (30, 4))  # type: ignore[attr-defined]
    singles = [alone(name, 7 + i, actions[:, i].tolist(), **options) for i in range(4)]
    observations, infos = envs.reset(seed=7)
    stepped: tuple[Any, ...] = (observations, np.zeros(4), np.zeros(4, bool), np.zeros(4, bool), infos)
    for number in range(len(actions) + 1):
        for i in range(4):
            seen, reward, terminated, truncated, info = singles[i][number]
            assert np.array_equal(stepped[0][i], seen)
            assert (stepped[1][i], stepped[2][i], stepped[3][i]) == (reward, terminated, truncated)
            assert {key: stepped[4][key][i] for key in info} == info
        if number < len(actions):
            stepped = envs.step(actions[number])
    envs.close()


def test_asynchronous_vectors_take_pictures_as_actions() -> None:
    single = PlanningEnv(mode="image", level=3)
    envs = gym.make_vec(LAKE, num_envs=2, vectorization_mode="async", mode="image", level=3)
    envs.reset(seed=3)
    pictures = []
    for i in range(2):
        single.reset(seed=3 + i)
        move = single.world.optimal_plan()[0]
        pictures.append(single.world.render(single.world.graph[single.state][move]))
    observations, rewards, *_ = envs.step(np.stack(pictures))
    assert rewards.tolist() == [1, 1]
    assert np.array_equal(observations, np.stack(pictures))
    envs.close()


def test_usual_wrappers_work() -> None:
    env = RecordEpisodeStatistics(TimeLimit(FlattenObservation(gym.make(LAKE, level=4, observation="symbols")), 3))
    observation, _ = env.reset(seed=0, options={"layout": 3})
    assert observation.shape == (16,)
    assert observation in env.observation_space
    for _ in range(3):
        _, reward, _, truncated, info = env.step(0)
    assert truncated
    assert info["episode"]["l"] == 3
    assert info["episode"]["r"] <= reward


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("options", [{}, {"layouts": 4}, {"mode": "image"}], ids=["any", "few", "image"])
@pytest.mark.parametrize("name", PLANNING_ENVS)
def test_copies_in_the_middle_of_an_episode_go_on_alike(name: str, options: dict[str, Any], duplicate: Any) -> None:
    env = gym.make(name, render_mode="rgb_array", **options)
    env.reset(seed=5)
    env.action_space.seed(5)
    env.step(env.action_space.sample())
    twin = duplicate(env)
    for _ in range(3):
        action = env.action_space.sample()
        assert np.array_equal(env.render(), twin.render())
        (seen, *rest), (same, *others) = env.step(action), twin.step(action)
        assert np.array_equal(seen, same)
        assert rest == others
        if rest[1] or rest[2]:
            assert np.array_equal(env.reset()[0], twin.reset()[0])


def test_copies_take_no_pictures_along() -> None:
    env = PlanningEnv(observation="symbols", render_mode="rgb_array")
    env.reset(seed=0)
    env.render()
    assert len(pickle.dumps(env)) < 20_000
