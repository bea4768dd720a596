from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import CustomSpaceError
from gymnasium.vector import AutoresetMode

import o3gym
from o3gym.types import Call

ID = "o3gym/VisualSearch-v0"
MODES = {"sync": {}, "async": {"shared_memory": False}}
SCRIPT = [
    (o3gym.crop((0.0, 0.0, 0.5, 0.5)), o3gym.zoom((0.5, 0.5), 2.0)),
    (o3gym.crop((0.5, 0.5, 0.5, 0.5)), o3gym.reuse(1)),
    (o3gym.answer("B"), o3gym.crop((0.1, 0.1, 0.2, 0.2), view=1)),
]


def arguments(local: str) -> dict[str, Any]:
    return {"suite": local, "min_pixels": 100, "max_pixels": 2500, "max_turns": 4, "on_void": "continue"}


def same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(params=list(MODES))
def vector(request: pytest.FixtureRequest, local: str) -> Any:
    made = gym.make_vec(
        ID, num_envs=2, vectorization_mode=request.param, vector_kwargs=MODES[request.param], **arguments(local)
    )
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_vector_gives_what_single_environments_give_and_restarts_by_itself(vector: Any, local: str) -> None:
    singles = [gym.make(ID, **arguments(local)) for _ in range(2)]
    observations, infos = vector.reset(seed=21)
    alone = [env.reset(seed=21 + i) for i, env in enumerate(singles)]
    for step, calls in enumerate([None, *SCRIPT]):
        if calls is not None:
            observations, rewards, terminations, truncations, infos = vector.step(calls)
            alone = [env.step(call) for env, call in zip(singles, calls, strict=True)]
            assert rewards.tolist() == [a[1] for a in alone]
            assert terminations.tolist() == [a[2] for a in alone] == [step == 3, False]
            assert truncations.tolist() == [a[3] for a in alone] == [False, False]
        for i in range(2):
            assert same(observations["images"][i], alone[i][0]["images"])
            assert observations["text"][i] == alone[i][0]["text"]
            for key in ("task_id", "turn", "view", "error", "stop", "n_new"):
                assert infos[key][i] == alone[i][-1][key]
            assert tuple(infos["box"][i]) == alone[i][-1]["box"]
            assert infos["reward_terms"]["outcome"][i] == alone[i][-1]["reward_terms"]["outcome"]
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    observations, rewards, terminations, _, infos = vector.step((o3gym.reuse(0), o3gym.answer("x")))
    observation, info = singles[0].reset()
    assert same(observations["images"][0], observation["images"])
    assert (rewards[0], terminations.tolist(), infos["turn"].tolist()) == (0.0, [False, True], [0, 4])
    assert infos["task_id"][0] == info["task_id"]
    for env in singles:
        env.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_sampled_batches_of_calls_can_be_stepped(vector: Any) -> None:
    vector.action_space.seed(2)
    vector.reset(seed=0)
    for _ in range(12):
        calls = vector.action_space.sample()
        assert all(isinstance(call, Call) for call in calls)
        observations, _, _, _, _ = vector.step(calls)
        assert vector.observation_space.contains(observations)


def test_shared_memory_is_refused_loudly(local: str) -> None:
    with pytest.raises((TypeError, CustomSpaceError), match="shared_memory"):
        gym.make_vec(ID, num_envs=2, vectorization_mode="async", **arguments(local))
