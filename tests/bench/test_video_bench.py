"""Runs on films: reports with temporal grounding, stored episodes, pages, and a folder of one's own videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from o3gym.bench.definition import Bench
from o3gym.bench.run import page, run
from o3gym.runs.exports import export_run
from o3gym.runs.store import open_run
from tests.media.video_files import Clip, write_clip

SMALL = {"overview_frames": 4, "min_pixels": 400, "max_pixels": 1600}


def bench(family: str, *policies: str, **options: object) -> Bench:
    suite_args = {"family": family, "difficulty": "easy", "seconds": 12, **options}
    return Bench("synthetic_video", suite_args=suite_args, policies=policies, episodes=3, env=SMALL)


def test_a_run_about_events_reports_recall_and_the_mean_iou(tmp_path: Path) -> None:
    report = run(bench("event", "oracle", "sweep", "random"), tmp_path)
    arms = {arm.arm: arm for arm in report.arms}
    assert [arms[name].episodes for name in ("oracle", "sweep", "random")] == [3, 3, 3]
    assert arms["oracle"].accuracy.value == 1.0
    measures = arms["oracle"].measures
    assert {name: measures[name] for name in ("R@0.3 %", "R@0.5 %", "R@0.7 %", "mIoU %")} == {
        **dict.fromkeys(("R@0.3 %", "R@0.5 %", "R@0.7 %"), 100.0),
        "mIoU %": pytest.approx(100),
    }
    assert arms["oracle"].coverage == pytest.approx(1.0)
    for arm in arms.values():  # the mean reward of an arm is its mean IoU
        assert 100 * (arm.reward or 0) == pytest.approx(arm.measures["mIoU %"])
    assert "mIoU %" in (tmp_path / "report.md").read_text("utf-8")
    assert (tmp_path / "curve.svg").read_text("utf-8").startswith("<svg")
    assert page(tmp_path).stat().st_size > 10_000


def test_stored_episodes_of_films_come_back(tmp_path: Path) -> None:
    first = run(bench("glimpse", "oracle", grounded=True), tmp_path)
    stored = list(open_run(tmp_path).records())
    assert {episode.verdict for episode in stored} == {"correct"}
    assert all(episode.span == episode.task.targets[0].time for episode in stored)
    assert all(source.duration == 12.0 for episode in stored for source in episode.task.sources)
    frames = [source for episode in stored for source in episode.sources if source.ref == "frame"]
    assert {source.parent.duration for source in frames if source.parent} == {12.0}
    assert first.arms[0].measures["mIoU %"] == 100.0
    before = (tmp_path / "report.json").read_bytes()
    run(bench("glimpse", "oracle", grounded=True), tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before


def test_other_families_have_no_recall(tmp_path: Path) -> None:
    report = run(bench("order+pair", "oracle"), tmp_path, thumbnails=False)
    assert report.arms[0].accuracy.value == 1.0
    assert set(report.arms[0].measures) == {"target time seen %"}


def test_a_run_on_videos_of_ones_own(tmp_path: Path) -> None:
    write_clip(tmp_path, Clip("a.mp4"))
    (tmp_path / "frames").mkdir()
    for number in range(8):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / "frames" / f"{number}.png")
    rows = [
        {"video": "a.mp4", "question": "When?", "span": [1, 2]},
        {"video": "frames", "fps": 2, "question": "When?", "span": [1, 3]},
    ]
    index = tmp_path / "index.jsonl"
    index.write_text("\n".join(map(json.dumps, rows)))
    report = run(Bench(f"local:{index}", policies=("oracle",), episodes=0, env=SMALL), tmp_path / "run")
    assert (report.protocol["measure"], report.arms[0].measures["R@0.7 %"]) == ("grounding", 100.0)
    assert set(report.protocol["suite_files"]) == {"file_sha256", "pictures_sha256"}
    assert page(tmp_path / "run").is_file()


@pytest.mark.parametrize("to", ["inspect", "lmms-eval", "vlmevalkit"])
def test_exports_have_the_intervals_and_the_frames(tmp_path: Path, to: str) -> None:
    run(bench("event", "oracle"), tmp_path / "run", thumbnails=False)
    texts = [path.read_text("utf-8") for path in export_run(tmp_path / "run", to, tmp_path / "out")]
    for episode in open_run(tmp_path / "run").records():
        truth = json.dumps([list(episode.task.targets[0].time or ())])
        assert to == "vlmevalkit" or any(truth in text for text in texts)
        assert any(episode.answer in text for text in texts)
    assert to != "inspect" or texts[0].count("data:image/jpeg") >= 3 * SMALL["overview_frames"]
    assert "not in this log" not in "".join(texts)
