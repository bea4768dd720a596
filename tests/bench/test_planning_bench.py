"""Benchmarks of visual planning: turns of the suite, tools that a dialect can express, and a run from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from o3gym.bench.definition import Bench, expressible
from o3gym.bench.run import run
from o3gym.dialects.base import make_dialect
from o3gym.suites.base import make_suite

SUITE = "planning-frozenlake"


def test_the_suite_decides_about_turns_unless_they_are_given() -> None:
    assert Bench(suite=f"{SUITE}?level=4").turns == (32,)
    assert Bench(suite=SUITE, turns=(4, 8)).turns == (4, 8)
    assert Bench().turns == (6,)
    assert Bench(suite="typo").turns == (6,)
    (arm,) = Bench(suite=SUITE).arms()
    assert arm.env["max_turns"] == 32
    with pytest.raises(TypeError, match="turns: expected a sequence with at least one entry"):
        Bench(turns="")
    with pytest.raises(TypeError, match="turns: expected a sequence with at least one entry"):
        Bench(turns=[])


@pytest.mark.parametrize(
    ("dialect", "tools"),
    [
        ("vagen", ["move"]),
        ("next_state", ["draw_state"]),
        ("plan", ["answer"]),
        ("mgsd", ["answer"]),
        ("mini_o3", ["answer"]),
        ("openai", ["move", "answer"]),
        ("qwen3_vl", ["move", "answer"]),
    ],
)
def test_a_dialect_keeps_the_tools_that_it_can_express(dialect: str, tools: list[str]) -> None:
    assert expressible(None, make_dialect(dialect), make_suite(SUITE)) == tools


def test_a_dialect_of_moves_ends_no_other_tasks() -> None:
    with pytest.raises(ValueError, match="dialect vagen cannot express answer, which ends tasks of suite synthetic"):
        expressible(None, make_dialect("vagen"), make_suite("synthetic"))


@pytest.mark.parametrize("dialect", ["", "vagen", "next_state", "plan"])
def test_scripted_policies_are_compared(dialect: str, tmp_path: Path) -> None:
    bench = Bench(
        suite=SUITE,
        suite_args={"level": 3},
        policies=("optimal", "random_walk"),
        dialect=dialect,
        episodes=2,
        turns=(6,),
        reward="vprl",
    )
    report = run(bench, tmp_path / "run", thumbnails=False)
    best, walk = report.arms
    assert (best.accuracy.value, best.failed) == (1.0, 0)
    assert walk.failed == 0
    protocol = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (protocol["turns"], protocol["measure"], protocol["suite_version"]) == ([6], "planning", "0")
    assert run(bench, tmp_path / "run", thumbnails=False).arms[0].accuracy.value == 1.0  # resumed
