"""`o3gym check`."""

from __future__ import annotations

import pytest

from o3gym.cli.main import main


def test_check_passes_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tool:crop"]) == 0
    assert main(["check", "suite:local:nowhere.jsonl"]) == 2
    assert "nowhere.jsonl" in capsys.readouterr().out


def test_check_prints_a_line_per_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tool:crop"]) == 0
    assert capsys.readouterr().out == "ok      tool:crop\n"
    assert main(["check", "suite:local:[red]nowhere.jsonl"]) == 2
    assert capsys.readouterr().out.startswith("failed  suite:local:[red]nowhere.jsonl: "), "names are not markup"
