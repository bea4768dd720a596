"""`o3gym synth verify`: what it prints, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from o3gym.cli.main import main
from tests.synthesis.traces.detour_chains import right, stored

SERVER = "http://127.0.0.1:9/v1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return stored(tmp_path / "run", right("simple_o3")[:2])


def verify(run: Path, *more: str) -> int:
    return main(["synth", "verify", str(run), "--out", str(run.parent / "out"), *more])


def test_the_table_is_printed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(run, "--kind", "wrong answer", "--count", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 right chains, 1 with a planted error"
    (row,) = (line for line in lines if line.startswith("| wrong answer |"))
    assert row.endswith("| 100 [21, 100] of 1 | 100 [21, 100] of 1 |")
    assert (run.parent / "out" / "report.json").is_file()
    assert f"o3gym view {run.parent / 'out' / 'planted'}" in lines[-1]


def test_a_dry_run_prices_the_judge_and_writes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(run, "--judge", "openai:m", "--base-url", SERVER, "--dry-run") == 0
    text = capsys.readouterr().out
    assert "     2 right chains" in text
    assert "     2 wrong answer" in text
    assert "expected:" in text
    assert "completion tokens" in text
    assert not (run.parent / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kind", "typo"], 'kind: expected one of box moved off, .*; got "typo"'),
        (["--arm", "typo"], 'arm: expected one of detour; got "typo"'),
        (["--base-url", SERVER], "none of the policies asks a server"),
        (["--judge", "oracle"], '"oracle" needs to know the answer'),
        (["--judge", "openay:m"], 'did you mean "openai"'),
    ],
)
def test_bad_options_are_refused_before_anything_is_made(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert verify(run, *options) == 2
    found = capsys.readouterr().err.replace("\n", " ")
    assert re.search(words, found)
    assert not (run.parent / "out").exists()
