"""Benchmarks of policies that write code: the sandbox is part of the protocol, and the report counts what ran."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.cli.main import main
from o3gym.runs.compare import compare
from o3gym.runs.store import RunError, RunStore, open_run
from o3gym.sandbox import SandboxUnavailable, open_sandbox

SMALL: dict[str, Any] = {
    "suite": "synthetic?family=attribute&difficulty=easy&pixels=60000",
    "policies": ("random",),
    "env": {"min_pixels": 1000, "max_pixels": 4000, "sandbox": "trust"},
    "episodes": 1,
    "dialect": "pyvision",
    "turns": (3,),
}


def test_the_sandbox_is_in_the_protocol_of_arms_with_code() -> None:
    protocol = Bench(**SMALL).protocol()
    assert protocol["sandboxes"] == {"random": open_sandbox("trust").describe()}
    assert protocol["sandboxes"]["random"]["rung"] == "trust"
    assert protocol["arms"]["random"]["code_rule"] == "pyvision"
    assert json.loads(json.dumps(protocol["sandboxes"])) == protocol["sandboxes"]


def test_a_protocol_without_code_opens_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.bench.definition.open_sandbox", None)
    assert "sandboxes" not in Bench(**{**SMALL, "dialect": "qwen3_vl"}).protocol()


def test_a_run_is_not_continued_in_another_sandbox(tmp_path: Path) -> None:
    with RunStore(tmp_path / "run", Bench(**SMALL).protocol()):
        pass
    other = Bench(**{**SMALL, "env": {**SMALL["env"], "sandbox": "trust?output=100"}})
    with pytest.raises(RunError, match=r"sandboxes\.random\.limits\.output: expected 20000, got 100"):
        RunStore(tmp_path / "run", other.protocol())


def test_an_unavailable_sandbox_is_told_before_the_first_episode(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    def refuse(spec: str) -> None:
        raise SandboxUnavailable("No sandbox works on this machine.")

    monkeypatch.setattr("o3gym.bench.definition.open_sandbox", refuse)
    with pytest.raises(SandboxUnavailable):
        run(Bench(**SMALL), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line_takes_the_sandbox_and_the_rule(tmp_path: Path) -> None:
    options = ["--suite", SMALL["suite"], "--policy", "random", "--dialect", "pyvision", "--episodes", "1"]
    options += ["--env", "sandbox=trust?memory=512", "--env", "code_rule=o3gym", "--out", str(tmp_path / "run")]
    assert main(["bench", *options, "--env", "min_pixels=1000", "--env", "max_pixels=4000"]) == 0
    stored = open_run(tmp_path / "run")
    assert stored.protocol["sandboxes"]["random"]["limits"]["memory"] == 512
    assert stored.protocol["arms"]["random"]["code_rule"] == "o3gym"
    (arm,) = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["arms"]
    assert arm["code_ran"] == 0.0  # a random source is one letter


def test_runs_with_and_without_code_can_be_compared(tmp_path: Path) -> None:
    run(Bench(**SMALL), tmp_path / "code")
    run(Bench(**{**SMALL, "dialect": "qwen3_vl", "env": {**SMALL["env"], "on_void": "continue"}}), tmp_path / "crops")
    comparison = compare(tmp_path / "crops", tmp_path / "code")
    assert comparison.tasks == 1
