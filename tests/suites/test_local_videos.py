"""Rows of `local` with videos: files, folders of frames, pairs, intervals, and what can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from o3gym.calls import answer_with_span, clip, locate_span
from o3gym.envs import VisualSearchEnv
from o3gym.suites.base import BadTask, SuiteError, make_suite
from o3gym.suites.local import Local
from o3gym.types import FULL, Target
from tests.media.video_files import Clip, write_clip, write_sound

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video of four seconds, a folder of eight frames, and broken ones of both."""
    folder = tmp_path_factory.mktemp("videos")
    write_clip(folder, Clip("a.mp4"))
    write_clip(folder, Clip("b.mkv", times=range(0, 2000, 100)))
    write_sound(folder / "sound.mp4")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "cut.mp4").write_bytes((folder / "a.mp4").read_bytes()[:700])
    for name in ("frames", "torn", "linked", "bare"):
        (folder / name).mkdir()
    for number in range(8):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(folder / "frames" / f"{number:03}.png")
    (folder / "torn" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "linked" / "0.png").symlink_to("/etc/hostname")
    Image.new("RGB", (100, 50)).save(folder / "a.png")
    return folder


@pytest.fixture
def write(clips: Path, tmp_path: Path) -> Write:
    """Writes rows into a file next to the videos; `images` names their folder."""

    def make(*rows: dict[str, Any]) -> Path:
        path = tmp_path / "index.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
        return path

    return make


@pytest.fixture
def opened(clips: Path, write: Write) -> Callable[..., Local]:
    return lambda *rows, **options: Local(str(write(*rows)), images=str(clips), **options)


def row(**fields: Any) -> dict[str, Any]:
    given = {"video": "a.mp4", "question": "Which?", "answer": "red", **fields}
    return {key: value for key, value in given.items() if value is not ...}


def test_the_kind_follows_from_the_fields(opened: Callable[..., Local], clips: Path) -> None:
    suite = opened(
        row(),
        row(options=["red", "blue"], answer="B", span=[1, 2.5]),
        row(answer=..., span=[3.2, 3.9]),
        row(answer=..., spans=[[0, 1], {"span": [2, 3], "label": "again"}]),
    )
    free, choice, span, twice = suite
    assert [task.kind for task in suite] == ["free", "choice", "span", "span"]
    assert suite.kinds == {"free", "choice", "span"}
    assert (suite.has_videos, suite.shortest_video) == (True, 4.0)
    assert (free.sources[0].ref, free.sources[0].duration, free.targets) == (str(clips / "a.mp4"), 4.0, ())
    assert choice.targets == (Target(FULL, time=(1.0, 2.5)),)
    assert (span.answer, span.targets) == ("", (Target(FULL, time=(3.2, 3.9)),))
    assert twice.targets[1] == Target(FULL, 0, "again", (2.0, 3.0))
    assert (suite.grounded, suite.measure) == (False, "grounding")  # one answer has no interval


def test_answers_with_intervals_are_grounded(opened: Callable[..., Local]) -> None:
    suite = opened(row(span=[1, 2]), row(spans=[[0, 1]]), row(answer=..., span=[0, 1]))
    assert (suite.grounded, suite.measure) == (True, "grounding")
    assert [task.origin.get("grounded") for task in suite] == [True, True, None]
    env = VisualSearchEnv(suite=f"local:{suite.file}", suite_args={"images": str(suite.folder)}, overview_frames=2)
    assert set(env.tools) == {"clip", "frames", "crop", "zoom", "reuse", "answer_with_span", "locate_span"}
    env.reset(options={"task": 0})
    assert env.step(clip(1.0, 2.0))[4]["n_new"] == 2
    assert env.step(answer_with_span("red", 1.0, 2.0))[1] == 1.0
    env.reset(options={"task": 2})
    assert env.step(locate_span(0.0, 2.0))[1] == pytest.approx(0.5)


def test_without_videos_nothing_changes(opened: Callable[..., Local]) -> None:
    suite = opened(row(video=..., image="a.png"))
    assert (suite.grounded, suite.measure, suite.has_videos, suite.shortest_video) == (False, "", False, 1.0)


def test_frames_pairs_and_pictures_with_videos(opened: Callable[..., Local], clips: Path) -> None:
    suite = opened(
        row(video="frames", fps=4, span=[0, 2.1]),
        row(video=..., videos=["a.mp4", "b.mkv"], options=["first", "second"], answer="A"),
        row(image="a.png", boxes=[[0, 0, 50, 25], {"box": [0, 0, 32, 24], "video": 0, "time": [1, 2]}]),
        row(boxes=[{"box": [0, 0, 32, 24], "time": [1, 2], "label": "it"}]),
    )
    frames, pair, mixed, boxed = suite
    assert (frames.sources[0].args, frames.sources[0].duration) == ({"fps": 4.0}, 2.0)
    assert frames.targets[0].time == (0.0, 2.0)  # an end that is rounded up is clipped
    assert [source.duration for source in pair.sources] == [4.0, 2.0]
    assert [source.duration for source in mixed.sources] == [None, 4.0]
    assert mixed.targets == (Target((0.0, 0.0, 0.5, 0.5)), Target((0.0, 0.0, 0.5, 0.5), 1, "", (1.0, 2.0)))
    assert boxed.targets == (Target((0.0, 0.0, 0.5, 0.5), 0, "it", (1.0, 2.0)),)
    assert suite.shortest_video == 2.0


@pytest.mark.parametrize(
    ("fields", "field", "expected"),
    [
        ({"video": "none.mp4"}, "video", "an existing file or folder of frames"),
        ({"video": "empty.mp4"}, "video", "a readable video"),
        ({"video": "cut.mp4"}, "video", "a readable video"),
        ({"video": "sound.mp4"}, "video", "a readable video"),
        ({"video": "a.png\0"}, "video", "a path of a file"),
        ({"video": 3}, "video", "a path or a list of paths"),
        ({"video": [], "image": "a.png"}, "video", "a path or a list of paths"),
        ({"video": ..., "videos": ["a.mp4", "none.mp4"]}, "videos", "an existing file"),
        ({"video": "/etc/hostname"}, "video", "a file below"),
        ({"video": "../a.mp4"}, "video", "a file below"),
        ({"video": "frames"}, "fps", "the frame rate of the frames in frames as a number above 0, got None"),
        ({"video": "frames", "fps": 0}, "fps", "a number above 0, got 0"),
        ({"video": "frames", "fps": "4"}, "fps", "a number above 0"),
        ({"video": "frames", "fps": True}, "fps", "a number above 0"),
        ({"fps": 4}, "fps", "no frame rate"),
        ({"video": ..., "image": "a.png", "fps": 4}, "fps", "a video that consists of frames"),
        ({"video": "bare", "fps": 4}, "video", "a folder with readable frames"),
        ({"video": "torn", "fps": 4}, "video", "a folder with readable frames"),
        ({"video": "linked", "fps": 4}, "video", "a file below"),
        ({"span": [3, 2]}, "span", "0 <= start < end within the 4.00 seconds"),
        ({"span": [2, 2]}, "span", "0 <= start < end"),
        ({"span": [-1, 2]}, "span", "0 <= start < end"),
        ({"span": [1, 4.5]}, "span", "0 <= start < end"),
        ({"span": [5, 6]}, "span", "0 <= start < end"),
        ({"span": [1, float("nan")]}, "span", "two numbers in seconds"),
        ({"span": [1, float("inf")]}, "span", "two numbers in seconds"),
        ({"span": ["1", "2"]}, "span", "two numbers in seconds"),
        ({"span": [1, 2, 3]}, "span", "two numbers in seconds"),
        ({"span": "1-2"}, "span", "two numbers in seconds"),
        ({"span": {"video": 1, "span": [1, 2]}}, "span", "a video index from 0 to 0"),
        ({"spans": []}, "spans", "at least one interval"),
        ({"spans": [1, 2]}, "spans", "two numbers in seconds"),
        ({"span": [1, 2], "spans": [[1, 2]]}, "spans", 'either "span" or "spans"'),
        ({"video": ..., "image": "a.png", "span": [1, 2]}, "span", "a video in the row"),
        ({"answer": ...}, "answer", "the answer (or a span, for temporal grounding)"),
        ({"answer": ..., "boxes": [[0, 0, 9, 9]]}, "answer", "boxes in a row with videos are evidence"),
        (
            {"answer": ..., "video": ..., "videos": ["a.mp4", "b.mkv"], "spans": [{"span": [0, 1], "video": 1}]},
            "spans",
            "an interval of the first video",
        ),
        ({"boxes": [{"box": [0, 0, 9, 9], "time": [3, 9]}]}, "boxes", "0 <= start < end"),
        ({"boxes": [{"box": [0, 0, 9, 9], "video": 2}]}, "boxes", "a video index from 0 to 0"),
        ({"boxes": [[0, 0, 65, 9]]}, "boxes", "inside the picture"),
        ({"videoes": ["a.mp4"]}, "videoes", 'the field "videos"'),
        ({"span ": [1, 2]}, "span ", 'the field "span"'),
    ],
)
def test_a_bad_row_is_named(opened: Callable[..., Local], fields: dict[str, Any], field: str, expected: str) -> None:
    suite = opened(row(), row(**fields))
    with pytest.raises(BadTask) as caught:
        suite[1]
    assert (caught.value.row, caught.value.field) == ("line 2", field)
    assert expected in str(caught.value)


def test_a_video_elsewhere_needs_a_root(clips: Path, write: Write) -> None:
    path = write(row(video=str(clips / "a.mp4")))
    with pytest.raises(SuiteError, match=r"roots= names further folders"):
        Local(str(path))
    assert Local(str(path), roots=str(clips))[0].sources[0].duration == 4.0


def test_the_fingerprint_changes_with_a_frame(write: Write, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / "frames" / f"{number}.png")
    suite = make_suite(f"local:{write(row(video='frames', fps=2))}")
    before = suite.fingerprint()
    Image.new("RGB", (8, 9)).save(tmp_path / "frames" / "1.png")
    after = suite.fingerprint()
    assert before["file_sha256"] == after["file_sha256"]
    assert before["pictures_sha256"] != after["pictures_sha256"]
