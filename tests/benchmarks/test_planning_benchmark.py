"""The benchmark of planning: its parts run, at small sizes and without looking at times."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from o3gym.envs.planning import PlanningEnv

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "planning.py"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("benchmark_of_planning", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["benchmark_of_planning"] = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(SCRIPT.parent))  # the benchmarks import their neighbour
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    yield module
    del sys.modules["benchmark_of_planning"]


def test_no_move_of_a_layout_is_misread(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "WORLDS", {"frozenlake": None})
    figures = list(benchmark.all_moves(1))
    assert len(figures) == 3
    assert all(figure.met and figure.value == 0 for figure in figures)
    assert all("misread of" in figure.name for figure in figures)


def test_plays_count_their_steps(benchmark: Any) -> None:
    assert benchmark.random_play(PlanningEnv(observation="symbols"), 30) == 30
    assert benchmark.optimal_play(PlanningEnv(observation="symbols", layouts=2), 30) >= 30
    assert benchmark.seconds(lambda: 1, 2) >= 0


def test_the_same_work_is_done_on_the_lake_of_gymnasium(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    works: list[Any] = []
    monkeypatch.setattr(benchmark, "in_turn", lambda first, second, _: works.extend((first, second)) or (1.0, 6.0))
    figures = benchmark.gymnasium_lake()
    assert [figure.met for figure in figures] == [True, True]
    for work in works:
        work.args[1][3:] = []
        work()


def test_vectors_take_steps(benchmark: Any) -> None:
    assert benchmark.next_actions("move").shape == (64,)
    pictures = benchmark.next_actions("image")
    assert (pictures.shape, pictures.dtype) == ((64, 256, 256, 3), np.uint8)
