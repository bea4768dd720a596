"""Videos in the environment: frames as views, calls for frames and clips, and answers that are intervals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym.calls import answer, answer_with_span, clip, crop, frames, locate_span, reuse
from o3gym.envs import VisualSearchEnv
from o3gym.media.errors import PictureError
from o3gym.media.images import ImageStore, RegionRequest
from o3gym.media.pixels import Pixels
from o3gym.media.videos import frame_source, read_frames, video_source
from o3gym.registry import GENERATED_SIZES, GENERATORS, Registry
from o3gym.types import FULL, Call, Source, Target, Task, Trajectory
from tests.media.video_files import Clip, picture, write_clip

FPS = 4.0
TOOLS = ["frames", "clip", "crop", "reuse", "answer", "locate_span", "answer_with_span"]


def clock(time: float, fps: float) -> Image.Image:
    """The red value is the number of the frame."""
    return Image.new("RGB", (40, 30), (round(time * fps), 0, 0))


@pytest.fixture
def video(register: Callable[[Registry, str, Any], str]) -> Source:
    register(GENERATED_SIZES, "clock", lambda fps: (40, 30))
    return Source("generated", register(GENERATORS, "clock", clock), {"fps": FPS}, duration=20.0)


def started(task: Task, **arguments: Any) -> tuple[VisualSearchEnv, Any]:
    env = VisualSearchEnv(tools=TOOLS, min_pixels=1, max_pixels=5000, **arguments)
    observation, _ = env.reset(options={"task": task})
    return env, observation


def reds(observation: Any) -> list[int]:
    return [int(pixels[0, 0, 0]) for pixels in observation["images"]]


def test_evenly_spaced_frames_are_shown_first(video: Source) -> None:
    env, observation = started(Task("t", (video,), "When?", kind="span"), overview_frames=4)
    assert reds(observation) == [0, 20, 40, 60]
    assert [(v.video, v.frame, v.time, v.parent) for v in env.views][:2] == [
        (0, 0, (0.0, 0.25), -1),
        (0, 20, (5.0, 5.25), -1),
    ]
    assert [env.trajectory.sources[v.source].args["number"] for v in env.views] == [0, 20, 40, 60]


def test_a_picture_and_two_videos_in_one_task(video: Source, make_source: Callable[..., Source]) -> None:
    other = Source("generated", video.ref, {"fps": 2.0}, duration=10.0)
    env, observation = started(Task("t", (make_source(40, 30), video, other), "Which?", "x"), overview_frames=2)
    assert [v.video for v in env.views] == [None, 1, 1, 2, 2]
    assert reds(observation)[1:] == [0, 40, 0, 10]
    observation, *_ = env.step(clip(2.0, 3.0, video=2))
    assert reds(observation) == [4, 5]
    assert [(v.video, v.parent) for v in env.views[5:]] == [(2, 3), (2, 3)]
    *_, info = env.step(clip(2.0, 3.0, video=0))
    assert info["error"] == "bad_view"
    assert "videos have the numbers 1, 2" in env.episode.feedback


def test_frames_are_shown_by_their_numbers_in_the_order_of_time(video: Source) -> None:
    env, _ = started(Task("t", (video,), "When?", kind="span"), overview_frames=2)
    observation, _, _, _, info = env.step(frames([7, 3, 3, 40]))
    assert reds(observation) == [3, 7, 40]
    assert (info["error"], info["n_new"]) == ("", 3)
    assert len(env.episode.sources) == 1 + 2 + 2  # frame 40 was among the first and is not listed twice


def test_a_clip_shows_as_many_frames_as_the_rule_says(video: Source) -> None:
    env, _ = started(Task("t", (video,), "When?", kind="span"), overview_frames=1)
    assert reds(env.step(clip(5.0, 7.0))[0]) == [20, 22, 24, 26]  # two a second
    assert len(env.step(clip(0.0, 20.0))[0]["images"]) == 16
    assert reds(env.step(clip(-3.0, 1.0))[0]) == [0, 2]  # moved into the video


def test_frames_can_be_cropped_and_shown_again(video: Source) -> None:
    env, _ = started(Task("t", (video,), "When?", kind="span"), overview_frames=2)
    observation, *_ = env.step(crop((0.0, 0.0, 0.5, 0.5), view=1))
    assert reds(observation) == [40]
    assert (env.views[2].native, env.views[2].time, env.views[2].frame) == ((20, 15), (10.0, 10.25), 40)
    observation, *_ = env.step(reuse(1))
    assert (env.views[3].box, env.views[3].frame) == (FULL, 40)


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (clip(3.0, 3.0), "bad_time", "no length"),
        (clip(9.0, 3.0), "bad_time", "no length"),
        (clip(30.0, 40.0), "bad_time", r"starts after the end of the video, at 20\.00 s"),
        (clip(1.0, 2.0, video=3), "bad_view", "there is no video 3"),
        (clip(float("nan"), 2.0), "bad_args", "two finite numbers"),
        (Call("clip", {"span": ["1", "2"]}), "bad_args", "two finite numbers"),
        (frames([80]), "bad_time", "there is no frame 80; frames are 0 to 79"),
        (frames([-1]), "bad_time", "there is no frame -1"),
        (frames(range(17)), "bad_time", "17 frames are too many; at most 16"),
        (Call("frames", {"numbers": ["1"]}), "bad_args", "list of 1 to 1024 whole numbers"),
        (Call("frames", {"numbers": list(range(10**6))}), "bad_args", "list of 1 to 1024 whole numbers"),
        (locate_span(5.0, 5.0), "bad_time", "no length"),
    ],
)
def test_impossible_calls_are_observations(video: Source, call: Call, error: str, reason: str) -> None:
    env, _ = started(Task("t", (video,), "When?", kind="span"), overview_frames=2)
    observation, _, terminated, _, info = env.step(call)
    assert (info["error"], terminated, observation["images"]) == (error, False, ())
    assert re.search(reason, observation["text"]), observation["text"]


def test_calls_for_videos_need_one(make_source: Callable[..., Source]) -> None:
    env, _ = started(Task("t", (make_source(40, 30),), "What?", "x"))
    for call in (clip(0.0, 1.0), frames([0]), answer_with_span("x", 0.0, 1.0)):
        assert env.step(call)[4]["error"] in ("bad_view", "bad_args")
        assert "no video" in env.episode.feedback


def test_an_interval_ends_a_temporal_grounding(video: Source) -> None:
    env, _ = started(Task("t", (video,), "When?", kind="span", targets=(Target(FULL, time=(4.0, 8.0)),)))
    assert env.step(answer("at four"))[4]["error"] == "bad_args"
    _, reward, terminated, _, info = env.step(locate_span(6.0, 99.0))
    assert (terminated, info["stop"]) == (True, "located")
    record = Trajectory.from_json(env.trajectory.to_json())
    assert (record.span, record.answer, record.located) == ((6.0, 20.0), "[6.0, 20.0]", None)
    assert reward == pytest.approx(2.0 / 16.0)


def test_a_grounded_question_is_answered_with_an_interval(video: Source) -> None:
    env, _ = started(Task("t", (video,), "Which?", "B", choices=("a", "b"), kind="choice"))
    _, reward, terminated, _, _ = env.step(answer_with_span("B", 4.0, 8.0))
    assert (terminated, reward, env.trajectory.answer, env.trajectory.span) == (True, 1.0, "B", (4.0, 8.0))


def test_controls_change_clips(video: Source) -> None:
    task = Task("t", (video,), "When?", kind="span", targets=(Target(FULL, time=(4.0, 8.0)),))
    env, _ = started(task, control="oracle_crop", overview_frames=1)
    assert reds(env.step(clip(15.0, 16.0))[0]) == list(range(16, 32, 2))
    env, _ = started(task, control="blank_crop", overview_frames=1)
    observation, *_ = env.step(clip(15.0, 16.0))
    assert [np.unique(pixels).tolist() for pixels in observation["images"]] == [[127], [127]]
    env, _ = started(task, control="random_crop", overview_frames=1)
    seen = [reds(env.step(call)[0]) for call in (clip(15.0, 16.0), clip(15.0, 16.0), frames([1, 2, 3]))]
    assert [len(numbers) for numbers in seen] == [2, 2, 3]
    assert seen[0] != seen[1]


def test_rules_differ_in_what_they_refuse(video: Source) -> None:
    expected = {"o3gym": "", "paravt": "", "vital": "bad_time", "longvt": "bad_time", "frame_thinker": ""}
    for rule, error in expected.items():
        env, _ = started(Task("t", (video,), "When?", kind="span"), time_rule=rule)
        assert env.step(clip(15.0, 25.0))[4]["error"] == error, rule
    env, _ = started(Task("t", (video,), "When?", kind="span"), time_rule="vital")
    assert [env.step(clip(1.0, end))[4]["error"] for end in (2.0, 2.1)] == ["bad_time", ""]
    env, _ = started(Task("t", (video,), "When?", kind="span"), time_rule="pixel_reasoner")
    assert len(env.views) == 16
    assert [env.step(frames(n))[4]["error"] for n in ([0, 5], [1], range(0, 45, 5))] == ["", "bad_time", "bad_time"]


def test_a_file_is_decoded_once_for_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path, Clip("plain.mp4"))
    task = Task("t", (video_source(path),), "When?", kind="span")
    passes = []

    def counted(video: Source, numbers: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
        passes.append(list(numbers))
        yield from read_frames(video, numbers)

    monkeypatch.setattr("o3gym.media.images.read_frames", counted)
    for _ in range(3):
        env, observation = started(task, overview_frames=4)
        env.step(clip(1.0, 3.0))
    expected = [picture(number, (64, 48), False)[0, 0, 2] for number in (0, 10, 20, 30)]
    assert [int(pixels[5, 5, 2]) for pixels in observation["images"]] == pytest.approx(list(map(int, expected)), abs=12)
    assert [numbers for numbers in passes if numbers] == [[0, 10, 20, 30], [15, 25]]


def test_frames_beyond_the_budget_are_decoded_in_batches(video: Source) -> None:
    store = ImageStore(budget=4 * 3 * 3 * 40 * 30)
    shown = store.regions([RegionRequest(frame_source(video, number)) for number in range(10)])
    assert [int(pixels[0, 0, 0]) for pixels in shown] == list(range(10))
    assert store.used <= store.budget


@pytest.mark.parametrize("content", [b"", b"no video", b"\0\0\0\x18ftypmp42"])
def test_a_broken_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    task = Task("t", (Source("file", str(path), duration=3.0),), "When?", kind="span")
    with pytest.raises(PictureError, match=r"broken\.mp4"):
        started(task)


def test_a_video_that_is_deleted_during_an_episode_is_named(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Clip("gone.mp4"))
    env, _ = started(Task("t", (video_source(path),), "When?", kind="span"), overview_frames=2)
    path.unlink()
    with pytest.raises(PictureError, match=r"gone\.mp4"):
        env.step(clip(1.0, 2.0))


def test_the_same_video_may_be_shown_twice(video: Source) -> None:
    env, _ = started(Task("t", (video, video), "Which?", "A", ("first", "second"), kind="choice"), overview_frames=2)
    assert [view.video for view in env.views] == [0, 0, 1, 1]
    env.step(clip(2.0, 3.0, video=1))
    env.step(crop((0.0, 0.0, 0.5, 0.5), view=4))
    assert [(view.video, view.parent) for view in env.views[4:]] == [(1, 2), (1, 2), (1, 4)]


def test_an_overview_beyond_the_budget_is_decoded_once_for_a_group(
    video: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, passes = ImageStore(budget=8 * 3 * 40 * 30), []

    def counted(source: Source, numbers: Sequence[int]) -> Iterator[tuple[int, Pixels]]:
        passes.extend(numbers)
        yield from read_frames(source, numbers)

    monkeypatch.setattr("o3gym.media.images.read_frames", counted)
    wanted = [RegionRequest(frame_source(video, number), size=(8, 6)) for number in range(20)]
    for _ in range(3):
        assert [int(pixels[0, 0, 0]) for pixels in store.regions(wanted)] == list(range(20))
    assert passes == list(range(20))
    assert store.used <= store.budget
