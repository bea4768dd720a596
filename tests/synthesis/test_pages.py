from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from o3gym.media.images import shared_store
from o3gym.suites.base import SuiteError, make_suite
from o3gym.synthesis.files import save
from o3gym.synthesis.pages import of_folder, of_suite
from o3gym.types import Source
from tests.conftest import noise


def test_pictures_of_a_suite_come_once_with_all_their_boxes(local: str) -> None:
    pages = of_suite(make_suite(local))
    assert [Path(page.source.ref).name for page in pages] == ["street.png", "shelf.png", "map.png"]
    assert [len(page.targets) for page in pages] == [2, 2, 1]
    assert len({page.name for page in pages}) == 3


def test_a_bad_row_of_a_suite_is_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(20):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    rows = [{"image": f"{i}.png", "question": "?", "answer": None if i == 7 else "x"} for i in range(20)]
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert len(of_suite(make_suite(f"local:{tmp_path}"))) == 19
    assert "1 of 20 rows of local are bad and skipped: " in caplog.text
    assert "index.jsonl, line 8, " in caplog.text


def test_videos_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="synthetic_video: expected tasks about pictures, found only videos"):
        of_suite(make_suite("synthetic_video?n=4"))
    (tmp_path / "frames").mkdir()
    for name in ("a.png", "frames/0.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    row = {"image": "a.png", "video": "frames", "fps": 1, "question": "?", "answer": "x"}
    row |= {"boxes": [[0, 0, 4, 4], {"box": [0, 0, 2, 2], "video": 0}]}
    (tmp_path / "index.jsonl").write_text(json.dumps(row))
    (page,) = of_suite(make_suite(f"local:{tmp_path}"))
    assert (Path(page.source.ref).name, len(page.targets)) == ("a.png", 1)


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.png", "deep/a.JPG", "notes.txt", "rows.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [page.name for page in of_folder(tmp_path)] == ["b.png", "deep/a.JPG"]
    with pytest.raises(ValueError, match=f'expected a folder with pictures, got .*; did you mean "{tmp_path.name}"'):
        of_folder(tmp_path.with_name(tmp_path.name + "x"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no picture in"):
        of_folder(tmp_path / "empty")


def test_saved_pictures_are_the_same(tmp_path: Path) -> None:
    Image.fromarray(noise(60, 40)).save(tmp_path / "photo.JPG", quality=90)
    data = (tmp_path / "photo.JPG").read_bytes()
    made = Source.generated("synthetic", family="chart", difficulty="easy", seed=0, pixels=4_000)
    out = tmp_path / "out"
    for source, ending in (
        (Source.file(str(tmp_path / "photo.JPG")), "jpg"),
        (Source.of_bytes(data), "jpeg"),
        (made, "png"),
    ):
        name = save(source, out)
        assert name == f"{source.key}.{ending}" == save(source, out)
        assert np.array_equal(shared_store().region(Source.file(str(out / name))), shared_store().region(source))
        assert ending == "png" or (out / name).read_bytes() == data
    assert len(list(out.iterdir())) == 3
