"""`o3gym bench` from the command line: its files, and its resumption after a kill or a full disk."""

from __future__ import annotations

import json
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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


def test_sampling_options_are_in_the_protocol_if_they_are_set(tmp_path: Path) -> None:
    plain = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 1024, "stop": [], "seed": 0, "choices": []}
    for name, options, more in (
        ("plain", [], {}),
        (
            "set",
            ["--code-temperature", "0", "--repetition-penalty", "1.05"],
            {"repetition_penalty": 1.05, "code_temperature": 0.0},
        ),
    ):
        assert bench(tmp_path / name, "--episodes", "1", "--no-view", *options) == 0
        assert open_run(tmp_path / name).protocol["sampling"] == {**plain, **more}


def test_a_temperature_for_code_needs_a_dialect_that_marks_it(tmp_path: Path, capsys: Any) -> None:
    options = ["--policy", "oracle", "--policy", "openai:m", "--dialect", "mini_o3", "--code-temperature", "0"]
    assert bench(tmp_path, *options) == 2
    assert "openai:m: code_temperature: the dialect mini_o3 has no tags around code" in capsys.readouterr().err
    assert not (tmp_path / "episodes.jsonl").exists()


def test_a_killed_run_goes_on_to_the_same_report(tmp_path: Path) -> None:
    """SIGKILL at three moments, then to the end: no episode lost that was stored, none twice, the report the same."""
    more = ["--policy", "oracle", "--policy", "random", "--turns", "3,6", "-k", "3", "--episodes", "12", "--no-view"]
    command = ["bench", *SMALL, *more, "--out"]
    killed, whole, stored = tmp_path / "killed", tmp_path / "whole", 0
    for target in (6, 24, 48):
        program = [sys.executable, "-m", "o3gym", *command, str(killed)]
        process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and lines(killed) < target:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert stored <= lines(killed)
        stored = lines(killed)
    assert main([*command, str(killed)]) == 0
    assert main([*command, str(whole)]) == 0
    keys = [trajectory.key for trajectory in open_run(killed).records()]
    assert len(keys) == len(set(keys)) == 2 * 12 * 3
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
