"""Episodes about videos on the page of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o3gym.calls import clip, locate_span
from o3gym.envs import VisualSearchEnv
from o3gym.media.videos import video_source
from o3gym.registry import Registry
from o3gym.runs.viewer import write_viewer
from o3gym.types import FULL, Target, Task
from tests.media.filmed import episode
from tests.media.video_files import Clip, write_clip
from tests.runs.browser import drive, in_browser
from tests.runs.sample_run import block, stored


@pytest.fixture
def page(register: Callable[[Registry, str, Any], str], tmp_path: Path) -> Path:
    """Two episodes: a grounded question about two generated videos, and a temporal grounding in a file."""
    video = video_source(write_clip(tmp_path, Clip("film.mp4")))
    task = Task("u", (video,), "When?", kind="span", targets=(Target(FULL, time=(1.0, 2.0)),))
    env = VisualSearchEnv(tools=["clip", "locate_span"], min_pixels=1, max_pixels=20_000, overview_frames=30)
    env.reset(options={"task": task})
    for call in (clip(0.5, 2.5), locate_span(1.0, 2.5)):
        env.step(call)
    episodes = [replace(record, arm="a", group=record.task.id) for record in (episode(register), env.trajectory)]
    return write_viewer(stored(tmp_path / "run", episodes))


def test_the_page_has_what_the_time_line_needs(page: Path) -> None:
    about_two, about_file = (json.loads(line) for line in block(page, "episodes").split("\n") if line)
    first, second = about_two["pictures"]
    assert (first["duration"], second["duration"], first["address"], len(first["frames"])) == (30.0, 90.0, "", 8)
    assert first["frames"][1]["time"] == [3.5, 4.0]
    assert (about_two["span"], about_two["timed"], about_two["targets"][0]["time"]) == ([5.0, 9.0], 0, [4.0, 9.0])
    assert {(view["video"], view["turn"]) for view in about_two["views"]} == {(0, 0), (1, 1), (0, 2), (0, 3)}
    (film,) = about_file["pictures"]
    assert film["address"].startswith("file:///")
    assert film["address"].endswith("/film.mp4")
    assert (film["shown"], len(film["frames"])) == (30, 15)


@in_browser
def test_time_lines_in_the_browser(page: Path) -> None:
    found = drive(
        page,
        """
        all(".row")[0].click(); await pause();
        const two = [".film", ".cell", ".band.target", ".band.located"].map((css) => all(css).length);
        two.push(all(".bar").map((bar) => bar.textContent).join(""));
        const bar = all(".film")[0].querySelector(".bar"), track = bar.parentElement;
        two.push(Math.round(bar.offsetLeft / track.offsetWidth * 30), all(".crop img").length);
        all(".row")[1].click(); await pause();
        const source = all("video").map((video) => video.getAttribute("src").split("/").pop());
        return [two, source, $(".answers").textContent, $(".film .note")?.textContent];
        """,
    )
    two, source, answers, note = found
    assert two == [2, 16, 1, 1, "13342", 4, 27]
    assert source == ["film.mp4"]
    assert answers == "Interval1 s – 2 sAnswered1 s – 2.5 s"
    assert note == "15 of the 30 frames that were shown first are left out here."
