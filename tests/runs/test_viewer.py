from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from o3gym.media.images import ImageStore
from o3gym.runs.store import RunError
from o3gym.runs.viewer import write_viewer
from o3gym.types import FULL, Box, Resampling, Size, Source
from tests.runs import sample_run
from tests.runs.sample_run import block, stored


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "run"
    return write_viewer(stored(folder, [*sample_run.run(tasks=12), sample_run.HOSTILE]))


class Counting(ImageStore):
    """Counts what is asked for; sources named in `lost` cannot be had."""

    def __init__(self, lost: Iterable[str] = ()) -> None:
        super().__init__()
        self.asked = 0
        self.lost = set(lost)

    def region(
        self, source: Source, box: Box = FULL, size: Size | None = None, resampling: Resampling = "bicubic"
    ) -> Any:
        self.asked += 1
        if source.key in self.lost:
            raise OSError("the disk is gone")
        return super().region(source, box, size, resampling)


def episodes_of(page: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in block(page, "episodes").split("\n") if line]


# ---- the file


def test_every_episode_is_on_the_page(page: Path) -> None:
    rows = json.loads(block(page, "index"))
    episodes = episodes_of(page)
    assert len(rows) == len(episodes) == 37
    assert [row[:4] for row in rows] == sorted(row[:4] for row in rows)
    for row in rows:
        assert episodes[row[-1]]["task"] == row[1]
        assert episodes[row[-1]]["verdict"] == row[6]
    summary = json.loads(block(page, "summary"))
    assert summary["arms"][0][0] == "arm"
    assert ["sampling.temperature", "0.7"] in summary["protocol"]


def test_thumbnails_lie_beside_the_page_and_none_is_made_twice(page: Path) -> None:
    episodes = episodes_of(page)
    wanted = {view["thumb"]["file"] for e in episodes for view in e["views"]}
    wanted |= {picture["file"] for e in episodes for picture in e["pictures"]}
    wanted |= {v["thumb"]["file"] for e in episodes for child in e["children"] for v in child["views"]}
    files = {path.name for path in (page.parent / "thumbs").iterdir()}
    assert files == wanted
    assert len(files) < sum(1 + len(e["views"]) for e in episodes)
    sizes = [view["thumb"]["size"] for e in episodes for view in e["views"]]
    assert max(max(size) for size in sizes) <= 480
    assert max(max(picture["size"]) for e in episodes for picture in e["pictures"]) == 640


def test_writing_again_makes_only_what_is_new(tmp_path: Path) -> None:
    run = stored(tmp_path / "run", sample_run.run(tasks=3))
    first = Counting()
    page = write_viewer(run, store=first)
    before = page.read_bytes()
    again = Counting()
    assert write_viewer(run, store=again).read_bytes() == before
    assert first.asked > 0
    assert again.asked == 0
    stored(run, [sample_run.episode(6, arm="another")])
    write_viewer(run, store=again)
    assert 0 < again.asked < 6


def test_one_file_can_hold_everything(tmp_path: Path) -> None:
    run = stored(tmp_path / "run", sample_run.run(tasks=2))
    steps: list[tuple[int, int]] = []
    page = write_viewer(run, tmp_path / "out" / "page.html", embed=True, progress=lambda *at: steps.append(at))
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]
    files = dict(line.split(" ") for line in block(page, "thumbs").split("\n"))
    assert all(picture["file"] in files for e in episodes_of(page) for picture in e["pictures"])
    assert steps == [(i, 6) for i in range(1, 7)]


def test_a_lost_picture_is_said_and_the_page_is_still_written(tmp_path: Path) -> None:
    missing = Source.file("/nowhere/at-all.png")
    nowhere = dataclasses.replace(sample_run.episode(1), sources=(missing,))
    nowhere = dataclasses.replace(nowhere, task=dataclasses.replace(nowhere.task, sources=(missing,)), views=())
    run = stored(tmp_path / "run", [sample_run.episode(0), nowhere])
    lost, gone = episodes_of(write_viewer(run, store=Counting(lost=[sample_run.picture(0).key])))
    assert lost["pictures"][0]["note"] == "no picture: the disk is gone"
    assert lost["views"][0]["thumb"]["note"] == "no picture: the disk is gone"
    assert gone["pictures"][0]["note"].startswith("no picture: ")


def test_numbers_that_json_lacks_do_not_break_the_page(tmp_path: Path) -> None:
    odd = dataclasses.replace(sample_run.episode(0), reward=float("nan"), terms={"x": float("-inf")})
    page = write_viewer(stored(tmp_path / "run", [odd]))
    assert episodes_of(page)[0]["terms"] == {"x": "-inf"}
    assert "nan" in block(page, "index")


def test_views_of_derived_pictures_are_placed_where_they_can_be(tmp_path: Path) -> None:
    base = sample_run.episode(0)
    half = Source.derived(base.sources[0], "rotate", (-1.0, 0.0, 1.0, 0.0, -1.0, 1.0), angle=180)
    lost = Source.derived(base.sources[0], "rotate", None, angle=90)
    views = [dataclasses.replace(sample_run.look(i, (0, 0, 0.5, 0.5)), source=i) for i in (1, 2)]
    episode = dataclasses.replace(base, sources=(*base.sources, half, lost), views=(base.views[0], *views))

    class Grey(ImageStore):
        def region(
            self, source: Source, box: Box = FULL, size: Size | None = None, resampling: Resampling = "bicubic"
        ) -> Any:
            width, height = size or (8, 8)
            return np.full((height, width, 3), 128, np.uint8)

    placed, unplaced = episodes_of(write_viewer(stored(tmp_path / "run", [episode]), store=Grey()))[0]["views"]
    assert (placed["picture"], placed["box"], placed["made_by"]) == (0, [0.5, 0.5, 1, 1], "rotate")
    assert (unplaced["picture"], unplaced["box"]) == (None, None)


def test_the_page_asks_nothing_of_the_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"https?://(?!www\.w3\.org/)", text)
    assert "default-src 'none'" in text
    assert "innerHTML" not in text


def test_model_text_cannot_leave_its_block(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "onerror=" in text
    assert "<img src=x" not in text
    assert "</script><b>" not in text
    assert text.count("<!-- ") == 0


def test_there_must_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run at"):
        write_viewer(tmp_path)
    assert list(tmp_path.iterdir()) == []
