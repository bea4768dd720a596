"""`TextTurns`: any text is legal, and the dialect's words reach the agent."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import o3gym
from o3gym.dialects.base import make_dialect
from o3gym.envs import TextTurns
from o3gym.envs.spaces import TextSpace
from o3gym.registry import DIALECTS
from o3gym.rewards.recipes import make_recipe
from o3gym.rewards.settle import settle

SMALL = {"suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 20_000}}
LOOK = o3gym.crop((0.0, 0.0, 0.5, 0.5))


def make(dialect: str = "mini_o3", **options: Any) -> TextTurns:
    return TextTurns(gym.make("o3gym/VisualSearch-v0", **{**SMALL, **options}), dialect)


def reply(env: TextTurns, call: o3gym.Call) -> str:
    return env.dialect.format(call, env.unwrapped.views)  # type: ignore[attr-defined]


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if {"crop", "answer"} <= {*DIALECTS[name].tools}])
def test_every_dialect_searches_and_answers(dialect: str) -> None:
    env = make(dialect)
    observation, info = env.reset(seed=3)
    task = env.unwrapped.episode.task  # type: ignore[attr-defined]
    assert task.question in observation["text"]
    assert observation["text"].count("<image>") == len(observation["images"]) == 1
    assert info["system"] == make_dialect(dialect).system(env.unwrapped.tools, task)  # type: ignore[attr-defined]
    assert info["system"] not in observation["text"]
    observation, reward, terminated, truncated, info = env.step(reply(env, LOOK))
    assert (info["error"], reward, terminated, truncated) == ("", 0.0, False, False)
    assert observation["text"].count("<image>") == len(observation["images"]) == 1
    observation, reward, terminated, truncated, info = env.step(reply(env, o3gym.answer(task.answer)))
    assert (info["stop"], reward, terminated, observation["images"]) == ("answered", 1.0, True, ())


def test_a_region_search_ends_with_a_box() -> None:
    env = make("insight_o3", suite_args={"family": "region", "difficulty": "easy", "pixels": 20_000})
    env.reset(options={"task": next(t for t in env.unwrapped.suite if t.targets)})  # type: ignore[attr-defined]
    box = env.unwrapped.episode.task.targets[0].box  # type: ignore[attr-defined]
    _, reward, terminated, _, info = env.step(reply(env, o3gym.locate(box)))
    assert (info["stop"], terminated) == ("located", True)
    assert reward > 0.5


@pytest.mark.parametrize("text", ["", "漢字 \ud800 <tool_call>", "A" * 500_000])
def test_any_text_is_an_observation(text: str) -> None:
    env = make("deepeyes", on_void="continue")
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(text)
    assert info["error"] in ("void", "parse")
    assert (observation["images"], reward, terminated, truncated) == ((), 0.0, False, False)
    assert observation["text"]


@pytest.mark.parametrize("action", [LOOK, None, b"text"])
def test_anything_but_text_raises(action: Any) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(TypeError, match="expected a reply as text"):
        env.step(action)


def test_info_has_the_same_keys_and_types_all_along() -> None:
    env = make(on_void="continue")
    _, first = env.reset(seed=0)
    for text in ("nonsense", reply(env, LOOK), reply(env, o3gym.answer("A"))):
        *_, info = env.step(text)
        assert {key: type(value) for key, value in info.items()} == {key: type(value) for key, value in first.items()}
        assert info["system"] == first["system"]


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
def test_check_env() -> None:
    check_env(make(on_void="continue"), skip_render_check=True)


def test_the_record_has_the_replies_and_can_be_settled() -> None:
    env = make("deepeyes", reward="deepeyes")
    env.reset(seed=1)
    task = env.unwrapped.episode.task  # type: ignore[attr-defined]
    texts = [reply(env, LOOK), reply(env, o3gym.answer(task.answer))]
    for text in texts:
        *_, info = env.step(text)
    assert info["reward_pending"]
    record = env.trajectory
    assert [turn.reply.text for turn in record.turns] == texts
    assert record.dialect == "deepeyes"
    [[settled]] = settle([[record]], make_recipe("deepeyes"))
    assert settled.verdict == "correct"
    assert settled.reward == pytest.approx(2.0)
    env.reset(seed=2)
    assert env.trajectory.turns == ()


def test_pickle_goes_on_with_the_episode() -> None:
    env = make()
    env.reset(seed=5)
    text = reply(env, LOOK)
    env.step(text)
    copy: TextTurns = pickle.loads(pickle.dumps(env))
    assert copy.trajectory == env.trajectory
    ours, theirs = env.step(text), copy.step(text)
    assert ours[1:] == theirs[1:]
    assert ours[0]["text"] == theirs[0]["text"]
    assert np.array_equal(ours[0]["images"][0], theirs[0]["images"][0])


def test_its_spec_builds_it_again() -> None:
    spec = make("deepeyes").spec
    assert spec is not None
    again = gym.make(spec)
    assert isinstance(again, TextTurns)
    assert again.dialect.name == "deepeyes"
    assert again.action_space == TextSpace()


def test_another_environment_is_refused() -> None:
    with pytest.raises(TypeError, match="expected an o3gym environment, got CartPoleEnv"):
        TextTurns(gym.make("CartPole-v1"), "mini_o3")  # type: ignore[arg-type]


@pytest.mark.parametrize("vector", [SyncVectorEnv, partial(AsyncVectorEnv, shared_memory=False)], ids=["sync", "async"])
def test_vectors(vector: Callable[..., gym.vector.VectorEnv[Any, Any, Any]]) -> None:
    envs = vector([partial(make, on_void="continue")] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    single = make(on_void="continue")
    try:
        observations, infos = envs.reset(seed=7)
        alone, _ = single.reset(seed=8)
        assert observations["text"][1] == alone["text"]
        assert all(isinstance(system, str) for system in infos["system"])
        text = reply(single, LOOK)
        observations, _, _, _, infos = envs.step(("nonsense", text))
        alone, *_ = single.step(text)
        assert list(infos["error"]) == ["void", ""]
        assert np.array_equal(observations["images"][1][0], alone["images"][0])
        assert observations["text"][1] == alone["text"]
    finally:
        envs.close()
