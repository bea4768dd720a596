"""Measures videos, each figure against a baseline of the same run: `python benchmarks/video.py` (extra `video`).

(a) a clip of eight frames through the environment against bare PyAV; (b) sixteen rollouts with four clips each on one
film against a loop in which each rollout opens the film itself; (c) the memory of (b) against the budget.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from figures import Figure, in_turn, show
from PIL import Image

from o3gym.calls import clip
from o3gym.envs import VisualSearchEnv
from o3gym.media.images import shared_store
from o3gym.media.videos import video_source
from o3gym.types import Task

SIZE = (1280, 720)
FPS, KEY_EVERY, MINUTES = 10, 50, 5
"""The film: a key frame every five seconds, which is a usual distance."""
SECONDS, FRAMES = 4.0, 8
"""Length of a clip, and the frames that the default time rule shows of it."""
ROLLOUTS, CLIPS = 16, 4
BUDGET = 256 * 2**20
"""Bytes for decoded frames: 97 of 720p."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        film = write_film(Path(folder) / "film.mp4")
        figures = [clip_against_pyav(film), *sharing(film)]
    show("o3gym videos", figures)


def write_film(path: Path) -> Path:
    """Writes five minutes of slowly moving clouds, as hard to decode as a quiet film."""
    rng = np.random.default_rng(0)
    clouds = Image.fromarray(rng.integers(0, 256, (40, 200, 3), dtype=np.uint8)).resize(
        (6400, 1280), Image.Resampling.BICUBIC
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": str(KEY_EVERY)})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(MINUTES * 60 * FPS):
            x, y = number * 3 % (6400 - SIZE[0]), number % (1280 - SIZE[1])
            picture = clouds.crop((x, y, x + SIZE[0], y + SIZE[1]))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


def bare_clip(path: Path, start: float) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Eight evenly spaced frames of a clip, as a user of PyAV would read them: open, seek, decode."""
    wanted, frames = [start + SECONDS * number / FRAMES for number in range(FRAMES)], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        container.seek(int(start / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= wanted[len(frames)] - 1e-6:
                frames.append(frame.to_ndarray(format="rgb24"))
                if len(frames) == FRAMES:
                    break
    return frames


def starts(seed: int) -> Iterator[float]:
    """Yields the starts of clips, none of which shares frames with another."""
    places = np.random.default_rng(seed).permutation(int(MINUTES * 60 / SECONDS) - 1)
    yield from (float(place) * SECONDS for place in places)


def playing(film: Path) -> VisualSearchEnv:
    """An environment whose episode about the film has begun with a single frame, so that clips are all that counts."""
    env = VisualSearchEnv(tools=["clip", "answer"], max_turns=100, overview_frames=1)
    env.reset(options={"task": Task("film", (video_source(film),), "What is seen?", "clouds")})
    return env


def clip_against_pyav(film: Path) -> Figure:
    env, ours, theirs = playing(film), starts(0), starts(1)

    def through_the_environment() -> None:
        start = next(ours)
        observation, *_ = env.step(clip(start, start + SECONDS))
        assert len(observation["images"]) == FRAMES

    bare, environment = in_turn(lambda: bare_clip(film, next(theirs)), through_the_environment, 30)
    ratio = environment / bare
    name = f"(a) clip of 8 frames through the environment: {environment * 1000:.0f} ms"
    return Figure(name, ratio, "× bare PyAV", "≤ 1.2", ratio <= 1.2)


def sharing(film: Path) -> list[Figure]:
    """Rollouts of a group look at the same parts of a film, since they answer the same question."""
    store = shared_store()
    kept, store.budget = store.budget, BUDGET
    places = list(starts(2))[:CLIPS]
    store.forget()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def shared() -> None:
        store.forget()
        for env in [playing(film) for _ in range(ROLLOUTS)]:
            for start in places:
                env.step(clip(start, start + SECONDS))

    def alone() -> None:
        for _ in range(ROLLOUTS):
            for start in places:
                bare_clip(film, start)

    separate, together = in_turn(alone, shared, 2)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    store.budget = kept
    faster, share = separate / together, grown / BUDGET
    return [
        Figure("(b) 16 rollouts × 4 clips", faster, "× a loop that opens the film", "≥ 8", faster >= 8),
        Figure("(c) peak memory of (b)", share, "× the budget", "≤ 1.25", share <= 1.25),
    ]


if __name__ == "__main__":
    main()
