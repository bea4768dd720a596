"""Thumbnails that a run makes while it plays, and how its page uses them."""

from __future__ import annotations

import gc
import itertools
import logging
import shutil
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench import run as bench_run
from o3gym.bench.definition import Bench
from o3gym.bench.run import merge_and_report, page, run
from o3gym.media.images import ImageStore
from o3gym.runs.store import Run
from o3gym.runs.viewer import thumbnails, write_viewer
from o3gym.types import FULL, Box, Resampling, Size, Source, Trajectory, View
from tests.runs import sample_run
from tests.runs.sample_run import block, stored

SUITE = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"min_pixels": 1000, "max_pixels": 40_000}
PAIR = "two_agent(reasoner=oracle, searcher=oracle)"


def bench(*policies: str, **more: Any) -> Bench:
    return Bench(policies=policies, suite_args=SUITE, env=ENV, **{"episodes": 3, "turns": (8,), **more})


class Blind(ImageStore):
    """A store that may not be asked for pixels."""

    def region(
        self, source: Source, box: Box = FULL, size: Size | None = None, resampling: Resampling = "bicubic"
    ) -> Any:
        raise AssertionError("a picture was read again")

    def size(self, source: Source) -> Size:
        raise AssertionError("a picture was read again")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "thumbs").glob("*")}


def test_a_page_needs_no_picture_of_a_run_that_made_its_thumbnails(tmp_path: Path) -> None:
    run(bench("sweep", "oracle+blank_crop", PAIR, sweep={"focus": ["crop", "draw"]}), tmp_path / "run")
    made = files(tmp_path / "run")
    text = write_viewer(tmp_path / "run", store=Blind()).read_text("utf-8")
    assert "no picture" not in text
    assert files(tmp_path / "run") == made
    assert all(name in text for name in made)
    embedded = write_viewer(tmp_path / "run", tmp_path / "whole.html", embed=True, store=Blind())
    assert {line.split()[0] for line in block(embedded, "thumbs").split("\n")} == set(made)
    write_viewer(tmp_path / "run", tmp_path / "other" / "page.html", store=Blind())
    assert files(tmp_path / "other") == made


def test_thumbnails_made_later_are_the_same(tmp_path: Path) -> None:
    run(bench("sweep", sweep={"size_rule": ["o3gym", "mini_o3"]}), tmp_path)
    made = files(tmp_path)
    shutil.rmtree(tmp_path / "thumbs")
    page(tmp_path)
    assert files(tmp_path) == made


def test_a_run_without_thumbnails(tmp_path: Path) -> None:
    run(bench("oracle", episodes=1), tmp_path, thumbnails=False)
    assert not (tmp_path / "thumbs").exists()
    page(tmp_path)
    assert files(tmp_path)


def test_merged_runs_keep_their_thumbnails(tmp_path: Path) -> None:
    parts = [tmp_path / "1", tmp_path / "2"]
    for number, folder in enumerate(parts, 1):
        run(bench("oracle"), folder, shard=(number, 2))
    merge_and_report(parts, tmp_path / "all")
    assert files(tmp_path / "all") == {**files(parts[0]), **files(parts[1])} != {}
    assert "no picture" not in write_viewer(tmp_path / "all", store=Blind()).read_text("utf-8")


def test_a_run_goes_on_where_thumbnails_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thumbs").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        (arm,) = run(bench("oracle"), tmp_path / "run").arms
    assert arm.episodes == 3
    assert len([record for record in caplog.records if "the page will make them" in record.message]) == 1


def refresh_locals() -> None:
    """Makes the frames of all callers let go of values that their variables no longer have.

    The tool that measures coverage reads `f_locals` of every frame now and then. Python 3.11 keeps what it returned,
    with the episodes in it, as long as the frame lives or until `f_locals` is read again.
    """
    frame = sys._getframe(1)
    while frame is not None:
        frame.f_locals  # noqa: B018 - reading it is what refreshes it
        frame = frame.f_back  # type: ignore[assignment]


def test_only_few_episodes_are_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path, [sample_run.episode(number, sample=s) for number in range(20) for s in range(2)])
    living: dict[int, weakref.ref[Trajectory]] = {}
    most, records, numbers = 0, Run.records, itertools.count()

    def counted(self: Run) -> Iterator[Trajectory]:
        nonlocal most
        for trajectory in records(self):
            number = next(numbers)
            living[number] = weakref.ref(trajectory, lambda _, number=number: living.pop(number))
            refresh_locals()
            gc.collect()  # episodes in reference cycles would linger until the collector happens to run
            most = max(most, len(living))
            assert most <= 5, [type(one) for ref in living.values() for one in gc.get_referrers(ref())]
            yield trajectory

    monkeypatch.setattr(Run, "records", counted)
    monkeypatch.setitem(sample_run.PROTOCOL, "k", 2)
    monkeypatch.setattr(bench_run, "_settled_group", lambda group, reward, faults: group)
    (tmp_path / "run.json").write_text('{"k": 2, "turns": [6], "reward": "pixel_reasoner"}')  # it needs siblings
    bench_run.report(tmp_path)
    page(tmp_path)
    assert most <= 5


def test_embedded_thumbnails_are_not_kept_in_memory(tmp_path: Path) -> None:
    found = thumbnails.Thumbnails(ImageStore(), tmp_path, None)
    source = sample_run.picture(0)
    views = [View(1, 0, (0.0, 0.0, 0.5, y / 10), (40, 40), (40, 40), parent=0) for y in range(1, 10)]
    names = [found.view(source, view)["file"] for view in views]
    assert [line.split()[0] for line in found.embedded()] == names
    assert sum(map(len, vars(found)["_embedded"])) < 1000
    found.close()
