"""`PlanningVectorEnv`: the episodes of Gymnasium's own vectors, in a few processes."""

from __future__ import annotations

import gc
import os
import pickle
import signal
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from o3gym.env_ids import PLANNING_ENVS
from o3gym.envs.planning import PlanningEnv
from o3gym.envs.planning_vector import PlanningVectorEnv


def same(one: Any, other: Any) -> bool:
    """Whether values are equal, arrays also in their types."""
    return pickle.dumps(one) == pickle.dumps(other)


@pytest.mark.parametrize(("number", "workers"), [(1, None), (5, 2), (3, 8)])
def test_it_repeats_the_vector_of_gymnasium(number: int, workers: int | None) -> None:
    options: dict[str, Any] = {"observation": "symbols", "max_moves": 4, "render_mode": "rgb_array"}
    ours = PlanningVectorEnv("minibehaviour", number, workers, **options)
    theirs = SyncVectorEnv([lambda: PlanningEnv("minibehaviour", **options)] * number)
    assert ours.action_space == theirs.action_space
    assert ours.observation_space == theirs.observation_space
    assert ours.metadata == theirs.metadata
    ours.action_space.seed(0)
    (seen, infos), (expected, expected_infos) = (envs.reset(seed=3) for envs in (ours, theirs))
    for _ in range(14):
        assert np.array_equal(seen, expected)
        assert seen in ours.observation_space
        assert infos.keys() == expected_infos.keys()
        assert all(same(infos[key].tolist(), expected_infos[key].tolist()) for key in infos)
        assert all(infos[key].dtype == expected_infos[key].dtype for key in infos)
        actions = ours.action_space.sample()
        (seen, *rest, infos), (expected, *others, expected_infos) = (envs.step(actions) for envs in (ours, theirs))
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(rest, others, strict=True))
    assert all(map(np.array_equal, ours.render() or (), theirs.render() or ()))
    ours.close()


def test_it_is_what_gymnasium_makes_unless_told_otherwise() -> None:
    for name in PLANNING_ENVS:
        envs = gym.make_vec(name, num_envs=3, workers=1, mode="image", level=5)
        assert isinstance(envs, PlanningVectorEnv)
        observations, _ = envs.reset(seed=[4, None, 6])
        stepped = envs.step(observations)
        assert np.array_equal(stepped[0], observations)
        assert stepped[1].tolist() == [-5] * 3
        envs.close()


def test_wrappers_of_vectors_work() -> None:
    envs = RecordEpisodeStatistics(PlanningVectorEnv("maze", 2, 1, max_moves=2, observation="symbols"))
    envs.reset(seed=0)
    for _ in range(2):
        *_, infos = envs.step(np.array([0, 0]))
    assert infos["episode"]["l"].tolist() == [2, 2]
    assert envs.render() is None
    envs.close()


def test_errors_reach_the_caller_and_the_vector_goes_on() -> None:
    envs = PlanningVectorEnv(num_envs=3, workers=2, observation="symbols")
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected a whole number from 0 to 3, got "):
        envs.step(np.array([0, 0, 9]))
    with pytest.raises(ValueError, match=r"actions: expected whole numbers of shape \(3,\), got int64 of shape \(2,\)"):
        envs.step(np.array([0, 0]))
    with pytest.raises(ValueError, match="actions: expected whole numbers"):
        envs.step(np.zeros(3))
    with pytest.raises(ValueError, match='unknown reset option "layot"'):
        envs.reset(options={"layot": 1})
    with pytest.raises(ValueError, match="seed: expected a whole number or 3 of them, got \\[1, 2\\]"):
        envs.reset(seed=[1, 2])
    _, infos = envs.reset(options={"layout": 2})
    assert len(set(infos["optimal"])) == 1
    envs.close()
    envs.close()
    assert not any(process.is_alive() for process in envs._processes)


def test_processes_end_with_a_vector_that_nobody_closed() -> None:
    envs = PlanningVectorEnv(num_envs=2, workers=2, observation="symbols")
    envs.reset(seed=0)
    processes = envs._processes
    del envs
    gc.collect()
    for process in processes:
        process.join(10)
        assert process.exitcode == 0


@pytest.mark.parametrize("dead", [0, 1])
def test_a_process_that_died_closes_the_vector(dead: int, capfd: pytest.CaptureFixture[str]) -> None:
    envs = PlanningVectorEnv(num_envs=3, workers=2, observation="symbols")
    envs.reset(seed=0)
    os.kill(envs._processes[dead].pid or 0, signal.SIGKILL)
    envs._processes[dead].join()
    numbers = ("0 to 0", "1 to 2")[dead]
    with pytest.raises(RuntimeError, match=f"the process of environments {numbers} has ended with exit code -9"):
        envs.step(np.zeros(3, int))
    assert envs.closed
    with pytest.raises(ClosedEnvironmentError):
        envs.reset()
    assert capfd.readouterr().err == ""  # the other process ends without a word


def test_an_interrupted_step_closes_the_vector_so_that_no_reply_is_taken_for_a_later_one() -> None:
    class Interrupted:
        def send(self, _message: object) -> None:
            raise KeyboardInterrupt

        def close(self) -> None: ...

    envs = PlanningVectorEnv(num_envs=2, workers=2, observation="symbols")
    envs.reset(seed=0)
    os.kill(envs._processes[0].pid or 0, signal.SIGINT)  # the terminal sends it to all processes
    envs.step(np.zeros(2, int))
    pipe = envs._pipes[1]
    envs._pipes[1] = Interrupted()  # type: ignore[call-overload]
    pipe.close()
    with pytest.raises(KeyboardInterrupt):
        envs.step(np.zeros(2, int))
    assert envs.closed
    assert not any(process.is_alive() for process in envs._processes)


def test_a_closed_vector_says_so() -> None:
    envs = PlanningVectorEnv(num_envs=1, observation="symbols", render_mode="rgb_array")
    envs.close()
    for use in (envs.reset, lambda: envs.step(np.zeros(1, int)), envs.render):
        with pytest.raises(ClosedEnvironmentError, match="closed"):
            use()


def test_an_action_that_is_no_picture_of_bytes_is_refused_instead_of_cut_down_to_bytes() -> None:
    envs = PlanningVectorEnv(num_envs=1, mode="image")
    observations, _ = envs.reset(seed=0)
    with pytest.raises(ValueError, match="actions: expected uint8 of shape"):
        envs.step(observations.astype(np.int64) + 256)
    envs.close()


def test_a_seed_that_is_none_of_gymnasiums_is_an_error() -> None:
    envs = PlanningVectorEnv(num_envs=2, workers=1, observation="symbols")
    seeds: list[Any] = [np.int64(0), [], np.array([3, 4, 5])]
    for seed in seeds:
        with pytest.raises(ValueError, match="seed: expected a whole number or 2 of them"):
            envs.reset(seed=seed)
    envs.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"num_envs": 0}, "num_envs"), ({"workers": 0}, "workers"), ({"level": 9}, "level"), ({"world": "x"}, "world")],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}: expected"):
        PlanningVectorEnv(**arguments)
