"""The command line as a user meets it: whole commands, their files, their errors."""

from __future__ import annotations

import json
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from o3gym.cli.main import main
from o3gym.runs.store import open_run

SMALL = [
    "--suite",
    "synthetic?family=hidden&difficulty=easy&pixels=200000",
    "--env",
    "max_pixels=60000",
    "--env",
    "min_pixels=1000",
]


def bench(out: Path, *more: str) -> int:
    return main(["bench", *SMALL, "--episodes", "6", "--out", str(out), *more])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["bench", "--suite", "synthetics"], ['unknown suite "synthetics"', 'did you mean "synthetic"']),
        (["bench", "--policy", "orcale"], ['did you mean "oracle"']),
        (["bench", "--policy", "oracle", "--policy", "swep"], ['did you mean "sweep"']),
        (["bench", "--policy", "two_agent(reasoner=orcale, searcher=oracle)"], ['did you mean "oracle"']),
        (["bench", "--policy", "two_agent(reasoner=oracle, searcher=swep)"], ['did you mean "sweep"']),
        (["bench", "--policy", "two_agent(reasoner=oracle, searcher=oracle"], ["closing bracket"]),
        (["bench", "--policy", "two_agent(reasoner=oracle, sercher=oracle)"], ["needs a searcher"]),
        (["bench", "--policy", "two_agent(reasoner=oracle, searcher=oracle+blank)"], ['unknown control "blank"']),
        (["bench", "--policy", "two_agnet(reasoner=oracle, searcher=oracle)"], ['did you mean "two_agent"']),
        (["bench", "--policy", "oracle+blank"], ['unknown control "blank"', "blank_crop"]),
        (["bench", "--dialect", "mini-o3"], ['did you mean "mini_o3"']),
        (["bench", "--reward", "minio3"], ['did you mean "mini_o3"']),
        (["bench", "--judge", "numerical"], ['did you mean "numeric"']),
        (["bench", "--split", "tests"], ['no split "tests"', 'did you mean "test"']),
        (["bench", "--suite", "synthetic?famly=hidden"], ['no option "famly"', 'did you mean "family"']),
        (["bench", "--suite", "synthetic?family=hiden"], ['did you mean "hidden"']),
        (["bench", "--env", "max_pixel=3"], ['did you mean "max_pixels"']),
        (["bench", "--env", "size_rule=deep_eyes"], ['did you mean "deepeyes"']),
        (["bench", "--env", "focus=crops"], ['did you mean "crop"']),
        (["bench", "--env", "max_pixels=big"], ["max_pixels", "whole number", "'big'"]),
        (["bench", "--sweep", "focuss=crop,draw"], ['did you mean "focus"']),
        (["bench", "--suite", "local:nowhere.jsonl"], ["nowhere.jsonl"]),
        (["bench", "--prompt", "nowhere.txt"], ["nowhere.txt"]),
        (["bench", "--dialect", "insight_o3", "--suite", "synthetic?family=text"], ["cannot express answer"]),
        (["view", "nowhere"], ["no run at nowhere", "run.json"]),
        (["check", "tols:crop"], ['unknown kind "tols"', 'did you mean "tool"']),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(command, words, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("episodes.jsonl")), "a run folder was begun for a run that cannot be"


@pytest.mark.parametrize("turns", ["0", "1", "x", "4,,8", "-3"])
def test_bad_numbers_are_usage_errors(turns: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--turns", turns])
    assert stopped.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name in (
        "o3gym/Synthetic-hidden-hard-v0",
        "local",
        "mini_o3",
        "oracle",
        "blank_crop",
        "crop",
        "deepeyes",
        "anls",
        "thyme",
    ):
        assert name in said
    assert main(["list", "--judges"]) == 0
    assert "oracle" not in capsys.readouterr().out


def test_check_passes_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tool:crop"]) == 0
    assert main(["check", "suite:local:nowhere.jsonl"]) == 2
    assert "nowhere.jsonl" in capsys.readouterr().out


def test_bench_writes_a_run_a_report_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, "--policy", "oracle", "--policy", "sweep", "--turns", "4,8", "-k", "2") == 0
    said = capsys.readouterr().out
    assert "oracle" in said
    assert str(tmp_path) in said
    report = json.loads((tmp_path / "report.json").read_text())
    assert [arm["arm"] for arm in report["arms"]] == ["oracle", "sweep"]
    assert report["arms"][0]["accuracy"]["value"] == 1.0
    assert [point["x"] for point in report["curves"]["oracle"]] == [4, 8]
    assert len(open_run(tmp_path).trajectories()) == 2 * 6 * 2
    for name in ("report.md", "curve.svg", "view.html", "thumbs"):
        assert (tmp_path / name).exists()


def test_two_agents_are_one_arm_and_a_stopped_run_of_them_goes_on(tmp_path: Path) -> None:
    pair, other = "two_agent(reasoner=oracle, searcher=oracle)", "two_agent(reasoner=oracle, searcher=random)+no_tool"
    command = ["--policy", pair, "--policy", other, "--no-view"]
    assert bench(tmp_path / "whole", *command) == 0
    assert bench(tmp_path / "cut", *command) == 0
    stored = tmp_path / "cut" / "episodes.jsonl"
    stored.write_bytes(b"".join(stored.read_bytes().splitlines(keepends=True)[:5]))
    assert bench(tmp_path / "cut", *command) == 0
    for name in ("report.json", "report.md", "run.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    first, second = json.loads((tmp_path / "whole" / "report.json").read_text())["arms"]
    assert (first["accuracy"]["value"], first["found"]) == (1.0, 1.0)
    assert first["searches"] > 0
    assert second["searches"] is None
    key = operator.attrgetter("key")
    assert sorted(open_run(tmp_path / "cut"), key=key) == sorted(open_run(tmp_path / "whole"), key=key)


def test_sweep_compares_every_combination(tmp_path: Path) -> None:
    assert bench(tmp_path, "--sweep", "focus=crop,draw;tools=crop+answer,crop+reuse+answer", "--no-view") == 0
    arms = [arm["arm"] for arm in json.loads((tmp_path / "report.json").read_text())["arms"]]
    assert len(arms) == 4
    assert "oracle · focus=draw, tools=crop+reuse+answer" in arms
    assert (tmp_path / "sweep.svg").exists()
    focus = {t.env["focus"]: {s.kind for s in t.sources} for t in open_run(tmp_path).records()}
    assert "derived" in focus["draw"]
    assert "derived" not in focus["crop"]


def test_group_terms_are_settled_with_the_siblings(tmp_path: Path) -> None:
    assert bench(tmp_path, "--reward", "pixel_reasoner", "-k", "3", "--policy", "random") == 0
    assert json.loads((tmp_path / "report.json").read_text())["arms"][0]["reward"] is not None


def test_another_protocol_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, "--no-view") == 0
    before = (tmp_path / "episodes.jsonl").read_bytes()
    assert bench(tmp_path, "--no-view", "--seed", "1") == 2
    assert "seed" in capsys.readouterr().err
    assert (tmp_path / "episodes.jsonl").read_bytes() == before


def test_a_killed_run_goes_on_to_the_same_report(tmp_path: Path) -> None:
    """SIGKILL at three moments, then to the end: no episode lost that was stored, none twice, the report the same."""
    more = ["--policy", "oracle", "--policy", "random", "--turns", "3,6", "-k", "3", "--episodes", "20", "--no-view"]
    command = [sys.executable, "-m", "o3gym.cli.main", "bench", *SMALL, *more, "--out"]
    killed, whole, stored = tmp_path / "killed", tmp_path / "whole", 0
    for target in (10, 40, 80):
        process = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and lines(killed) < target:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert stored <= lines(killed)
        stored = lines(killed)
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    keys = [trajectory.key for trajectory in open_run(killed).records()]
    assert len(keys) == len(set(keys)) == 2 * 20 * 3
    for name in ("report.json", "report.md", "curve.svg", "run.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def lines(folder: Path) -> int:
    path = folder / "episodes.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_disk_full_is_a_clear_error_and_nothing_stored_is_lost(tmp_path: Path, capsys, monkeypatch) -> None:
    real, written = os.write, 0

    def full(descriptor: int, data: bytes) -> int:
        nonlocal written
        if written == 3 and len(data) > 1000:
            real(descriptor, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        written += len(data) > 1000
        return real(descriptor, data)

    monkeypatch.setattr("os.write", full)
    assert bench(tmp_path, "--no-view") == 2
    assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr("os.write", real)
    assert len(open_run(tmp_path).trajectories()) == 3
    assert bench(tmp_path, "--no-view") == 0
    assert len(open_run(tmp_path).trajectories()) == 6
