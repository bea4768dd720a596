from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym.media.errors import PictureError, VideoError
from o3gym.media.images import ORIENTATION, ImageStore
from o3gym.media.pixels import Pixels
from o3gym.media.timeline import Timeline
from o3gym.media.videos import frame_source, frame_under, read_frames, timeline_of, video_source
from o3gym.registry import GENERATED_SIZES, GENERATORS, Registry
from o3gym.types import Source
from tests.media.video_files import Clip, picture, write_clip


def clock(time: float, fps: float, width: int) -> Image.Image:
    """A generated video: the red value is the time in tenths of a second."""
    return Image.new("RGB", (width, 4), (round(time * 10), 0, 0))


@pytest.fixture
def generated(register: Callable[[Registry, str, Any], str]) -> Source:
    register(GENERATED_SIZES, "clock", lambda fps, width: (width, 4))
    return Source("generated", register(GENERATORS, "clock", clock), {"fps": 5.0, "width": 6}, duration=4.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(7):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(tmp_path / f"{number:03}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    return tmp_path


def reds(video: Source, numbers: list[int]) -> list[tuple[int, int]]:
    return [(number, image[0, 0, 0].item()) for number, image in read_frames(video, numbers)]


def test_a_folder_of_pictures_is_a_video(folder: Path) -> None:
    video = video_source(folder, fps=2)
    assert (video.duration, len(timeline_of(video)), timeline_of(video).size) == (3.5, 7, (6, 4))
    assert timeline_of(video).span(3) == (1.5, 2.0)
    assert reds(video, [6, 0, 3]) == [(0, 0), (3, 3), (6, 6)]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("number", [0, 4])
def test_a_broken_frame_of_a_folder_is_named(folder: Path, number: int, content: bytes) -> None:
    video = video_source(folder, fps=2)
    (folder / f"{number:03}.png").write_bytes(content)
    with pytest.raises(PictureError, match=rf"{number:03}\.png: broken frame"):
        ImageStore().frames(video, [1, 4])


def test_a_frame_of_another_size_is_named(folder: Path, tmp_path: Path) -> None:
    video = video_source(folder, fps=2)
    Image.new("RGB", (9, 4)).save(folder / "004.png")
    with pytest.raises(PictureError, match=r"004\.png: expected a frame of 6×4 pixels like the first, got 9×4"):
        ImageStore().frames(video, [1, 4])
    small = write_clip(tmp_path, Clip("small.ts", times=range(0, 1000, 100)))
    large = write_clip(tmp_path, Clip("large.ts", size=(96, 48), times=range(1000, 2000, 100)))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(PictureError, match=r"joined\.ts, frame 15: expected a frame of 64×48 pixels like the first"):
        ImageStore().frames(video_source(joined), [15])


@pytest.mark.parametrize("count", [6, 8])
def test_a_folder_that_lost_or_gained_a_frame_is_named(folder: Path, count: int) -> None:
    video = video_source(folder, fps=2)
    for number in range(7):
        (folder / f"{number:03}.png").unlink()
    for number in range(count):
        Image.new("RGB", (6, 4)).save(folder / f"{number:03}.png")
    with pytest.raises(PictureError, match=rf"{folder.name}: expected 7 frames, found {count}"):
        ImageStore().frames(video, [2, 6])


def test_frames_of_a_folder_stand_upright(folder: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for number in range(7):
        Image.new("RGB", (6, 4)).save(folder / f"{number:03}.png", exif=exif)
    video = video_source(folder, fps=2)
    assert timeline_of(video).size == (4, 6)
    (frame,) = ImageStore().frames(video, [3])
    assert ImageStore().region(frame).shape == (6, 4, 3)


def test_a_generated_video_needs_no_file(generated: Source) -> None:
    timeline = timeline_of(generated)
    assert (len(timeline), timeline.duration, timeline.size) == (20, 4.0, (6, 4))
    assert timeline.span(19) == (3.8, 4.0)
    assert reds(generated, [19, 2]) == [(2, 4), (19, 38)]


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Clip("plain.mp4"))
    assert len(timeline_of(video_source(path))) == 40
    write_clip(tmp_path, Clip("plain.mp4", times=range(0, 700, 100)))
    video = video_source(path)
    assert (len(timeline_of(video)), video.duration) == (7, pytest.approx(0.7))
    assert [number for number, _ in read_frames(video, [5, 5, 1])] == [1, 5]


def test_a_frame_is_a_derived_picture_of_its_video(generated: Source) -> None:
    frame = frame_source(generated, 3)
    assert (frame.kind, frame.parent, dict(frame.args)) == ("derived", generated, {"number": 3})
    assert frame_source(generated, 3) == frame != frame_source(generated, 4)


@pytest.mark.parametrize(
    ("start", "end", "fps", "count", "expected"),
    [
        (0.0, 4.0, 1.0, 64, [0, 10, 20, 30]),
        (0.0, 4.0, 2.0, 4, [0, 10, 20, 30]),  # the cap spreads the frames over the clip
        (1.05, 1.06, 2.0, 64, [10]),  # never empty
        (1.0, 1.3, 100.0, 64, [10, 11, 12]),  # no frame occurs twice
        (3.5, 4.0, 4.0, 64, [35, 37]),
    ],
)
def test_clips_are_sampled_evenly(start: float, end: float, fps: float, count: int, expected: list[int]) -> None:
    timeline = Timeline(np.arange(40) / 10, 4.0, (6, 4))
    assert timeline.evenly(start, end, fps, count) == expected


def test_what_cannot_be_a_video_is_named(folder: Path, generated: Source, tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        (lambda: video_source(folder), "expected the frame rate of a folder of frames as a number above 0, got None"),
        (lambda: video_source(folder, fps=float("nan")), "a number above 0, got nan"),
        (lambda: video_source(folder, fps=5e-324), "a frame rate at which it ends, got 5e-324"),
        (lambda: video_source(tmp_path / "000.png", fps=2), "fps is meant for folders of frames"),
        (lambda: video_source(tmp_path / "none.mp4"), r"no video at .*none\.mp4"),
        (lambda: timeline_of(Source.file("a.png")), r"a\.png: expected a video, got a picture"),
        (lambda: list(read_frames(generated, [1, 20])), "clock: expected frames from 0 to 19, got 1 to 20"),
        (lambda: list(read_frames(generated, [-1])), "got -1 to -1"),
    ]
    for act, message in cases:
        with pytest.raises(VideoError, match=message):
            act()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(VideoError, match=r"empty: expected pictures \(\.jpg, .*\), found none"):
        video_source(empty, fps=2)


def test_the_store_decodes_a_clip_once_for_all_who_look_at_it(
    folder: Path, generated: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[list[int]] = []

    def counted(video: Source, numbers: list[int]) -> Iterator[tuple[int, Pixels]]:
        passes.append(list(numbers))
        yield from read_frames(video, numbers)

    monkeypatch.setattr("o3gym.media.images.read_frames", counted)
    store = ImageStore()
    with ThreadPoolExecutor(8) as rollouts:
        clips = list(rollouts.map(lambda _: store.frames(generated, [7, 2, 7]), range(8)))
    assert clips == [[frame_source(generated, 2), frame_source(generated, 7)]] * 8
    assert [store.region(frame).max() for frame in clips[0]] == [4, 14]
    assert store.frames(generated, [2, 3, 7])[1] == frame_source(generated, 3)
    assert [numbers for numbers in passes if numbers] == [[2, 7], [3]]


def test_a_frame_is_looked_at_like_a_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Clip("odd_size.mkv", "ffv1", "bgr0", (63, 47), options={}))
    store, frame = ImageStore(), frame_source(video_source(path), 12)
    assert store.size(frame) == (63, 47)
    assert store.used == 0  # the size is known without decoding
    whole = store.region(frame)
    assert np.array_equal(whole, picture(12, (63, 47), alpha=False))
    assert np.array_equal(store.region(frame, (0.2, 0.5, 0.6, 1.0)), whole[23:, 12:38])
    store.forget()
    assert np.array_equal(store.region(frame), whole)


def test_frames_stay_within_the_budget_and_come_back(generated: Source) -> None:
    store = ImageStore(budget=3 * 6 * 4 * 3)
    frames = store.frames(generated, list(range(10)))
    assert store.used <= store.budget
    assert [store.region(frame).max() for frame in frames] == [2 * number for number in range(10)]


def test_what_cannot_be_read_is_a_picture_error(generated: Source, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    broken = Source("file", str(tmp_path / "text.mp4"), duration=3.0)
    for act in (
        lambda: ImageStore().frames(broken, [0]),
        lambda: ImageStore().size(frame_source(broken, 0)),
        lambda: ImageStore().region(frame_source(broken, 0)),
    ):
        with pytest.raises(PictureError, match=r"text\.mp4: broken video"):
            act()
    with pytest.raises(PictureError, match="expected frames from 0 to 19, got 99 to 99"):
        ImageStore().frames(generated, [99])


def test_a_picture_of_code_is_no_frame_although_its_task_is_about_one(generated: Source) -> None:
    frame = frame_source(generated, 3)
    turned = Source.derived(frame, "rotate", None)
    assert frame_under(turned) == frame
    made = Source.made(b"", frame)
    assert frame_under(made) is None
    assert frame_under(Source.derived(made, "rotate", None)) is None
