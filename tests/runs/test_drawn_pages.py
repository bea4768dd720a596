"""Pages of visual planning: drawn states are shown, and the base64 in replies is not."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from o3gym.envs import VisualSearchEnv
from o3gym.runs.store import open_run
from o3gym.runs.viewer import write_viewer
from o3gym.runs.viewer.episodes import without_base64
from o3gym.types import Call, Parsed, Reply, Trajectory
from tests.runs.sample_run import stored
from tests.tools.planning_scenes import data_url, encoded
from tests.worlds.planning_episodes import DOWN, LAKE, planning_task

URL = data_url(encoded(LAKE.render(LAKE.after([DOWN]))))
BARE = URL.partition(",")[2]


def episode(picture: str) -> Trajectory:
    """One drawn state and one move, with replies as a model writes them."""
    env = VisualSearchEnv("planning-frozenlake")
    env.reset(seed=0, options={"task": planning_task()})
    calls = (Call("draw_state", {"picture": picture}), Call("move", {"moves": "right right up"}))
    for call in calls:
        env.step(call)
    record = env.trajectory
    texts = (f"<state>{picture}</state>", f"I drew {URL} before. <b>")
    turns = tuple(
        replace(turn, reply=Reply(text), parsed=Parsed(call, True, thought=f"like {URL}"))
        for turn, call, text in zip(record.turns, calls, texts, strict=True)
    )
    return replace(record, turns=turns, arm="arm", group="g", verdict="correct", score=1.0, reward=1.0)


@pytest.mark.parametrize("picture", [URL, BARE], ids=["data URL", "base64 alone"])
def test_a_page_shows_drawn_pictures_and_no_base64(picture: str, tmp_path: Path) -> None:
    run = stored(tmp_path / "run", [episode(picture)])
    page = write_viewer(run, tmp_path / "view.html").read_text("utf-8")
    assert max(map(len, re.findall(r"[A-Za-z0-9+/=]{60,}", page)), default=0) < 200
    block = re.search(r'<script type="application/x-ndjson" id="episodes">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    first, second = json.loads(block[1])["turns"]
    note = f"… ({len(BARE):,} characters)"
    shown = f"data:image/png;base64,{note}" if picture is URL else note
    assert first["text"] == f"<state>{shown}</state>"
    assert first["args"] == {"picture": shown}
    assert first["thought"] == f"like data:image/png;base64,{note}"
    assert second["text"] == f"I drew data:image/png;base64,{note} before. <b>"
    views = json.loads(block[1])["views"]
    assert [view["made_by"] for view in views] == ["model", "", ""]
    assert all((tmp_path / "thumbs" / view["thumb"]["file"]).is_file() for view in views)


def test_a_run_keeps_the_drawn_pictures_and_the_plan(tmp_path: Path) -> None:
    record = episode(URL)
    (again,) = open_run(stored(tmp_path / "run", [record])).records()
    assert again.to_json() == record.to_json()
    assert again.sources == record.sources
    assert [source.args.get("made_by") for source in again.sources] == [None, "model", None, None]
    assert again.answer == "down right right up"


def test_short_and_other_texts_stay_as_they_are() -> None:
    for text in ("", "data:image/png;base64,AAAA", "A" * 5000, "data:text/plain;base64," + "A" * 500, "漢\n"):
        assert without_base64(text) == text


def test_notes_are_made_in_bounded_time() -> None:
    hostile = ("data:image/" + "x" * 30) * 5000 + "data:image/png;base64," * 5000 + "A" * 200_000
    start = time.perf_counter()
    assert len(without_base64(hostile)) < len(hostile)
    assert time.perf_counter() - start < 0.5
