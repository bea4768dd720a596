"""An episode about two generated videos, to draw and to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image, ImageDraw

from o3gym.calls import answer_with_span, clip, crop, frames
from o3gym.envs import VisualSearchEnv
from o3gym.registry import GENERATED_SIZES, GENERATORS, Registry
from o3gym.types import FULL, Source, Target, Task, Trajectory

SIZE = (160, 90)


def bar(time: float, fps: float, hue: int) -> Image.Image:
    """A bar that moves to the right."""
    image = Image.new("RGB", SIZE, (40, hue, 90))
    ImageDraw.Draw(image).rectangle((time * 4, 20, time * 4 + 12, 70), fill=(240, 230, 120))
    return image


def episode(register: Callable[[Registry, str, Any], str]) -> Trajectory:
    """A grounded question with a clip of each video, two frames and a crop of one of them."""
    register(GENERATED_SIZES, "bar", lambda fps, hue: SIZE)
    name = register(GENERATORS, "bar", bar)
    videos = tuple(
        Source("generated", name, {"fps": 2.0, "hue": hue}, duration=length)
        for hue, length in ((80, 30.0), (160, 90.0))
    )
    task = Task(
        "t",
        videos,
        "In which video is the bar faster?",
        "A",
        ("first", "second"),
        (Target(FULL, time=(4.0, 9.0)),),
        "choice",
    )
    env = VisualSearchEnv(
        tools=["frames", "clip", "crop", "answer_with_span"], min_pixels=1, max_pixels=20_000, overview_frames=8
    )
    env.reset(options={"task": task})
    for call in (
        clip(4.0, 8.0),
        clip(60.0, 75.0, 1),
        frames([5, 44]),
        crop((0.1, 0.1, 0.5, 0.9), view=3),
        answer_with_span("A", 5.0, 9.0),
    ):
        *_, info = env.step(call)
        assert info["error"] == "", env.episode.feedback
    return env.trajectory
