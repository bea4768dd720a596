"""Small synthetic episodes and scenes for the conformance checks, for tests and for first looks."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from o3gym.dialects.base import make_dialect
from o3gym.geometry import fit
from o3gym.media.images import shared_store
from o3gym.media.videos import frame_source, timeline_of
from o3gym.policies.base import Policy
from o3gym.registry import SIZE_RULES, TIME_RULES
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.tools.base import ToolContext
from o3gym.types import FULL, Source, Task, TaskKind, Trajectory, View
from o3gym.worlds.drawing import draw_world
from o3gym.worlds.records import state_source

SCENE = Source.generated("synthetic", family="attribute", difficulty="easy", seed=0, pixels=160_000)
LAKE = state_source(draw_world("frozenlake", 0, 4))
"""The start of an episode of visual planning."""
FILM = Source(
    "generated",
    "synthetic_video",
    {"family": "event", "difficulty": "easy", "seed": 0, "seconds": 8.0, "fps": 4.0},
    duration=8.0,
)
"""A film of eight seconds."""
HOSTILE = (
    "",
    "\x00",
    "<" * 5000,
    "{" * 5000,
    '<tool_call>{"name": 1, "arguments": []}</tool_call>',
    "<answer>" * 500,
    "<grounding>{</grounding>",
    '{"bbox_2d": [1e999, NaN, -1, "x"]}',
    '<answer>{"span": [NaN, "1e999"]}</answer>',
    '<tool_call>{"name": "frames", "arguments": {"numbers": ["one", -1, 1e999]}}</tool_call>',
    "漢字 😀 \ud800",
)
"""Replies that a dialect must survive, and answers that a judge must."""


def expect(ok: bool, otherwise: str) -> None:
    """Raises AssertionError with the message `otherwise` unless `ok`."""
    if not ok:
        raise AssertionError(otherwise)


def expect_type(value: object, base: type, what: str) -> None:
    """Raises AssertionError unless `value` is an instance of `base`."""
    expect(isinstance(value, base), f"{what}: expected a {base.__module__}.{base.__name__}, got {value!r:.80}")


def play(policy: Policy, episodes: int, **env: Any) -> list[Trajectory]:
    """Plays a few small episodes of `policy`, of its trial suite or synthetic; they are not settled yet."""
    suite_args = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
    synthetic = {"suite": "synthetic", "suite_args": suite_args, "min_pixels": 1000, "max_pixels": 40_000}
    arguments: dict[str, Any] = {"suite": policy.trial_suite} if policy.trial_suite else synthetic
    arguments |= {**policy.env, **env}
    arm = Arm("play", arguments, sampling=Sampling(max_tokens=256))
    jobs = [Job(index, str(index)) for index in range(episodes)]
    return sorted(rollout(jobs, policy, make_dialect(policy.dialect or "qwen3_vl"), arm), key=lambda t: int(t.group))


def random_steps(env: gym.Env[Any, Any], count: int = 20, seed: int = 0) -> list[Any]:
    """Returns everything that `count` random steps return, pixels as bytes, and closes the environment.

    The environment is reset, without a seed, where an episode ends.
    """
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    returned: list[Any] = []
    for _ in range(count):
        returned.append((_comparable(observation), info))
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        returned.append((reward, terminated, truncated))
        if terminated or truncated:
            observation, info = env.reset()
    env.close()
    return returned


def _comparable(observation: Any) -> Any:
    """An observation, which is an array or has pictures and a text, with pixels as bytes."""
    if isinstance(observation, np.ndarray):
        return observation.tobytes()
    return [picture.tobytes() for picture in observation["images"]], observation["text"]


def sample_context(kind: TaskKind = "free", video: bool = False, source: Source = SCENE) -> ToolContext:
    """Returns a tool's view of an episode that has just begun: one picture, `source`, and a task of this kind.

    With `video`, there is a synthetic film instead, of which four frames have been shown.
    """
    size_of = shared_store().size
    if video:
        rules = (SIZE_RULES["o3gym"], TIME_RULES["o3gym"].with_overview(4))
        task = Task("check", (FILM,), "What is it?", "x", kind=kind)
        numbers = rules[1].first_frames(timeline_of(FILM))
        frames = tuple(frame_source(FILM, number) for number in numbers)
        views = tuple(_frame_view(i, number) for i, number in enumerate(numbers))
        return ToolContext(task, (*task.sources, *frames), views, size_of, *rules)
    task = Task("check", (source,), "What is it?", "x", kind=kind)
    native = size_of(source)
    first = View(0, 0, FULL, native, fit(native, 1000, 40_000))
    return ToolContext(task, task.sources, (first,), size_of, SIZE_RULES["o3gym"], TIME_RULES["o3gym"])


def _frame_view(index: int, number: int) -> View:
    """The view of a frame of `FILM` that is shown at reset as picture `index`."""
    native = shared_store().size(frame_source(FILM, number))
    time = timeline_of(FILM).span(number)
    return View(index, index + 1, FULL, native, fit(native, 1000, 40_000), time=time, video=0, frame=number)
