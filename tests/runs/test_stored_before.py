"""Runs that earlier versions of o3gym stored: they open, report the same numbers, and are continued.

`stored_before/` holds two runs of 0.1.0 as it was before its modules moved: three scripted arms at two turn budgets,
and a pair of agents whose searches are stored as children of the reasoner's episodes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench, packages
from o3gym.bench.run import page, report, run
from o3gym.runs.store import open_run

STORED = Path(__file__).with_name("stored_before")
NAMES = sorted(folder.name for folder in STORED.iterdir())


@pytest.fixture(params=NAMES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED / request.param, tmp_path / request.param))


def test_every_episode_is_read_and_would_be_written_the_same(folder: Path) -> None:
    lines = (folder / "episodes.jsonl").read_text("utf-8").splitlines()
    read = [trajectory.to_json() for trajectory in open_run(folder)]
    assert read == [json.loads(line) for line in lines]
    assert len(read) == {"search": 12, "two": 2}[folder.name]


def test_the_report_is_the_one_of_then(folder: Path) -> None:
    then = json.loads((folder / "report.json").read_text("utf-8"))
    report(folder)
    now = json.loads((folder / "report.json").read_text("utf-8"))
    assert now == then


def test_the_page_of_a_stored_run_is_written(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(STORED / "search", tmp_path / "search"))
    assert page(folder, embed=True).read_text("utf-8").count("data:image/jpeg") > 0


def protocol_of(folder: Path) -> dict[str, Any]:
    """The protocol, as if the run had been made with the packages that are installed here."""
    path = folder / "run.json"
    protocol: dict[str, Any] = json.loads(path.read_text("utf-8"))
    protocol["packages"] = packages()
    path.write_text(json.dumps(protocol, indent=2) + "\n", "utf-8")
    return protocol


def test_a_stored_run_is_continued(folder: Path) -> None:
    lines = (folder / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "episodes.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:100])  # killed while it wrote the last
    protocol = protocol_of(folder)
    settings = ("suite", "policies", "episodes", "turns", "k", "seed")
    bench = Bench(**{name: tuple(v) if isinstance(v := protocol[name], list) else v for name in settings})
    then = json.loads((folder / "report.json").read_text("utf-8"))
    run(bench, folder)
    again = (folder / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    assert again[:-1] == lines[:-1]
    now = json.loads((folder / "report.json").read_text("utf-8"))
    coverages = [[arm.pop("coverage") for arm in one["arms"]] for one in (now, then)]
    assert now["arms"] == then["arms"]
    assert coverages[0] == pytest.approx(coverages[1], abs=0.01)  # systems' boxes have been rounded differently since
