from __future__ import annotations

import base64
import importlib
import io
import json
import shutil
from functools import partial
from pathlib import Path
from statistics import fmean

import pytest
from PIL import Image

from o3gym.media.images import shared_store
from o3gym.runs.exports import export_run, inspect_log
from o3gym.runs.exports.pictures import ViewPictures, bounded
from o3gym.runs.report import planned_episodes
from tests.runs.exports.export_runs import benched, small

GOLDEN = Path(__file__).with_name("inspect_log.json")


def test_the_log_is_the_one_that_inspect_has_read(tmp_path: Path) -> None:
    """The golden file, with pictures, was read by inspect_ai 0.3.285 (`test_inspect_reads_the_log` below, which
    `make test-harness` runs); whoever changes it reads it again, and brings the version in `docs/suites.md` up to date.
    """
    (path,) = export_run(small(tmp_path / "run"), "inspect", tmp_path / "out")
    golden, log = json.loads(GOLDEN.read_text("utf-8")), json.loads(path.read_text("utf-8"))
    assert path.name == f"2027-01-15T08-00-00_sample_{golden['eval']['run_id']}.json"
    for sample in log["samples"]:
        for name, uri in sample["attachments"].items():
            assert picture(uri).size == (768, 512) or max(picture(uri).size) < 768
            sample["attachments"][name] = ""  # encoded bytes depend on the version of Pillow
    assert log == golden


def picture(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_messages_come_from_model_events_and_have_ids_of_their_own(tmp_path: Path) -> None:
    """`messages_df` collects the inputs and outputs of model events, and drops messages whose id it has met before."""
    (path,) = export_run(small(tmp_path / "run"), "inspect", tmp_path / "out")
    samples = json.loads(path.read_text("utf-8"))["samples"]
    ids = [message["id"] for sample in samples for message in sample["messages"]]
    assert len(set(ids)) == len(ids)
    for sample in samples:
        assert sample["events_data"] == {"messages": sample["messages"], "calls": []}
        asked = [event["input_refs"][0][1] for event in sample["events"]]
        said = [event["output"]["choices"][0]["message"] for event in sample["events"]]
        assert said == [sample["messages"][place] for place in asked]
        assert [message["role"] for message in said] == ["assistant"] * sample["turn_count"]


def test_every_view_is_a_picture_of_the_message_that_showed_it(tmp_path: Path) -> None:
    run, _ = benched(1)
    (path,) = export_run(run, "inspect", tmp_path / "out", "oracle")
    for sample in json.loads(path.read_text("utf-8"))["samples"]:
        shown = [
            part["image"].removeprefix("attachment://")
            for message in sample["messages"]
            for part in (message["content"] if isinstance(message["content"], list) else ())
            if part["type"] == "image"
        ]
        assert len(shown) == len(sample["metadata"]["views"]) > 1
        for name, view in zip(shown, sample["metadata"]["views"], strict=True):
            assert picture(sample["attachments"][name]).size == bounded(tuple(view["shown"]))
        first = sample["messages"][0]["content"]
        assert [part["type"] for part in first] == ["image", "text"]
        assert first[-1]["text"] == sample["input"]


def test_pictures_are_bounded_and_those_left_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_log, "ViewPictures", partial(ViewPictures, budget=1))
    (path,) = export_run(small(tmp_path / "run"), "inspect", tmp_path / "out")
    samples = json.loads(path.read_text("utf-8"))["samples"]
    assert sum(len(sample["attachments"]) for sample in samples) == 1
    note = samples[1]["messages"][0]["content"][0]
    reason = "the pictures before it fill the log"
    assert note == {"type": "text", "text": f"[The picture of view 0 is not in this log: {reason}]"}


def test_a_picture_that_cannot_be_read_is_named_and_the_rest_is_exported(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    for file in (run / "sources").iterdir():
        file.unlink()
    shared_store().forget()
    (path,) = export_run(run, "inspect", tmp_path / "out")
    samples = json.loads(path.read_text("utf-8"))["samples"]
    assert [sample["attachments"] for sample in samples] == [{}] * 4
    assert "The picture of view 0 is not in this log" in samples[0]["messages"][0]["content"][0]["text"]


@pytest.mark.harness
def test_inspect_reads_the_log(tmp_path: Path) -> None:
    """Inspect's own functions read the exported log; they and what they need take half a gigabyte."""
    log_module = importlib.import_module("inspect_ai.log")
    analysis = importlib.import_module("inspect_ai.analysis")
    (path,) = export_run(small(tmp_path / "run"), "inspect", tmp_path / "out")
    log = log_module.read_eval_log(str(path), resolve_attachments=True)
    assert [type(part).__name__ for part in log.samples[0].messages[0].content] == ["ContentImage", "ContentText"]
    assert log.samples[0].messages[0].content[0].image.startswith("data:image/jpeg;base64,")
    messages = analysis.messages_df([str(path)], quiet=True)
    expected = [
        (message.role, message.text)
        for sample in log.samples
        for message in sample.messages  # the last one is a reply
    ]
    assert list(zip(messages["role"], messages["content"], strict=True)) == expected
    assert len(analysis.samples_df([str(path)], quiet=True)) == 4


@pytest.mark.parametrize("k", [1, 2])
def test_scores_say_what_the_report_says(k: int, tmp_path: Path) -> None:
    run, report = benched(k)
    for arm in report.arms:
        (path,) = export_run(run, "inspect", tmp_path / arm.arm, arm.arm)
        log = json.loads(path.read_text("utf-8"))
        values = [sample["scores"]["o3gym"]["value"] == "C" for sample in log["samples"]]
        (score,) = log["results"]["scores"]
        assert score["metrics"]["accuracy"]["value"] == arm.accuracy.value == pytest.approx(fmean(values))
        assert log["results"]["total_samples"] == arm.episodes == len(values)
        assert (log["eval"]["config"]["epochs"], log["status"]) == (k, "success")
        assert {(s["id"], s["epoch"]) for s in log["samples"]} == {
            (name, epoch + 1) for name in log["eval"]["dataset"]["sample_ids"] for epoch in range(k)
        }


def test_a_run_is_complete_without_the_bad_rows_of_its_suite(tmp_path: Path) -> None:
    whole, _ = benched(1)
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    protocol = json.loads((run / "run.json").read_text("utf-8"))
    skipping = {**protocol, "items": protocol["tasks"] + 1, "episodes": 0, "skipped": 1, "skipped_indices": [0]}
    assert planned_episodes(skipping) == protocol["tasks"]
    (run / "run.json").write_text(json.dumps(skipping), "utf-8")
    (path,) = export_run(run, "inspect", tmp_path / "out", "random")
    assert json.loads(path.read_text("utf-8"))["status"] == "success"


def test_a_run_that_is_not_complete_is_called_started(tmp_path: Path) -> None:
    whole, _ = benched(1)
    part = tmp_path / "part"
    part.mkdir()
    (part / "run.json").write_bytes((whole / "run.json").read_bytes())
    stored = (whole / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (part / "episodes.jsonl").write_bytes(
        b"".join(line for line in stored if b'"arm":"random"' in line and line != stored[-1])
    )
    (path,) = export_run(part, "inspect", tmp_path / "out")
    assert json.loads(path.read_text("utf-8"))["status"] == "started"
