"""`o3gym synth demonstrations` and `o3gym bench --exemplars` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.cli.main import main
from o3gym.runs.report import Report
from o3gym.runs.store import open_run
from o3gym.synthesis.traces.demonstrations import DemonstrationReport
from o3gym.synthesis.traces.sieve import Sieve
from tests.bench.exemplar_rows import PHOTO, SCENES, written

POLICY = ["--policy", "detour?p=0.7", "--suite", SCENES, "--dialect", "mini_o3", "--episodes", "2", "--k", "2"]
SERVER = "http://127.0.0.1:9/v1"


def synth(out: Path, *more: str) -> int:
    return main(["synth", "demonstrations", "--out", str(out), "--no-view", *more])


def test_it_prints_what_was_kept_and_where_it_is(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exemplars = written(tmp_path, PHOTO, photos=photos)
    assert synth(tmp_path / "out", *POLICY, "--exemplars", exemplars) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert f"4 episodes of 2 tasks, {report['kept']} kept of 2 tasks" in printed
    for reason, count in report["rejected"].items():
        assert f"rejected: {count} ({reason})" in printed
    for source in ("run:{}/kept", "mini_o3:{}/demonstrations.parquet", "sharegpt:{}/demonstrations.json"):
        assert source.format(tmp_path / "out") in printed
    assert open_run(tmp_path / "out" / "run").protocol["split"] == "train"


def test_a_dry_run_prints_the_price_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = ["--policy", "openai:m", "--base-url", SERVER, "--exemplars", "none"]
    assert synth(tmp_path / "out", *POLICY[2:], *teacher, "--dry-run") == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split(":")[0] for line in lines if line.endswith(":")] == ["expected", "at most"]
    assert sum("prompt tokens" in line for line in lines) == 2
    assert not (tmp_path / "out").exists()


def test_all_options_reach_the_run_and_the_sieve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Bench, Sieve, int]] = []

    def make(bench: Bench, sieve: Sieve, out: Path, progress: Any, in_flight: int) -> DemonstrationReport:
        calls.append((bench, sieve, in_flight))
        return DemonstrationReport(Report({}, ()))

    monkeypatch.setattr("o3gym.synthesis.traces.demonstrations.make_demonstrations", make)
    (tmp_path / "p.txt").write_text("You look.")
    options = ["--policy", "openai:m", "--policy", "oracle", "--base-url", SERVER, "--turns", "9", "--seed", "7"]
    options += ["--env", "max_pixels=90000", "--prompt", str(tmp_path / "p.txt"), "--judge", "choice", "--k", "3"]
    options += ["--min-looks", "2", "--max-turns", "8", "--per-task", "1", "--no-refusals", "--in-flight", "5"]
    options += ["--no-thoughts"]
    assert synth(tmp_path / "out", *options, "--temperature", "0.5", "--max-tokens", "99") == 0
    ((bench, sieve, in_flight),) = calls
    assert (bench.policies, bench.base_url, bench.turns, bench.seed, bench.k) == (
        *(("openai:m", "oracle"), SERVER, (9,), 7),
        3,
    )
    assert (bench.env, bench.prompt_file, bench.judge, bench.exemplars, bench.split) == (
        *({"max_pixels": 90000}, str(tmp_path / "p.txt"), "choice"),
        *("trial_and_error", "train"),
    )
    assert (bench.sampling.temperature, bench.sampling.max_tokens, in_flight) == (0.5, 99, 5)
    assert sieve == Sieve(min_looks=2, max_turns=8, refusals=False, per_task=1, thoughts=False)


@pytest.mark.parametrize(
    "command", [["bench", "--policy", "oracle"], ["synth", "demonstrations", "--policy", "oracle"]]
)
def test_a_wrong_file_of_exemplars_is_an_error_before_anything_is_played(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--exemplars", "trial_and_eror", "--out", str(tmp_path / "out")]) == 2
    assert 'did you mean "trial_and_error"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_bench_shows_exemplars_too(tmp_path: Path, photos: Path) -> None:
    exemplars = written(tmp_path, PHOTO, photos=photos)
    command = ["bench", "--suite", SCENES, "--policy", "oracle", "--episodes", "1", "--no-view"]
    assert main([*command, "--exemplars", exemplars, "--out", str(tmp_path / "run")]) == 0
    assert open_run(tmp_path / "run").protocol["exemplars"] == exemplars
