from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from o3gym.cli.main import main
from o3gym.runs.store import open_run
from o3gym.suites.base import make_suite
from o3gym.synthesis.difficulty import Filter
from o3gym.types import Source, Task

SUITE = "synthetic?family=attribute&difficulty=easy&pixels=160000&n=8"


def run(out: Path, *more: str, suite: str = SUITE) -> list[dict[str, Any]]:
    assert main(["synth", "filter", "--suite", suite, "--out", str(out), *more]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_what_is_always_solved_goes_and_what_never_is_stays(tmp_path: Path) -> None:
    rows = run(tmp_path / "oracle.jsonl", "--policy", "oracle")
    assert [row["id"] for row in rows] == [task.id for task in make_suite(SUITE)]
    assert all(row == {"id": row["id"], "passes": 3, "k": 3, "rate": 1.0, "kept": False} for row in rows)
    rows = run(tmp_path / "random.jsonl", "--policy", "random")
    assert {row["passes"] for row in rows} > {0}
    assert all(row["kept"] == (row["passes"] == 0) for row in rows)
    shown = open_run(tmp_path / "random.jsonl.run")
    assert all(len(episode.views) == 1 for episode in shown), "nothing is looked at"


def test_a_band_of_successes_is_read_from_the_same_run(tmp_path: Path) -> None:
    out = tmp_path / "random.jsonl"
    first = run(out, "--policy", "random", "--k", "4")
    episodes = (tmp_path / "random.jsonl.run" / "episodes.jsonl").read_bytes()
    second = run(out, "--policy", "random", "--k", "4", "--keep", "1..3")
    assert (tmp_path / "random.jsonl.run" / "episodes.jsonl").read_bytes() == episodes
    assert [row["passes"] for row in first] == [row["passes"] for row in second]
    assert all(row["kept"] == (1 <= row["passes"] <= 3) for row in second)


def test_a_stopped_filter_goes_on(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.jsonl", "--policy", "random")
    run(tmp_path / "cut.jsonl", "--policy", "random")
    path = tmp_path / "cut.jsonl.run" / "episodes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:7]))
    assert run(tmp_path / "cut.jsonl", "--policy", "random") == whole


def test_collages_take_the_file(tmp_path: Path) -> None:
    options = "megapixels=0.6-1&share=0.002&n=6"
    rows = run(tmp_path / "kept.jsonl", "--policy", "always:A", suite=f"collage?{options}")
    kept = [row["id"] for row in rows if row["kept"]]
    assert 0 < len(kept) < 6
    assert [task.id for task in make_suite(f"collage?{options}&only={tmp_path / 'kept.jsonl'}")] == kept


@pytest.mark.parametrize(
    ("verdicts", "low", "high", "kept"),
    [
        (("wrong", "wrong", "wrong"), 0, 0, True),
        (("wrong", "correct", "wrong"), 0, 0, False),
        (("wrong", "failed", "wrong"), 0, 0, False),
        (("wrong", "", "wrong"), 0, 0, False),
        (("wrong", "failed", "wrong"), 0, 1, True),
        (("correct", "failed", "wrong"), 1, 2, True),
        (("correct", "failed", "wrong"), 2, 3, False),
    ],
)
def test_a_try_without_a_verdict_may_be_either(verdicts, low: int, high: int, kept: bool) -> None:
    row = Filter(3, low, high).row(Task("t", (Source.file("x"),), "?"), verdicts)
    assert row["kept"] == kept
    assert row.get("failed", 0) == sum(verdict in ("", "failed") for verdict in verdicts)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--keep", "2..1"], "LOW ≤ HIGH"),
        (["--keep", "0..4"], "k = 3"),
        (["--k", "2", "--keep", "0..3"], "k = 2"),
        (["--policy", "orcale"], 'did you mean "oracle"'),
    ],
)
def test_bad_input_is_one_clear_line(more: list[str], words: str, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["synth", "filter", "--suite", SUITE, "--policy", "random", "--out", str(out), *more]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()
