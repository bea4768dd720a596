"""Pictures that code made, in everything that reads a stored run, on a machine that has only the run folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from o3gym.calls import answer, code, crop
from o3gym.dialects.base import make_dialect
from o3gym.envs import VisualSearchEnv
from o3gym.media.errors import PictureError
from o3gym.media.images import ImageStore, shared_store
from o3gym.media.rendering import frame, strip
from o3gym.policies.dialogue import Picture
from o3gym.runs.coverage import looks, place_in_picture, target_coverage
from o3gym.runs.exports import export_run
from o3gym.runs.metrics import EpisodeOutcome
from o3gym.runs.report import make_report
from o3gym.runs.store import SOURCES, RunError, merge_runs, open_run
from o3gym.sandbox import Outcome
from o3gym.train.data.demonstrations import dialogue_of
from o3gym.types import FULL, Call, Reply, Trajectory
from tests.runs.sample_run import PROTOCOL, stored
from tests.scripted_sandbox import ScriptedSandbox, png

GREEN, BLUE = png(60, 40, "#20c040"), png(300, 200, "#2040c0", "JPEG")
FAILED = Outcome(error="NameError: x", ended="error")


def played(local: str, control: str | None = None) -> Trajectory:
    """Code that makes two pictures, a crop of one of them, its rotation, code that fails, and an answer."""
    outcomes = [Outcome(text="two", shown=(GREEN, BLUE)), FAILED]
    arguments = {"suite": local, "tools": ["code", "crop", "rotate", "answer"], "min_pixels": 100, "max_pixels": 10_000}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("o3gym.envs.checks.open_sandbox", lambda spec: ScriptedSandbox(outcomes))
        env = VisualSearchEnv(**arguments, control=control)
    env.reset(options={"task": 0})
    turned = Call("rotate", {"view": 1, "angle": 90.0})
    for call in (code("1"), crop((0, 0, 0.5, 0.5), 2), turned, code("2"), answer("B")):
        env.step(call)
    record = env.trajectory
    turns = tuple(dataclasses.replace(turn, reply=Reply("…")) for turn in record.turns)
    return dataclasses.replace(
        record, turns=turns, arm="arm", group="g", env=arguments, verdict="correct", score=1.0, reward=1.0
    )


@pytest.fixture(scope="module")
def trajectory(local: str) -> Trajectory:
    return played(local)


@pytest.fixture(scope="module")
def run(trajectory: Trajectory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(tmp_path_factory.mktemp("made") / "run", [trajectory])


def pixels(trajectory: Trajectory) -> list[np.ndarray]:
    store = ImageStore()
    return [
        store.region(trajectory.sources[view.source], view.box, view.shown, view.resampling)
        for view in trajectory.views
    ]


def test_the_run_folder_keeps_the_bytes_and_gives_the_same_pixels(trajectory: Trajectory, run: Path) -> None:
    refs = [source.ref for source in trajectory.sources[1:3]]
    assert [(run / SOURCES / ref).read_bytes() for ref in refs] == [GREEN, BLUE]
    (read,) = open_run(run)
    assert read == trajectory
    assert all(np.array_equal(a, b) for a, b in zip(pixels(read), pixels(trajectory), strict=True))
    assert [view.source for view in read.views] == [0, 1, 2, 2, 3]  # the last is derived from a made one


def test_a_run_folder_from_another_machine_shows_the_pictures(
    trajectory: Trajectory, run: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(run, tmp_path / "moved")
    shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
    (read,) = open_run(moved)
    assert all(np.array_equal(a, b) for a, b in zip(pixels(read)[1:], pixels(trajectory)[1:], strict=True))
    (record,) = open_run(moved).records()
    with pytest.raises(PictureError, match="open the run folder"):
        ImageStore().region(record.sources[1])


def test_merged_runs_keep_the_pictures(run: Path, tmp_path: Path) -> None:
    (read,) = merge_runs([run], tmp_path / "merged")
    assert read.sources[1].data == GREEN


def test_a_damaged_picture_is_named(run: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(run, tmp_path / "broken")
    name = next(path for path in (broken / SOURCES).iterdir() if path.read_bytes() == GREEN)
    name.write_bytes(BLUE)
    with pytest.raises(RunError, match="damaged picture"):
        list(open_run(broken))


@pytest.mark.parametrize("harness", ["inspect", "lmms-eval", "vlmevalkit"])
def test_exports(harness: str, run: Path, tmp_path: Path) -> None:
    files = export_run(run, harness, tmp_path / "out")
    assert files
    if harness == "inspect":
        (sample,) = json.loads(files[0].read_text("utf-8"))["samples"]
        assert len(sample["attachments"]) == len(open_run(run).trajectories()[0].views)


def test_coverage_leaves_made_pictures_out(trajectory: Trajectory) -> None:
    """Nobody knows which part of the task's picture they show."""
    assert [place_in_picture(trajectory, view) for view in trajectory.views] == [(0, FULL)] + [None] * 4
    assert looks(trajectory) == []
    assert target_coverage(trajectory) == 0.0


def test_render_and_strip_show_them(trajectory: Trajectory) -> None:
    step = dataclasses.replace(trajectory, views=trajectory.views[:3], turns=trajectory.turns[:1])
    green, blue = np.array([0x20, 0xC0, 0x40]), np.array([0x20, 0x40, 0xC0])
    for canvas in (frame(step, "two"), np.asarray(strip(trajectory))):
        for colour in (green, blue):  # JPEG changes the blue a little
            assert (abs(canvas.astype(int) - colour).max(2) < 4).sum() > 1000


def test_render_of_an_environment(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.envs.checks.open_sandbox", lambda spec: ScriptedSandbox([Outcome(shown=(GREEN,))]))
    env = VisualSearchEnv(local, tools=["code", "answer"], render_mode="rgb_array")
    env.reset(options={"task": 0})
    env.step(code("1"))
    canvas = env.render()
    assert canvas is not None
    assert (canvas == (0x20, 0xC0, 0x40)).all(2).sum() > 10_000


def test_rows_to_train_on_have_the_pictures(run: Path) -> None:
    (read,) = open_run(run)
    messages = dialogue_of(read, make_dialect("qwen3_vl"))
    shown = [part.load() for message in messages for part in message.parts if isinstance(part, Picture)]
    assert all(np.array_equal(a, b) for a, b in zip(shown, pixels(read), strict=True))


def test_the_report_counts_the_code_that_ran(trajectory: Trajectory) -> None:
    outcome = EpisodeOutcome.of(trajectory)
    assert (outcome.codes, outcome.ran, outcome.invalid) == (2, 1, 0)  # code that failed was executed
    report = make_report([trajectory], PROTOCOL)
    assert report.arms[0].code_ran == 0.5
    assert report.to_json()["arms"][0]["code_ran"] == 0.5
    assert "code ran %" in report.to_markdown()


def test_a_report_without_code_is_as_it_was(trajectory: Trajectory) -> None:
    report = make_report([dataclasses.replace(trajectory, turns=trajectory.turns[-1:])], PROTOCOL)
    assert "code_ran" not in report.to_json()["arms"][0]
    assert "code ran" not in report.to_markdown()


def test_code_that_was_refused_is_not_counted(trajectory: Trajectory) -> None:
    refused = [dataclasses.replace(trajectory.turns[0], error=kind) for kind in ("budget", "bad_args")]
    outcome = EpisodeOutcome.of(dataclasses.replace(trajectory, turns=tuple(refused)))
    assert (outcome.codes, outcome.invalid) == (0, 2)


def test_a_blanked_picture_of_code_is_stored_with_its_source(local: str, tmp_path: Path) -> None:
    blanked = played(local, "blank_crop")
    (read,) = open_run(stored(tmp_path / "run", [blanked]))
    assert all((picture == 127).all() for picture in pixels(read)[1:3])
    assert read.sources[1].parent is not None
    assert read.sources[1].parent.data == GREEN
    shared_store().forget()
