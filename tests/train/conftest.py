from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.policies.local.encoding import Encoder
from tests.train.tiny_folder import processor


@pytest.fixture(scope="session")
def encoder() -> Any:
    return Encoder(processor())


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six episodes in the dialect of Mini-o3, three of them right."""
    folder = tmp_path_factory.mktemp("run")
    bench = Bench(
        suite="synthetic?family=attribute&difficulty=easy&pixels=40000&answers=free",
        policies=("detour?p=0.7", "sweep"),
        dialect="mini_o3",
        episodes=3,
        turns=(5,),
        env={"min_pixels": 1024, "max_pixels": 9216},
    )
    run(bench, folder)
    return folder
