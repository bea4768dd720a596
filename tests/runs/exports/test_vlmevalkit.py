from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.runs.exports import export_run
from o3gym.runs.exports.vlmevalkit import write_tsv
from o3gym.runs.store import open_run
from tests.runs import sample_run
from tests.runs.exports.export_runs import benched, small, table

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
