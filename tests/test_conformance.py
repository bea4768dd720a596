"""Everything registered passes the checks that o3gym ships for plug-ins, and every environment Gymnasium's own."""

from __future__ import annotations

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import o3gym
from o3gym import testing
from o3gym.registry import DIALECTS, ENVS, POLICIES, RELEASED_ENVS, SUITES, TOOLS, stands_alone
from o3gym.suites.base import make_suite
from o3gym.suites.synthetic import DIFFICULTIES, FAMILIES
from o3gym.types import Call
from tests.suites.released.released_files import written

SLOW = ("hard",)
IDS = [name for name in ENVS if not any(word in name for word in SLOW)]
ALLOWED = ("A Box observation space", "not in gymnasium registry")
"""Warnings of Gymnasium's checker that are no fault; any other fails."""


def environment(name: str, **kwargs) -> gym.Env:
    """Small pictures keep the conformance run short; the geometry is the same at every size."""
    if name in RELEASED_ENVS:
        suite_args = {"data": str(written(RELEASED_ENVS[name]["suite"]))}
        return gym.make(name, suite_args=suite_args, min_pixels=100, max_pixels=60_000, **kwargs)
    small = {"megapixels": "0.6-1", "share": 2e-3} if "Collage" in name else {"pixels": 200_000}
    suite_args = {**ENVS[name].get("suite_args", {}), **small}
    return gym.make(name, suite_args=suite_args, min_pixels=1000, max_pixels=60_000, **kwargs)


def test_ids_are_the_families_and_difficulties_of_the_suite() -> None:
    expected = {f"o3gym/Synthetic-{f}-{d}-v0" for f in FAMILIES for d in DIFFICULTIES}
    assert set(ENVS) == {"o3gym/VisualSearch-v0", "o3gym/Collage-v0", *expected}
    assert all(name in gym.registry for name in (*ENVS, *RELEASED_ENVS))
    assert {kwargs["suite"] for kwargs in RELEASED_ENVS.values()} == set(SUITES) - {"synthetic", "local", "collage"}


@pytest.mark.parametrize("name", [*ENVS, *RELEASED_ENVS])
def test_gymnasium_check_env(name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(environment(name).unwrapped, skip_render_check=True)
    assert not [str(w.message) for w in caught if not any(ok in str(w.message) for ok in ALLOWED)]


@pytest.mark.parametrize("name", [*ENVS, *RELEASED_ENVS])
def test_two_instances_repeat_each_other_bit_by_bit(name: str) -> None:
    first, second = (testing.random_steps(environment(name), count=8, seed=1) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("mode", ["rgb_array", "human"])
@pytest.mark.parametrize("name", IDS[:4])
def test_every_render_mode(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = environment(name, render_mode=mode)
    env.reset(seed=0)
    env.step(o3gym.crop((0.0, 0.0, 0.5, 0.5)))
    frame = env.render()
    assert frame is None if mode == "human" else frame.shape == (540, 960, 3)
    env.close()


@pytest.mark.parametrize("name", [*IDS, *RELEASED_ENVS])
def test_pickled_environments_go_on_alike(name: str) -> None:
    env = environment(name).unwrapped
    env.reset(seed=3)
    twin = pickle.loads(pickle.dumps(env))
    call = o3gym.crop((0.2, 0.2, 0.9, 0.7))
    (a, *rest), (b, *twins) = env.step(call), twin.step(call)
    assert np.array_equal(a["images"][0], b["images"][0])
    assert rest == twins


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("name", [IDS[0], "o3gym/Synthetic-region-easy-v0"])
def test_vectors_equal_single_environments(name: str, mode: str) -> None:
    kwargs = {"shared_memory": False} if mode == "async" else {}
    small = {
        "suite_args": {**ENVS[name].get("suite_args", {}), "pixels": 200_000},
        "max_pixels": 60_000,
        "min_pixels": 1000,
    }
    envs = gym.make_vec(name, num_envs=2, vectorization_mode=mode, vector_kwargs=kwargs, **small)
    observation, _ = envs.reset(seed=5)
    calls = (o3gym.crop((0.0, 0.0, 0.5, 0.5)), Call("zoom", {"center": [0.5, 0.5]}))
    stepped, rewards, *_ = envs.step(calls)
    for index, call in enumerate(calls):
        env = environment(name)
        alone, _ = env.reset(seed=5 + index)
        assert np.array_equal(observation["images"][index][0], alone["images"][0])
        alone, reward, *_ = env.step(call)
        assert np.array_equal(stepped["images"][index][0], alone["images"][0])
        assert rewards[index] == reward
    envs.close()


@pytest.mark.parametrize("name", TOOLS)
def test_tools(name: str) -> None:
    if name != "noop":
        testing.check_tool(TOOLS[name]())


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(name: str) -> None:
    testing.check_dialect(DIALECTS[name]())


@pytest.mark.parametrize("name", [name for name in POLICIES if stands_alone(POLICIES[name])])
def test_policies(name: str) -> None:
    testing.check_policy(POLICIES[name]())


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("family", FAMILIES)
def test_synthetic_tasks(family: str, split: str) -> None:
    testing.check_suite(make_suite("synthetic", split, family=family, pixels=200_000), count=12)
