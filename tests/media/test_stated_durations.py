"""The length that the header of a file states, against the end of its last frame."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from o3gym.media.errors import VideoError
from o3gym.media.video_files import index_video, stated_duration
from tests.media.video_files import CLIPS, LATE, Clip, write_clip, write_sound

STATED = [clip for clip in CLIPS if clip.name in ("plain.mp4", "late.mkv", "late.ts", "variable.mkv", "one_frame.mp4")]


@pytest.mark.parametrize("clip", STATED, ids=[clip.name for clip in STATED])
def test_the_stated_length_is_that_of_the_frames(clip: Clip, tmp_path: Path) -> None:
    path = str(write_clip(tmp_path, clip))
    assert stated_duration(path) == pytest.approx(index_video(path).timeline.duration, abs=0.01)


def test_a_file_may_state_no_length_and_must_be_a_video(tmp_path: Path) -> None:
    (clip,) = [clip for clip in CLIPS if clip.name == "without_timestamps.h264"]
    assert stated_duration(str(write_clip(tmp_path, clip))) is None
    with pytest.raises(VideoError, match="expected a video stream, found audio"):
        stated_duration(str(write_sound(tmp_path / "a.m4a")))
    with pytest.raises(VideoError, match="no video at"):
        stated_duration(str(tmp_path / "none.mp4"))


def test_a_length_that_ends_before_the_first_frame_is_none(tmp_path: Path) -> None:
    path = write_clip(tmp_path, Clip("late.mkv", times=LATE))
    content = bytearray(path.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3  # Matroska's element "Duration", a double in milliseconds
    content[at : at + 8] = struct.pack(">d", 1000.0)
    path.write_bytes(content)
    assert stated_duration(str(path)) is None
    assert index_video(str(path)).timeline.duration == pytest.approx(4.0)
