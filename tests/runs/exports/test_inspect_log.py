from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

from o3gym.runs.exports import export_run
from tests.runs.exports.export_runs import benched, small

GOLDEN = Path(__file__).with_name("inspect_log.json")


def test_the_log_is_the_one_that_inspect_has_read(tmp_path: Path) -> None:
    """The golden file was read by `inspect_ai.log.read_eval_log` of inspect_ai 0.3.285; whoever changes it reads it
    again, and brings the version in `docs/suites.md` up to date.
    """
    (path,) = export_run(small(tmp_path / "run"), "inspect", tmp_path / "out")
    assert (
        path.name == "2027-01-15T08-00-00_sample_" + json.loads(GOLDEN.read_text("utf-8"))["eval"]["run_id"] + ".json"
    )
    assert json.loads(path.read_text("utf-8")) == json.loads(GOLDEN.read_text("utf-8"))


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
