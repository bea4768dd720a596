from __future__ import annotations

import json
from pathlib import Path

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import merge_and_report, run
from o3gym.cli import main as cli
from o3gym.runs.compare import Incomparable, compare
from o3gym.runs.store import EPISODES, PROTOCOL, RunError, open_run

SUITE = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"min_pixels": 1000, "max_pixels": 40_000}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An oracle and two that guess, on twelve tasks; and the guessing with fewer turns, on half of them."""
    folder = tmp_path_factory.mktemp("runs")
    run(Bench(policies=("oracle",), suite_args=SUITE, episodes=12, env=ENV), folder / "oracle")
    run(Bench(policies=("always", "random"), suite_args=SUITE, episodes=12, env=ENV), folder / "guesses")
    run(Bench(policies=("always",), suite_args=SUITE, episodes=6, env=ENV, turns=(4,)), folder / "other")
    return folder


def test_differences_are_taken_per_task(runs: Path) -> None:
    found = compare(runs / "guesses", runs / "oracle", arm="always")
    right = round(12 * found.means[0])
    assert found.means[1] == 1.0
    assert found.tasks == 12
    assert (found.gained, found.lost, found.left_out) == (12 - right, 0, 0)
    assert found.difference == pytest.approx(1 - right / 12)
    assert found.low <= found.difference <= found.high
    back = compare(runs / "oracle", runs / "guesses", other="always")
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=0.1)


def test_an_arm_does_not_differ_from_itself(runs: Path) -> None:
    found = compare(runs / "guesses", runs / "guesses", arm="random")
    assert (found.first, found.second, found.difference, found.gained, found.lost) == ("random", "random", 0.0, 0, 0)


def test_unequal_runs_are_refused_with_what_differs_unless_forced(runs: Path) -> None:
    with pytest.raises(
        Incomparable, match=r"env.max_turns: 6, 4; episodes: 12, 6; tasks: 12, 6; turns: .*\(--force compares\)"
    ):
        compare(runs / "oracle", runs / "other")
    found = compare(runs / "oracle", runs / "other", force=True)
    assert found.differing == ("env.max_turns: 6, 4", "episodes: 12, 6", "tasks: 12, 6", "turns: [6], [4]")
    assert (found.tasks, found.left_out) == (6, 6)


def test_arms_that_are_not_there_are_named(runs: Path) -> None:
    with pytest.raises(ValueError, match='no arm "alway"; did you mean "always"'):
        compare(runs / "guesses", runs / "oracle", arm="alway")
    with pytest.raises(ValueError, match="several arms, name one"):
        compare(runs / "guesses", runs / "oracle")


def test_where_the_files_lie_is_no_difference(runs: Path, tmp_path: Path) -> None:
    protocol = json.loads((runs / "oracle" / PROTOCOL).read_text())
    protocol["suite_args"]["data"] = "/elsewhere"
    protocol["arms"]["oracle"]["suite_args"]["data"] = "/elsewhere"
    (tmp_path / PROTOCOL).write_text(json.dumps(protocol))
    (tmp_path / EPISODES).write_text((runs / "oracle" / EPISODES).read_text())
    assert compare(runs / "oracle", tmp_path).differing == ()


def test_what_a_dialect_brings_along_is_no_difference(runs: Path, tmp_path: Path) -> None:
    protocol = json.loads((runs / "oracle" / PROTOCOL).read_text())
    protocol["arms"]["oracle"] |= {"on_void": "continue", "code_rule": "pyvision", "size_rule": "thyme"}
    (tmp_path / PROTOCOL).write_text(json.dumps(protocol))
    (tmp_path / EPISODES).write_text((runs / "oracle" / EPISODES).read_text())
    assert compare(runs / "oracle", tmp_path).differing == ()


def test_failed_tasks_are_not_called_those_of_one_run(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / PROTOCOL).write_text((runs / "oracle" / PROTOCOL).read_text())
    rows = [json.loads(line) for line in (runs / "oracle" / EPISODES).read_text().splitlines()]
    rows[0]["verdict"], rows[1]["stop"], rows[1]["verdict"], rows[2]["verdict"] = "failed", "error", "failed", ""
    (tmp_path / EPISODES).write_text("".join(json.dumps(row) + "\n" for row in rows[:-2]))
    found = compare(runs / "oracle", tmp_path)
    assert (found.tasks, found.failed, found.left_out) == (7, 3, 2)
    assert cli.main(["compare", str(runs / "oracle"), str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("; left out: 3 failed or never judged in at least one arm; 2 in one run only")
    assert cli.main(["compare", str(runs / "oracle"), str(runs / "oracle")]) == 0
    assert "left out" not in capsys.readouterr().out


def test_the_command(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(runs / "guesses"), str(runs / "oracle"), "--arm", "always"]) == 0
    said = capsys.readouterr().out
    assert "oracle" in said
    assert "better on" in said
    assert cli.main(["compare", str(runs / "oracle"), str(runs / "other")]) == 2
    assert "turns: [6], [4]" in capsys.readouterr().err


def test_parts_of_a_run_merge_into_the_whole(tmp_path: Path) -> None:
    bench = Bench(policies=("always", "random"), suite_args=SUITE, episodes=5, env=ENV, k=2, turns=(3,))
    run(bench, tmp_path / "whole")
    for number in (1, 2):
        run(bench, tmp_path / str(number), shard=(number, 2))
    parts = [len(open_run(tmp_path / name).trajectories()) for name in ("1", "2")]
    assert parts == [12, 8]
    merge_and_report([tmp_path / "1", tmp_path / "2", tmp_path / "1"], tmp_path / "merged")
    assert (tmp_path / "merged" / "report.json").read_bytes() == (tmp_path / "whole" / "report.json").read_bytes()


def test_runs_of_other_protocols_are_not_merged(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"(?s)another protocol than .*episodes: 12, 6"):
        merge_and_report([runs / "guesses", runs / "other"], tmp_path / "merged")


def test_the_merge_command_needs_a_folder(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--merge", str(runs / "oracle")]) == 2
    assert "--out FOLDER" in capsys.readouterr().err
    assert cli.main(["bench", "--merge", str(runs / "oracle"), "--out", str(tmp_path / "m"), "--no-view"]) == 0
    assert "oracle" in capsys.readouterr().out
