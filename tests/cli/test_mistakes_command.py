"""`o3gym synth mistakes` and `o3gym synth thyme`: options, printed counts and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.cli.main import main
from o3gym.runs.store import open_run

SUITE = "synthetic?family=attribute&difficulty=easy&pixels=40000&answers=free"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two right episodes and two wrong ones."""
    folder = tmp_path_factory.mktemp("run")
    env = {"min_pixels": 1024, "max_pixels": 9216}
    bench = Bench(SUITE, policies=("oracle", "always"), dialect="pixel_reasoner", episodes=2, turns=(5,), env=env)
    run(bench, folder, thumbnails=False)
    return str(folder)


def test_mistakes_are_counted_and_written(played: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["synth", "mistakes", played, "--out", str(out), "--kind", "region", "--mistakes", "1..2"]
    assert main([*command, "--dry-run"]) == 0
    assert not out.exists()
    priced = capsys.readouterr().out
    assert "no policy is asked" in priced
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == priced.splitlines()[0] == "4 episodes, 2 kept"
    assert "rejected: 2 (wrong)" in printed
    assert printed.endswith(f"run: {out / 'kept'}\n")
    report = json.loads((out / "report.json").read_text())
    assert (report["played"], report["kept"], report["rejected"]) == (4, 2, {"wrong": 2})
    assert {f"mistakes: {count} ({kind})" for kind, count in report["mistakes"].items()} <= set(printed.splitlines())
    assert len(list(open_run(out / "kept"))) == 2
    assert main(command) == 0  # again, over what is there
    assert capsys.readouterr().out == printed


def test_a_teacher_is_priced_before_it_is_asked(
    played: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = ["--policy", "openai:m", "--base-url", "http://127.0.0.1:9/v1", "--max-tokens", "256"]
    assert main(["synth", "mistakes", played, "--out", str(tmp_path / "out"), *teacher, "--dry-run"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines.count("requests 2") == 2
    assert "completion tokens 240" in lines
    assert "completion tokens 512" in lines


def test_selection_alone_leaves_the_episodes_as_they_are(
    played: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synth", "mistakes", played, "--out", str(tmp_path), "--mistakes", "0", "--per-task", "1"]) == 0
    assert "4 episodes, 2 kept" in capsys.readouterr().out
    right = [trajectory for trajectory in open_run(played) if trajectory.verdict == "correct"]
    assert list(open_run(tmp_path / "kept")) == right
    assert main(["synth", "mistakes", played, "--out", str(tmp_path), "--right", "all-dimensions"]) == 0
    assert "rejected: 2 (a task without dimensions)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--mistakes", "3..1"], "mistakes: expected 0 ≤ LOW ≤ HIGH ≤ 8, got 3..1"),
        (["--base-url", "http://127.0.0.1:9/v1"], "none of the policies asks a server"),
        (["--policy", "oracle"], '"oracle" needs to know the answer'),
        (["--prompt", "PROMPT"], "expected {next} somewhere in the text"),
    ],
)
def test_bad_options_are_refused(
    options: list[str], expected: str, played: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompt.txt").write_text("Why?")
    options = [str(tmp_path / "prompt.txt") if option == "PROMPT" else option for option in options]
    assert main(["synth", "mistakes", played, "--out", str(tmp_path / "out"), *options]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rows_of_code_are_counted_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = "synthetic?family=tally&difficulty=easy&pixels=40000&answers=free"
    bench = Bench(
        suite, policies=("oracle", "always"), dialect="thyme", episodes=1, turns=(3,), env={"sandbox": "trust"}
    )
    run(bench, tmp_path / "run", thumbnails=False)
    command = ["synth", "thyme", str(tmp_path / "run"), "--out", str(tmp_path / "rows")]
    assert main([*command, "--dry-run"]) == 0
    assert not (tmp_path / "rows").exists()
    counted = capsys.readouterr().out
    assert counted.splitlines() == ["2 episodes, 1 rows", "computation: 1", "rejected: 1 (wrong)"]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{counted}data: thyme:{tmp_path / 'rows'}\n"
    report = json.loads((tmp_path / "rows" / "report.json").read_text())
    assert (report["rows"], report["rejected"]) == ({"computation": 1}, {"wrong": 1})


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("mistakes", "thyme"):
        assert main(["synth", command, str(tmp_path), "--out", str(tmp_path / "out")]) == 2
        assert "no run at" in capsys.readouterr().err
