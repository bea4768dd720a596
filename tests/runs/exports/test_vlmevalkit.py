from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from statistics import fmean

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.runs.exports import export_run
from o3gym.runs.exports.vlmevalkit import write_tsv
from o3gym.runs.store import RunStore, open_run
from o3gym.runs.suite_metrics import mme
from o3gym.types import Trajectory
from tests.runs import sample_run
from tests.runs.exports.export_runs import benched, small, table
from tests.runs.exports.harness_rules import mme_rating, report_acc, report_acc_hrbench, yes_no_scores

AWKWARD = st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("\t\n\r\"'\\,\x00\u2028"))


@given(st.lists(st.lists(AWKWARD, min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_text_survives_the_table(rows: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    write_tsv(file, rows)
    file.seek(0)
    assert list(csv.reader(file, delimiter="\t")) == rows


@pytest.mark.parametrize("k", [1, 2])
def test_hits_and_rates_say_what_the_report_says(k: int, tmp_path: Path) -> None:
    run, report = benched(k)
    for arm in report.arms:
        *tables, rates = export_run(run, "vlmevalkit", tmp_path / arm.arm, arm.arm)
        rows = [table(path) for path in tables]
        assert [len(part) for part in rows] == [arm.tasks] * k
        assert all(len({row["index"] for row in part}) == len(part) for part in rows)
        assert fmean(float(row["hit"]) for part in rows for row in part) == pytest.approx(arm.accuracy.value)
        (overall,) = table(rates, ",")
        assert float(overall["Overall"]) == arm.accuracy.value
        assert {name: float(overall[name]) for name in arm.families} == {n: r.value for n, r in arm.families.items()}
        assert {row["category"] for row in rows[0]} == set(arm.families)


def test_names_are_those_that_vlmevalkit_looks_for(tmp_path: Path) -> None:
    one = export_run(benched(1)[0], "vlmevalkit", tmp_path / "one", "oracle")
    two = export_run(benched(2)[0], "vlmevalkit", tmp_path / "two", "oracle")
    suite = "synthetic"
    assert [path.name for path in one] == [f"oracle_{suite}.tsv", f"oracle_{suite}_acc.csv"]
    assert [path.name for path in two] == [f"oracle_{suite}_{end}" for end in ("sample0.tsv", "sample1.tsv", "acc.csv")]


def test_a_row_is_its_task_and_its_prediction(tmp_path: Path) -> None:
    run, _ = benched(1)
    stored = {str(t.task.origin["index"]): t for t in open_run(run).records() if t.arm == "random"}
    for row in table(export_run(run, "vlmevalkit", tmp_path / "out", "random")[0]):
        episode = stored[row["index"]]
        options = [row[letter] for letter in episode.task.letters]
        assert (row["question"], options) == (episode.task.question, list(episode.task.choices))
        assert (row["answer"], row["prediction"]) == (episode.task.answer, episode.answer)
        assert (row["hit"], row["split"]) == (str(int(episode.verdict == "correct")), "test")
        assert episode.task.id in row["log"]


def test_without_a_verdict_the_hit_is_empty(tmp_path: Path) -> None:
    first, second, rates = export_run(small(tmp_path / "run"), "vlmevalkit", tmp_path / "out")
    assert [row["hit"] for row in table(first)] == ["1", ""]
    assert [row["hit"] for row in table(second)] == ["0", ""]
    assert [row["log"].split(";")[0] for row in table(second)] == ["o3gym: wrong", "o3gym: failed"]
    assert table(rates, ",") == [{"split": "test", "Overall": "0.5", "hidden": "0.5", "relation": ""}]


def test_tasks_without_options_leave_their_cells_empty(tmp_path: Path) -> None:
    run = sample_run.stored(tmp_path / "run", [sample_run.episode(0), sample_run.episode(4, kind="box")])
    choice, box = table(export_run(run, "vlmevalkit", tmp_path / "out")[0])
    assert [choice[letter] for letter in "ABCD"] == list(sample_run.task(0).choices)
    assert [box[letter] for letter in "ABCD"] == [""] * 4
    assert box["answer"].startswith("[[0.")


def judged(number: int, verdict: str, answer: str, truth: str, **tags: str) -> Trajectory:
    """An episode of a free question, or of one with options where `truth` is a letter."""
    base = sample_run.episode(number, verdict=verdict, turns=1)
    kind = "choice" if len(truth) == 1 else "free"
    choices = base.task.choices if kind == "choice" else ()
    task = dataclasses.replace(base.task, answer=truth, choices=choices, kind=kind, tags=tags)  # type: ignore[arg-type]
    return dataclasses.replace(base, task=task, answer=answer, score=None if verdict == "failed" else base.score)


def exported(folder: Path, suite: str, *episodes: Trajectory) -> Path:
    """The table of a run of this suite."""
    with RunStore(folder / "run", {**sample_run.PROTOCOL, "suite_name": suite}) as store:
        for one in episodes:
            store.append(one)
    return export_run(folder / "run", "vlmevalkit", folder / "out")[0]


def test_hrbench_is_rated_by_its_cycles(tmp_path: Path) -> None:
    rows = [("correct", "single", "0"), ("wrong", "single", "0"), ("correct", "single", "1"), ("wrong", "cross", "0")]
    episodes = [judged(i, v, "A", "A", category=kind, cycle=cycle) for i, (v, kind, cycle) in enumerate(rows)]
    table_file = exported(tmp_path, "hrbench-4k", *episodes)
    assert table_file.name == "oracle_HRBench4K.tsv"
    assert report_acc_hrbench(table_file) == pytest.approx({"all": (1 / 3 + 1) / 2, "cross": 0.0, "single": 0.75})
    assert "l2-category" not in table(table_file)[0]


def test_mme_and_pope_are_rated_by_what_was_extracted(tmp_path: Path) -> None:
    rows = [("correct", "Yes, it is", "yes", "a"), ("correct", "nope", "no", "a"), ("wrong", "perhaps", "yes", "b")]
    rows += [("wrong", "yeah", "no", "b"), ("correct", "y", "yes", "c"), ("wrong", "no", "yes", "c")]
    tags = {"category": "code_reasoning"}
    episodes = [judged(i, v, said, truth, pair=pair, **tags) for i, (v, said, truth, pair) in enumerate(rows)]
    table_file = exported(tmp_path, "mme-reasoning", *episodes)
    cells = table(table_file)
    assert [row["extracted"] for row in cells] == ["Yes", "No", "Unknown", "Yes", "Yes", "No"]
    assert [row["answer"] for row in cells] == ["Yes", "No", "Yes", "No", "Yes", "Yes"]
    assert yes_no_scores(table_file) == [row["score"] == "1.0" for row in cells] == [v == "correct" for v, *_ in rows]
    ours = mme.total([mme.read(episode) for episode in episodes])["code_reasoning (of 200)"]
    assert mme_rating(table_file) == pytest.approx({"code_reasoning": ours})


def test_there_is_no_category_called_nan(tmp_path: Path) -> None:
    rows = [judged(0, "correct", "A", "A", category="a", subtask="x"), judged(1, "wrong", "B", "A", category="a")]
    assert report_acc(exported(tmp_path / "some", "mmstar", *rows)) == {"Overall": 0.5, "a": 0.5, "x": 1.0, "none": 0.0}
    bare = [judged(i, "correct", "A", "A") for i in range(2)]
    table_file = exported(tmp_path / "none", "vstar", *bare)
    assert report_acc(table_file) == {"Overall": 1.0}
    assert table_file.name == "oracle_VStarBench.tsv"
    small_table = export_run(small(tmp_path / "run"), "vlmevalkit", tmp_path / "out")[0]
    assert set(report_acc(small_table)) == {"Overall", "hidden", "relation"}


def test_a_category_with_a_name_that_pandas_takes_for_nothing_is_a_group(tmp_path: Path) -> None:
    names = ("N/A", "None", "nan", "NULL")
    rows = [judged(i, "correct", "A", "A", category=name, subtask=name) for i, name in enumerate(names)]
    rows.append(judged(len(names), "wrong", "B", "A", category="a", subtask="x"))
    assert report_acc(exported(tmp_path, "mmstar", *rows)) == {"Overall": 0.8, "none": 1.0, "a": 0.0, "x": 0.0}


@pytest.mark.parametrize("text", ["None", "N/A", "nan", "NULL", "<NA>"])
def test_pandas_reads_options_and_answers_that_look_like_nothing(text: str, tmp_path: Path) -> None:
    base = judged(0, "correct", text, "A")
    task = dataclasses.replace(base.task, choices=(text, "red", "green"))
    path = exported(tmp_path, "local", dataclasses.replace(base, task=task), judged(1, "wrong", "", "A"))
    frame = pandas.read_csv(path, sep="\t")
    assert (frame["A"][0].strip(), frame["B"][0], frame["prediction"][0].strip()) == (text, "red", text)
    assert pandas.isna(frame["prediction"][1])


def test_mme_realworld_and_treebench_have_the_columns_that_rate_them(tmp_path: Path) -> None:
    one = judged(0, "correct", "A", "A", category="Monitoring", ability="perception", subtask="vehicle/counting")
    (row,) = table(exported(tmp_path / "mme", "mme-realworld-lite", one))
    assert (row["category"], row["l2-category"], row["score"]) == ("Perception/Monitoring", "vehicle/counting", "1.0")
    (row,) = table(exported(tmp_path / "tree", "treebench", judged(0, "wrong", "B", "A", category="Perception/OCR")))
    assert (row["category"], row["score"], row["iou"]) == ("Perception/OCR", "0.0", "0.0")
