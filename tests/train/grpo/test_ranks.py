"""Several processes (gloo, on a CPU): the gradients of one, whatever each has, and none waits for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from o3gym.runs.store import open_run
from tests.train.tiny_folder import same, write_folder

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("start"))


def launch(processes: int, mode: str, start: Path, out: Path, config: str = "", **variables: str) -> None:
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    if config:
        path = HERE.parents[2] / "examples" / "accelerate" / config
        command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path)]
        command += ["--mixed_precision", "no", "--num_processes", str(processes)]
        command += ["--main_process_port", "0"]  # any that is free
    variables |= {"PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*command, str(HERE / "ranks.py"), mode, str(start), str(out)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(("mean", "config"), [("token", ""), ("sequence", ""), ("token", "fsdp.yaml")])
def test_two_processes_make_the_gradients_of_one(start: Path, tmp_path: Path, mean: str, config: str) -> None:
    launch(1, "gradients", start, tmp_path, O3GYM_MEAN=mean)
    launch(2, "gradients", start, tmp_path, config, O3GYM_MEAN=mean)
    one, first, second = (torch.load(tmp_path / f"gradients-{name}.pt") for name in ("0-of-1", "0-of-2", "1-of-2"))
    assert max(float(grad.abs().max()) for grad in one.values()) > 1e-3
    for name, grad in one.items():
        torch.testing.assert_close(first[name], grad, rtol=1e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")
        assert torch.equal(first[name], second[name])


@pytest.mark.parametrize("config", ["", "fsdp.yaml"])
def test_a_whole_training_in_two_processes_ends(start: Path, tmp_path: Path, config: str) -> None:
    launch(2, "whole", start, tmp_path, config)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["finished"]
    assert record["devices"] == 2
    assert not same(tmp_path, start)
    groups = [{t.group for t in open_run(tmp_path / "rollouts" / f"000000-{rank}")} for rank in (0, 1)]
    assert groups[0]
    assert not groups[0] & groups[1]


def test_processes_with_different_numbers_of_searches_end(start: Path, tmp_path: Path) -> None:
    launch(2, "in_loop", start, tmp_path)
    assert json.loads((tmp_path / "training.json").read_text())["finished"]
    runs = [list(open_run(tmp_path / "rollouts" / f"000000-{rank}")) for rank in (0, 1)]
    searches = [sum(len(t.children) for t in run) for run in runs]
    assert searches[0] != searches[1]
    assert min(searches) > 0
