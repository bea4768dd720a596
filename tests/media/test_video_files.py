from __future__ import annotations

import random
from array import array
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from o3gym.media.errors import VideoError
from o3gym.media.video_files import index_video, read_video, stated_duration
from tests.media.video_files import CLIPS, COUNT, IRREGULAR, Clip, picture, write_clip, write_sound


def decoded_in_order(path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """All frames, decoded from the first to the last by PyAV alone, as they are stored."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgba"), np.uint8) for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {clip.name: write_clip(folder, clip) for clip in CLIPS}


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_any_frames_in_one_pass_are_the_frames_of_a_decoding_in_order(clip: Clip, files: dict[str, Path]) -> None:
    path = files[clip.name]
    frames = decoded_in_order(path)
    index = index_video(str(path))
    assert len(index.timeline) == len(frames) == len(clip.times)
    rng = random.Random(clip.name)
    for count in (1, 1, 4, 9):
        last = len(frames) - 1
        numbers = sorted({last, *rng.sample(range(len(frames)), min(count, len(frames)))})
        read = dict(read_video(str(path), index, numbers))
        assert list(read) == numbers
        for number, image in read.items():
            stored = frames[number]
            white = stored[..., 3:] / 255 if clip.alpha else 1.0
            expected = np.rot90(stored[..., :3] * white + 255 * (1 - white), clip.rotation // 90)
            assert image.shape[1::-1] == index.timeline.size == expected.shape[1::-1]
            assert np.abs(image - expected).max() <= (1.0 if clip.alpha else 0.0)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_times_count_from_the_first_frame(clip: Clip, files: dict[str, Path]) -> None:
    timeline = index_video(str(files[clip.name])).timeline
    if clip.name == "without_timestamps.h264":  # the file only says how many frames a second it may have
        assert np.ptp(np.diff(timeline.times)) < 1e-9
        return
    expected = (np.asarray(clip.times) - clip.times[0]) / 1000
    assert timeline.times == pytest.approx(expected, abs=0.006)  # animated GIFs count hundredths
    assert timeline.duration > timeline.times[-1]


@pytest.mark.parametrize("name", ["odd_size.mkv", "alpha.mkv"])
def test_a_lossless_frame_is_the_picture_it_was_encoded_from(name: str, files: dict[str, Path]) -> None:
    (clip,) = (clip for clip in CLIPS if clip.name == name)
    for number, image in read_video(str(files[name]), index_video(str(files[name])), [0, 17, COUNT - 1]):
        pixels = picture(number, clip.size, clip.alpha).astype(float)
        share = pixels[..., 3:] / 255 if clip.alpha else 1.0
        assert image == pytest.approx(pixels[..., :3] * share + 255 * (1 - share), abs=1.0)


def test_a_film_may_be_turned_by_any_angle(tmp_path: Path) -> None:
    path = str(write_clip(tmp_path, Clip("askew.mp4", rotation=30)))
    index = index_video(path)
    ((_, pixels),) = read_video(path, index, [3])
    assert index.timeline.size == (pixels.shape[1], pixels.shape[0]) != (64, 48)


def test_an_index_takes_sixteen_bytes_a_frame(files: dict[str, Path]) -> None:
    """Those of many long films are kept, besides the budget of the store."""
    index = index_video(str(files["variable.mkv"]))
    assert isinstance(index.stamps, array)
    assert (index.stamps.itemsize, index.timeline.times.itemsize) == (8, 8)


def test_the_clock_shows_each_frame_until_the_next(files: dict[str, Path]) -> None:
    timeline = index_video(str(files["variable.mkv"])).timeline
    starts = (np.asarray(IRREGULAR) - IRREGULAR[0]) / 1000
    for number in (0, 7, COUNT - 1):
        start, end = timeline.span(number)
        assert start == pytest.approx(starts[number], abs=1e-3)
        assert timeline.number_at(start) == timeline.number_at((start + end) / 2) == number
    assert timeline.number_at(-3.0) == 0
    assert timeline.number_at(1e9) == COUNT - 1


def test_a_recording_that_starts_between_key_frames_begins_with_its_first_whole_frame(
    files: dict[str, Path], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.ts"
    cut.write_bytes(files["late.ts"].read_bytes()[188 * 10 :])
    index, frames = index_video(str(cut)), decoded_in_order(cut)
    assert 0 < len(index.timeline) == len(frames) < COUNT
    for number, image in read_video(str(cut), index, [0, len(frames) - 1]):
        assert np.array_equal(image, frames[number][..., :3])


def test_a_damaged_packet_costs_its_own_group_of_frames_only(files: dict[str, Path], tmp_path: Path) -> None:
    """PyAV's own loop over the frames ends at the damaged packet with an error."""
    whole, broken = str(files["variable.mp4"]), str(tmp_path / "hole.mp4")
    data = bytearray(Path(whole).read_bytes())
    start, end = data.index(b"mdat"), data.index(b"moov")
    hole = start + (end - start) * 2 // 5
    data[hole : hole + 200] = bytes(200)
    Path(broken).write_bytes(data)
    with pytest.raises(av.error.InvalidDataError):
        decoded_in_order(Path(broken))
    index, clean = index_video(broken), index_video(whole)
    same, errors = [], []
    for number, intact in read_video(whole, clean, range(COUNT)):
        try:
            ((_, image),) = read_video(broken, index, [number])
        except VideoError as error:
            errors.append(str(error))
        else:
            same += [number] if np.array_equal(image, intact) else []
    assert errors == [f"{broken}: frame {n}, at {index.timeline.times[n]:.3f} s, cannot be decoded" for n in (14, 18)]
    assert len(same) > COUNT - 12
    assert {0, COUNT - 1} < set(same)


def test_what_is_no_video_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    whole = files["plain.mp4"].read_bytes()
    cases = {
        "sound.mp4": (None, "expected a video stream, found audio"),
        "empty.mp4": (b"", "broken video"),
        "text.mp4": (b"hello", "broken video"),
        "half.mp4": (whole[: len(whole) // 2], "broken video"),
    }
    write_sound(tmp_path / "sound.mp4")
    for name, (data, reason) in cases.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(VideoError, match=rf"{name}: {reason}"):
            index_video(str(tmp_path / name))
    with pytest.raises(VideoError, match=r"no video at .*missing\.mp4"):
        index_video(str(tmp_path / "missing.mp4"))


def test_a_file_that_names_other_files_is_no_video(files: dict[str, Path], tmp_path: Path) -> None:
    """Otherwise a playlist would show videos from outside of the folders to which suites are restricted."""
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(text.format(files["late.ts"]), "utf-8")
    for read in (index_video, stated_duration):
        with pytest.raises(VideoError, match=r"list\.m3u8: expected a video in one of the formats mov, "):
            read(str(playlist))


def test_a_still_picture_is_no_video(tmp_path: Path) -> None:
    Image.new("RGB", (8, 6)).save(tmp_path / "still.png")
    with pytest.raises(VideoError, match=r"still\.png: expected a video in one of the formats"):
        index_video(str(tmp_path / "still.png"))


def test_frames_of_too_many_pixels_are_refused_before_decoding(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 64 * 48 - 1)
    with pytest.raises(VideoError, match=r"plain\.mp4: frames of 64×48 pixels are more than"):
        index_video(str(files["plain.mp4"]))


def test_too_many_frames_are_refused(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.media.video_files.MAX_FRAMES", COUNT - 1)
    with pytest.raises(VideoError, match=r"more than 39 frames"):
        index_video(str(files["plain.mp4"]))
