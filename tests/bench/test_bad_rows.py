"""A bad row of a suite never ends a run: it is skipped, counted and named, and another row takes its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from o3gym.bench.definition import Bench
from o3gym.bench.run import page, run
from o3gym.cli.main import main
from o3gym.registry import SUITES
from o3gym.runs.store import RunError, open_run
from o3gym.suites.base import BadTask, SuiteError
from o3gym.suites.local import Local
from o3gym.types import Task

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes 40 rows about one picture; `bad` are the numbers of those that are broken, from 0."""
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")

    def make(bad: Sequence[int] = (), rows: int = 40) -> Path:
        row = {"image": "a.png", "question": "Which?", "options": ["red", "blue"], "answer": "A"}
        lines = [json.dumps({**row, **({"answer": "E"} if i in bad else {})}) for i in range(rows)]
        (tmp_path / "index.jsonl").write_text("\n".join(lines))
        return tmp_path / "index.jsonl"

    return make


def bench(file: Path, **fields: Any) -> Bench:
    env = {"min_pixels": 100, "max_pixels": 5000}
    return Bench(**{"suite": f"local:{file}", "policies": ("always:A",), "env": env, "episodes": 0, **fields})


def test_one_bad_row_of_forty_is_skipped_counted_and_named(write: Write, tmp_path: Path) -> None:
    file = write(bad=[17])
    report = run(bench(file), tmp_path / "run")
    assert report.arms[0].episodes == 39
    assert (report.protocol["tasks"], report.protocol["skipped"]) == (39, 1)
    assert report.protocol["skipped_indices"] == [17]
    (warning,) = report.warnings
    assert warning.startswith("1 of 40 rows were skipped, because they are bad; 39 tasks were drawn: ")
    assert f"{file}, line 18, field \"answer\": expected one of the letters AB, got 'E'" in warning
    assert warning.replace("<", "&lt;") in (tmp_path / "run" / "report.md").read_text("utf-8")


def test_another_row_takes_the_place_of_a_bad_one(write: Write) -> None:
    order = bench(write()).open_suite().pick(40, 0)
    jobs = bench(write(bad=[order[3]]), episodes=10).jobs()
    assert [job.task for job in jobs] == [*order[:3], *order[4:11]]
    assert [job.task for job in bench(write(), episodes=10).jobs()] == order[:10]


def test_five_rows_are_named_and_the_others_counted(write: Write) -> None:
    protocol = bench(write(bad=range(7), rows=200)).protocol()
    (warning,) = protocol["warnings"]
    assert protocol["skipped"] == 7
    assert [f"line {i + 1}," in warning for i in range(7)].count(True) == 5
    assert warning.endswith("(and 2 more)")


def test_a_run_without_bad_rows_says_nothing(write: Write) -> None:
    protocol = bench(write(), episodes=7).protocol()
    assert (protocol["tasks"], protocol["items"], protocol["warnings"]) == (7, 40, [])
    assert not {"skipped", "skipped_indices", "strict"} & protocol.keys()


@pytest.mark.parametrize(("bad", "episodes"), [(range(3), 0), (range(30), 0), (range(35), 3)])
def test_too_many_bad_rows_are_an_error(bad: Sequence[int], episodes: int, write: Write) -> None:
    with pytest.raises(SuiteError, match=r"local \(test\): \d+ of \d+ rows are bad, more than 5%: .*index.jsonl, line"):
        bench(write(bad), episodes=episodes).jobs()


@pytest.mark.parametrize(("bad", "rows"), [(1, 40), (2, 40), (1, 2), (10, 200)])
def test_up_to_five_per_cent_or_a_single_one_are_not(bad: int, rows: int, write: Write) -> None:
    assert len(bench(write(range(bad), rows)).jobs()) == rows - bad


def test_a_strict_run_ends_at_the_first_bad_row(write: Write) -> None:
    with pytest.raises(BadTask, match="line 18"):
        bench(write(bad=[17]), strict=True).jobs()
    assert bench(write(), strict=True).protocol() == bench(write()).protocol()


def test_the_command_skips_or_is_strict(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "--suite", f"local:{write(bad=[17])}", "--policy", "always", "--episodes", "0", "--no-view"]
    assert main([*command, "--strict", "--out", str(tmp_path / "strict")]) != 0
    assert "index.jsonl, line 18, field" in capsys.readouterr().err
    assert not (tmp_path / "strict").exists()
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "warning: 1 of 40 rows were skipped, because they are bad; 39 tasks were drawn" in printed


def test_a_resumed_run_skips_the_same_rows(write: Write, tmp_path: Path) -> None:
    file = write(bad=[17])
    first = run(bench(file, k=2), tmp_path / "run")
    path = tmp_path / "run" / "episodes.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:11]))
    assert run(bench(file, k=2), tmp_path / "run") == first
    assert len(open_run(tmp_path / "run").done()) == 78


class Vanishing(Local):
    """A local suite, one of whose rows can be read once only."""

    def task(self, index: int) -> Task:
        if index == 2 and self.__dict__.setdefault("asked", 0) > 0:
            raise BadTask(f"{self.file}, line 3", "image", "expected an existing file")
        self.__dict__["asked"] = self.__dict__.get("asked", 0) + (index == 2)
        return super().task(index)


def test_a_row_that_vanishes_after_it_was_drawn_ends_only_its_episode(
    write: Write, tmp_path: Path, register: Any
) -> None:
    spec = f"{register(SUITES, 'vanishing', Vanishing)}:{write(rows=5)}"
    report = run(bench(tmp_path / "unused", suite=spec, env={}), tmp_path / "run")
    (arm,) = report.arms
    assert (arm.episodes, arm.failed, arm.accuracy.value) == (5, 1, 1.0)
    assert any("BadTask: " in text and "line 3" in text for text in report.warnings)
    assert page(tmp_path / "run").is_file()


def test_a_run_on_changed_files_is_refused_with_what_differs(write: Write, tmp_path: Path) -> None:
    run(bench(write()), tmp_path / "run")
    os.utime(tmp_path / "a.png", ns=(1, 1))
    with pytest.raises(
        RunError, match=r"another protocol;[^\n]*\n  suite_files.pictures_sha256: expected \S+ got \S+$"
    ):
        run(bench(write()), tmp_path / "run")
    with pytest.raises(RunError, match=r"suite_files\.file_sha256: expected"):
        run(bench(write(bad=[3])), tmp_path / "run")
