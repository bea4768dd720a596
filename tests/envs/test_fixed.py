"""`FixedCanvas` and `GridActions`: fixed shapes in, numbers out, and nothing that a trainer would trip over."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import o3gym
from o3gym.envs import FixedCanvas, GridActions
from o3gym.envs.fixed import embed, letterbox

HIDDEN = {"family": "hidden", "difficulty": "easy", "pixels": 144 * 144}


def plain(**options: Any) -> gym.Env[Any, Any]:
    return gym.make("o3gym/VisualSearch-v0", **{"suite_args": HIDDEN, **options})


def make(**options: Any) -> GridActions:
    return GridActions(FixedCanvas(plain(**options), size=(48, 40)), grid=4)


def task_of(env: gym.Env[Any, Any]) -> o3gym.Task:
    task: o3gym.Task = env.unwrapped.episode.task  # type: ignore[attr-defined]
    return task


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("env", [make(), FixedCanvas(plain()), GridActions(plain())], ids=["both", "canvas", "grid"])
def test_gymnasium_check_env(env: gym.Env[Any, Any]) -> None:
    check_env(env, skip_render_check=True)


def test_sb3_check_env() -> None:
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_checker import check_env as sb3_check_env

    sb3_check_env(make(), warn=True, skip_render_check=True)


@pytest.mark.parametrize("vector", ["DummyVecEnv", "SubprocVecEnv"])
def test_sb3_vectors_agree_with_a_single_environment(vector: str) -> None:
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    envs = getattr(vec_env, vector)([make, make])
    single = make()
    try:
        envs.seed(7)
        envs.reset()
        expected, _ = single.reset(seed=8)
        for action in (5, 3, 15):
            observations, *_ = envs.step(np.array([0, action]))
            expected, *_ = single.step(action)
            assert all(np.array_equal(observations[key][1], expected[key]) for key in expected)
    finally:
        envs.close()


def test_the_canvas_shows_the_newest_view_and_keeps_it_after_an_invalid_call() -> None:
    env = FixedCanvas(plain(), size=(48, 40))
    first, _ = env.reset(seed=0)
    assert np.array_equal(first["view"], first["overview"])
    assert first["box"].tolist() == [0, 0, 1, 1]
    assert first["turns_left"] == 1
    second, *_ = env.step(o3gym.crop((0.5, 0.25, 1.0, 0.75)))
    assert second["box"].tolist() == [0.5, 0.25, 1.0, 0.75]
    assert not np.array_equal(second["view"], first["view"])
    assert np.array_equal(second["overview"], first["overview"])
    third, *_, info = env.step(o3gym.reuse(17))
    assert info["error"] == "bad_view"
    assert np.array_equal(third["view"], second["view"])
    assert np.array_equal(third["box"], second["box"])
    assert third["turns_left"] == pytest.approx(4 / 6)
    again, _ = env.reset(seed=0)
    assert all(np.array_equal(again[key], first[key]) for key in first)


def test_observations_share_no_memory() -> None:
    env = make()
    before, _ = env.reset(seed=0)
    for array in before.values():
        array[...] = 0
    after, *_ = env.step(0)
    assert after["overview"].any()
    assert after["options"].any()


def test_options_stand_in_letter_order_and_missing_ones_are_zero() -> None:
    env = FixedCanvas(plain(), words=24)
    observation, _ = env.reset(options={"task": next(t for t in env.unwrapped.suite if len(t.choices) == 4)})  # type: ignore[attr-defined]
    task = task_of(env)
    slots = observation["options"].reshape(6, 24)
    assert all(np.array_equal(slot, embed(text, 24)) for slot, text in zip(slots, task.choices, strict=False))
    assert not slots[4:].any()
    assert np.array_equal(observation["question"], embed(task.question, 24))


def test_a_task_with_too_many_options_is_refused() -> None:
    env = FixedCanvas(plain(), max_options=2)
    with pytest.raises(ValueError, match=r"max_options: task .* has"):
        env.reset(seed=0)


def test_running_out_of_turns_is_an_end_and_not_a_cut() -> None:
    env = make(max_turns=2)
    env.reset(seed=0)
    env.step(0)
    observation, reward, terminated, truncated, info = env.step(1)
    assert (reward, terminated, truncated, info["stop"]) == (0.0, True, False, "over_turn")
    assert observation["turns_left"] == 0


@pytest.mark.parametrize(
    ("shape", "filled"),
    [((10, 20), np.s_[12:36, :]), ((20, 10), np.s_[:, 12:36]), ((48, 48), np.s_[:, :]), ((1, 300), np.s_[23:24, :])],
)
def test_letterbox_keeps_proportions(shape: tuple[int, int], filled: Any) -> None:
    canvas = letterbox(np.full((*shape, 3), 200, np.uint8), (48, 48))
    assert canvas.shape == (48, 48, 3)
    assert (canvas[filled] == 200).all()
    canvas[filled] = 0
    assert not canvas.any()


def test_embed_is_a_bag_of_words() -> None:
    assert np.array_equal(embed("What colour?", 32), embed("colour, WHAT", 32))
    assert not embed("…", 32).any()
    assert set(embed("star", 256)) == {-1.0, 1.0}
    colours = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "black"]
    assert np.linalg.matrix_rank(np.array([embed(colour, 32) for colour in colours])) == len(colours)


def test_embed_is_the_same_in_every_process() -> None:
    code = "from o3gym.envs.fixed import embed; print(embed('a red star', 8).tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(embed("a red star", 8).tolist())


def test_actions_are_cells_in_reading_order_then_options() -> None:
    env = GridActions(plain(max_turns=20), grid=4)
    env.reset(seed=0)
    assert env.call(1) == o3gym.crop((0.25, 0.0, 0.5, 0.25))
    assert env.call(4) == o3gym.crop((0.0, 0.25, 0.25, 0.5))
    assert env.call(15) == o3gym.crop((0.75, 0.75, 1.0, 1.0))
    assert env.call(16) == o3gym.answer("A")
    *_, info = env.step(np.int64(15))
    assert info["box"] == (0.75, 0.75, 1.0, 1.0)
    letter = "ABCDEF".index(task_of(env).answer)
    _, reward, terminated, _, info = env.step(16 + letter)
    assert (reward, terminated, info["stop"]) == (1.0, True, "answered")


def test_an_option_that_does_not_exist_is_an_invalid_call() -> None:
    env = GridActions(plain(), grid=2, max_options=8)
    env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(2 * 2 + 7)
    assert (info["error"], reward, terminated, truncated) == ("bad_args", 0.0, False, False)
    assert observation["images"] == ()


@pytest.mark.parametrize("action", [-1, 22])
def test_numbers_outside_of_the_space_raise(action: int) -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected a number in"):
        env.step(action)


def test_what_the_wrappers_refuse() -> None:
    region = plain(suite_args={"family": "region", "difficulty": "easy"})
    with pytest.raises(ValueError, match='GridActions needs "answer"'):
        GridActions(region)
    with pytest.raises(ValueError, match="grid"):
        GridActions(plain(), grid=0)
    with pytest.raises(ValueError, match="words"):
        FixedCanvas(plain(), words=257)
    with pytest.raises(ValueError, match="max_options: expected a whole number from 1 up, got 0"):
        FixedCanvas(plain(), max_options=0)
    with pytest.raises(ValueError, match="height of size: expected a whole number from 1 up, got 0"):
        FixedCanvas(plain(), size=(96, 0))
    with pytest.raises(TypeError, match="expected an o3gym environment"):
        FixedCanvas(gym.make("CartPole-v1"))


def test_pickle_goes_on_with_the_episode() -> None:
    env = make()
    env.reset(seed=1)
    env.step(3)
    copy = pickle.loads(pickle.dumps(env))
    ours, theirs = env.step(21), copy.step(21)
    assert all(np.array_equal(ours[0][key], theirs[0][key]) for key in ours[0])
    assert ours[1:] == theirs[1:]


def test_its_spec_builds_it_again() -> None:
    spec = make().spec
    assert spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(spec.to_json()))
    assert again.observation_space == make().observation_space
    assert again.action_space == make().action_space


def test_sb3_is_not_imported() -> None:
    code = "import sys, o3gym.envs; sys.exit(any(m in sys.modules for m in ('torch', 'stable_baselines3')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
