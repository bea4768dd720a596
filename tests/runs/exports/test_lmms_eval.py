from __future__ import annotations

import importlib
import json
from pathlib import Path
from statistics import fmean, stdev

import pytest

from o3gym.runs.exports import export_run
from o3gym.runs.store import open_run
from tests.runs import sample_run
from tests.runs.exports.export_runs import benched, lines, small
from tests.runs.exports.harness_rules import baseline_scores


@pytest.mark.parametrize("k", [1, 2])
def test_results_and_samples_say_what_the_report_says(k: int, tmp_path: Path) -> None:
    run, report = benched(k)
    for arm in report.arms:
        results, samples = export_run(run, "lmms-eval", tmp_path / arm.arm, arm.arm)
        data, docs = json.loads(results.read_text("utf-8")), lines(samples)
        (task,) = data["results"]
        assert samples.name == results.name.replace("results.json", f"samples_{task}.jsonl")
        assert data["results"][task]["accuracy,none"] == arm.accuracy.value == fmean(doc["accuracy"] for doc in docs)
        spread = stdev(doc["accuracy"] for doc in docs) / len(docs) ** 0.5
        assert data["results"][task]["accuracy_stderr,none"] == pytest.approx(spread)
        for family, rate in arm.families.items():
            assert data["results"][task][f"accuracy_{family},none"] == rate.value
        assert data["n-samples"][task]["effective"] == arm.tasks == len(docs) == 6
        assert data["configs"][task]["repeats"] == k
        assert data["config"]["model"] == arm.arm
        assert data["o3gym"]["protocol"] == open_run(run).protocol


def test_a_sample_holds_the_replies_of_every_episode_of_its_task(tmp_path: Path) -> None:
    run, _ = benched(2)
    stored = {(t.task.id, t.sample): t for t in open_run(run).records() if t.arm == "random"}
    docs = lines(export_run(run, "lmms-eval", tmp_path / "out", "random")[1])
    for doc in docs:
        episodes = [stored[doc["doc"]["id"], sample] for sample in range(2)]
        assert doc["resps"] == [[turn.reply.text for turn in e.turns] for e in episodes]
        assert doc["filtered_resps"] == [e.answer for e in episodes]
        assert doc["target"] == episodes[0].task.answer
        assert doc["input"] == episodes[0].task.text
        assert doc["doc_id"] == episodes[0].task.origin["index"]
    assert len({doc["doc_hash"] for doc in docs}) == len(docs)


def test_without_a_verdict_accuracy_is_null_and_not_zero(tmp_path: Path) -> None:
    results, samples = export_run(small(tmp_path / "run"), "lmms-eval", tmp_path / "out")
    half, none = lines(samples)
    assert (half["accuracy"], half["verdicts"]) == (0.5, ["correct", "wrong"])
    assert (none["accuracy"], none["verdicts"], none["stops"]) == (None, ["failed", "failed"], ["answered", "error"])
    assert (none["score"], none["filtered_resps"], none["answers"]) == (None, [], ["C", ""])
    assert results.name == "20270115_080000_results.json"
    rates = json.loads(results.read_text("utf-8"))["results"]["sample"]
    assert (rates["accuracy,none"], rates["accuracy_stderr,none"]) == (0.5, "N/A")
    assert rates["accuracy_relation,none"] is None


def test_lmms_eval_compares_with_the_accuracy_of_every_judged_task(tmp_path: Path) -> None:
    for arm in benched(2)[1].arms:
        samples = export_run(benched(2)[0], "lmms-eval", tmp_path / arm.arm, arm.arm)[1]
        scores = baseline_scores(samples)
        assert scores == {doc["doc_id"]: doc["accuracy"] for doc in lines(samples)}
        assert fmean(scores.values()) == arm.accuracy.value
    samples = export_run(small(tmp_path / "run"), "lmms-eval", tmp_path / "small")[1]
    assert baseline_scores(samples) == {0: 0.5}  # the other task has no verdict, and is not compared by its text


@pytest.mark.harness
def test_lmms_eval_reads_the_same_scores(tmp_path: Path) -> None:
    loader = importlib.import_module("lmms_eval.baselines.loader")
    for run, arm in ((benched(2)[0], "random"), (small(tmp_path / "run"), "")):
        samples = export_run(run, "lmms-eval", tmp_path / f"exported {arm}", arm)[1]
        assert loader.load_baseline(str(samples), "any task")[0] == baseline_scores(samples)


def test_text_that_utf_8_cannot_hold_becomes_an_escape(tmp_path: Path) -> None:
    run = sample_run.stored(tmp_path / "run", [sample_run.HOSTILE])
    (doc,) = lines(export_run(run, "lmms-eval", tmp_path / "out")[1])
    said = sample_run.HOSTILE.turns[0].reply.text
    assert "\ud800" in said
    assert doc["resps"][0][0] == said.replace("\ud800", r"\ud800")
