"""`bench --window`: part of the protocol where it is set, an arm per window in a sweep, and a mark on the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.cli.main import main
from o3gym.runs.store import RunError, open_run

SMALL: dict[str, Any] = {
    "suite": "synthetic?family=hidden&difficulty=easy&pixels=60000",
    "policies": ("sweep",),
    "env": {"min_pixels": 1000, "max_pixels": 4000},
    "episodes": 1,
    "dialect": "grid",
}


def test_a_protocol_without_a_window_is_that_of_earlier_versions() -> None:
    assert "window" not in Bench(**SMALL).protocol()
    assert Bench(**SMALL, window=2).protocol()["window"] == 2
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="window: expected a whole number from 1 up"):
            Bench(**SMALL, window=wrong)


def test_a_run_is_not_continued_with_another_window(tmp_path: Path) -> None:
    run(Bench(**SMALL), tmp_path / "run")
    with pytest.raises(RunError, match=r'window: expected "\(missing\)", got 1'):
        run(Bench(**SMALL, window=1), tmp_path / "run")


def test_windows_can_be_swept() -> None:
    bench = Bench(**SMALL, window=3, sweep={"window": [1, None], "focus": ["crop"]})
    arms = bench.arms()
    assert [(arm.label, arm.window) for arm in arms] == [
        ("sweep · window=1, focus=crop", 1),
        ("sweep · window=None, focus=crop", None),
    ]
    assert all("window" not in arm.env for arm in arms)
    assert [arm.window for arm in Bench(**SMALL, window=3).arms()] == [3]


def test_the_page_marks_where_a_segment_begins_and_what_left(tmp_path: Path) -> None:
    options = ["--suite", SMALL["suite"], "--policy", "sweep", "--dialect", "grid", "--episodes", "1", "--window", "1"]
    options += ["--env", "min_pixels=1000", "--env", "max_pixels=4000", "--out", str(tmp_path / "run")]
    assert main(["bench", *options]) == 0
    (episode,) = open_run(tmp_path / "run").trajectories()
    assert len(episode.segments) == max(1, len(episode.turns) - 1) > 1
    page = (tmp_path / "run" / "view.html").read_text("utf-8")
    block = re.search(r'<script[^>]*id="episodes"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert block is not None
    turns = json.loads(block[1].strip().split("\n")[0])["turns"]
    assert [turn.get("dropped") for turn in turns] == [None, None, *([n] for n in range(1, len(turns) - 1))]
    assert "left the dialogue" in page
