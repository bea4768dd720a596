"""Measures videos, each figure against a baseline of the same run: `python benchmarks/video.py [clips] [window]`.

`clips` (extra `video`): (a) a clip of eight frames through the environment against bare PyAV; (b) sixteen rollouts with
four clips each on one film against a loop in which each rollout opens the film itself; (c) memory against the budget.
`window` (extra `transformers`): (d) a late turn of a dialogue with a window memory against an early one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from figures import Figure, in_turn, show
from PIL import Image

from o3gym.calls import clip
from o3gym.envs import VisualSearchEnv
from o3gym.media.images import shared_store
from o3gym.media.videos import video_source
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Dialogue, Picture, Request
from o3gym.policies.window import leaving
from o3gym.registry import require
from o3gym.sampling import Sampling
from o3gym.types import FULL, EpisodeKey, Task, View

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "policies" / "local"))

SIZE, SMALL = (1280, 720), (640, 360)
FPS, KEY_EVERY, MINUTES = 10, 50, 5
"""The film: a key frame every five seconds, which is a usual distance."""
SECONDS, FRAMES = 4.0, 8
"""Length of a clip, and the frames that the default time rule shows of it."""
ROLLOUTS, CLIPS = 16, 4
BUDGET = 256 * 2**20
"""Bytes for decoded frames: 97 of 720p."""
WINDOW, SHOWN, SIDE = 2, 8, 256
"""Rounds whose pictures stay in the dialogue, pictures per round, and their side in pixels: 64 tokens each."""
EARLY, LATE, NEAR = 8, 32, 2
"""The turns that are compared, counted from 1, each with its neighbours up to `NEAR` turns away."""
WIDTH, TOWER = 2048, 1280
"""Width of a layer of the decoder and of the vision tower of Qwen2.5-VL-3B (its config.json)."""
REPLY = "<Snapshot>A</Snapshot>"


def main() -> None:
    sections: Mapping[str, Callable[[], list[Figure]]] = {"clips": clips, "window": window_cost}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"any of: {', '.join(sections)} (all)")
    chosen = parser.parse_known_args()[0].sections or list(sections)
    if unknown := [name for name in chosen if name not in sections]:
        parser.error(f"unknown section {unknown[0]}; expected any of: {', '.join(sections)}")
    show("o3gym videos", [figure for name in chosen for figure in sections[name]()], parser)


def clips() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        film = write_film(Path(folder) / "film.mp4")
        store = shared_store()
        kept, store.budget = store.budget, BUDGET
        figures = [*clip_against_pyav(film), sharing(film), memory(film)]
        store.budget = kept
        return figures


def write_film(path: Path) -> Path:
    """Writes five minutes of slowly moving clouds, as hard to decode as a quiet film."""
    av, rng = require("av", "video"), np.random.default_rng(0)
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
    with require("av", "video").open(str(path)) as container:
        stream = container.streams.video[0]
        container.seek(int(start / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= wanted[len(frames)] - 1e-6:
                frames.append(frame.to_ndarray(format="rgb24"))
                if len(frames) == FRAMES:
                    break
    return frames


def shown(frames: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], size: tuple[int, int]) -> None:
    """Reduces frames to the size at which an agent is shown them, as a user of Pillow would."""
    for pixels in frames if size != SIZE else ():
        np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def starts(seed: int) -> Iterator[float]:
    """Yields the starts of clips, none of which shares frames with another."""
    places = np.random.default_rng(seed).permutation(int(MINUTES * 60 / SECONDS) - 1)
    yield from (float(place) * SECONDS for place in places)


def playing(film: Path, pixels: int = SIZE[0] * SIZE[1]) -> VisualSearchEnv:
    """An environment whose episode about the film has begun with a single frame, so that clips are all that counts."""
    env = VisualSearchEnv(tools=["clip", "answer"], max_turns=1000, max_pixels=pixels, overview_frames=1)
    env.reset(options={"task": Task("film", (video_source(film),), "What is seen?", "clouds")})
    return env


def clip_against_pyav(film: Path) -> list[Figure]:
    """Frames as they are, and frames shown at a quarter of their pixels, which the baseline reduces with Pillow."""
    figures = []
    for size, baseline in ((SIZE, "bare PyAV"), (SMALL, "PyAV and Pillow")):
        env, ours, theirs = playing(film, size[0] * size[1]), starts(0), starts(1)

        def bare(size: tuple[int, int] = size, theirs: Iterator[float] = theirs) -> None:
            shown(bare_clip(film, next(theirs)), size)

        def through(env: VisualSearchEnv = env, ours: Iterator[float] = ours) -> None:
            start = next(ours)
            observation, *_ = env.step(clip(start, start + SECONDS))
            assert len(observation["images"]) == FRAMES

        alone, environment = in_turn(bare, through, 30)
        ratio = environment / alone
        name = f"(a) a clip of 8 frames at {size[0]}×{size[1]}: {environment * 1000:.0f} ms"
        figures.append(Figure(name, ratio, f"× {baseline}", "≤ 1.2", ratio <= 1.2))
    return figures


def sharing(film: Path) -> Figure:
    """(b) Rollouts of a group look at the same parts of a film, since they answer the same question."""
    places = list(starts(2))[:CLIPS]

    def shared() -> None:
        shared_store().forget()
        for env in [playing(film, SMALL[0] * SMALL[1]) for _ in range(ROLLOUTS)]:
            for start in places:
                env.step(clip(start, start + SECONDS))

    def alone() -> None:
        for _ in range(ROLLOUTS):
            for start in places:
                shown(bare_clip(film, start), SMALL)

    separate, together = in_turn(alone, shared, 2)
    faster = separate / together
    return Figure(
        f"(b) 16 rollouts × 4 clips at {SMALL[0]}×{SMALL[1]}",
        faster,
        "× a loop that opens the film",
        "≥ 8",
        faster >= 8,
    )


def memory(film: Path) -> Figure:
    """(c) Resident memory that is added while one rollout looks at the whole film, 1.6 GB of frames.

    It is measured in a process of its own, because memory that was used before is used again and does not show.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        share = pool.submit(added_memory, film).result() / BUDGET
    return Figure("(c) peak memory added by the whole film", share, "× the budget", "≤ 1.25", share <= 1.25)


def added_memory(film: Path) -> int:
    """Bytes by which the peak exceeds what the process has when the episode has begun."""
    shared_store().budget = BUDGET
    env = playing(film)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    for start in starts(3):
        env.step(clip(start, start + SECONDS))
    return resident("VmHWM") - before


def resident(name: str) -> int:
    """A figure of this process's memory in bytes (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def window_cost(rounds: int = 1) -> list[Figure]:
    """Measures whether a turn with a window memory costs the same at turn 32 as at turn 8.

    A randomly initialised Qwen3-VL replies through the transformers policy, with eight new pictures per turn, of which
    the last two rounds stay. It is a slice of a model of three billion parameters: one layer of its vision tower and
    one of its decoder. In a narrow model, attention to the text that stays would take more of the time than in a real
    one. In every turn the dialogue is cut, the KV cache is kept up to the cut, and the two rounds that stay are read
    again. What still grows is text: replies with their snapshots. For comparison, the number of tokens of a dialogue
    that keeps everything.
    """
    import vlm_folders

    from o3gym.policies.local.transformers import Transformers

    require("torch", "transformers").set_num_threads(1)
    times: dict[int, list[float]] = {EARLY: [], LATE: []}
    with tempfile.TemporaryDirectory() as folder:
        policy = Transformers(vlm_folders.qwen(Path(folder) / "model", "qwen3_vl", hidden=WIDTH, layers=1, tower=TOWER))
        for _ in range(rounds):
            for turn, seconds in times.items():
                seconds += turn_seconds(policy, turn)
        windowed, whole = (len(policy.encoder.opening(talk(LATE, w).messages).ids) for w in (WINDOW, None))
    # One thread computes and waits for nothing, so processor time is its time on an idle machine.
    early, late = (statistics.median(seconds) for seconds in times.values())
    name = f"(d) window of {WINDOW} rounds: turn {LATE} / turn {EARLY}"
    return [
        Figure(name, late / early, "×", "≤ 1.1", late / early <= 1.1),
        Figure(f"turn {LATE}", 1000 * late, "ms", "for reference", True),
        Figure(f"tokens at turn {LATE}", windowed, "", "for reference", True),
        Figure(f"tokens at turn {LATE}, everything kept", whole, "", "for reference", True),
    ]


def talk(turn: int, window: int | None) -> Dialogue:
    """A dialogue that waits for the reply of a turn; turn 0 is before the first round."""
    dialogue = Dialogue()
    dialogue.add("system", ["You look."])
    dialogue.add("user", ["When does the car turn left?"])
    for number in range(1, turn + 1):
        another_round(dialogue, number, window)
    return dialogue


def another_round(dialogue: Dialogue, number: int, window: int | None) -> None:
    dialogue.add("assistant", [REPLY])
    dialogue.add("user", [*(noise(SHOWN * number + place) for place in range(SHOWN)), "Go on."])
    if changes := leaving(dialogue.messages, window):
        dialogue.cut(changes)


def turn_seconds(policy: Policy, turn: int) -> list[float]:
    """The processor seconds of some turns around `turn`. The policy meets the dialogue one turn before them."""
    dialogue, key, seconds = talk(turn - NEAR - 1, WINDOW), ("arm", f"{turn}", 0, "main"), list[float]()
    reply_to(policy, key, dialogue)
    for number in range(turn - NEAR, turn + NEAR + 1):
        another_round(dialogue, number, WINDOW)
        start = time.process_time()
        reply_to(policy, key, dialogue)
        seconds.append(time.process_time() - start)
    policy.release(key)
    return seconds


def reply_to(policy: Policy, key: EpisodeKey, dialogue: Dialogue) -> None:
    policy.submit(Request(key, dialogue, Sampling(choices=(REPLY,))))
    ((_, reply),) = policy.poll()
    assert reply.text == REPLY, reply


def noise(index: int) -> Picture:
    pixels = np.random.default_rng(index).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Picture(View(index, 0, FULL, (SIDE, SIDE), (SIDE, SIDE)), lambda: pixels)


if __name__ == "__main__":
    main()
