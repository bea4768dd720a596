"""Several processes (gloo, on a CPU): the gradients of one, whatever each has, and none waits for ever.

Starting a process that imports torch and TRL takes longer than any training here, so that the trainings of one
configuration run one after the other in the same two processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.runs.store import open_run
from tests.train.grpo.spelled import played, rewarded
from tests.train.grpo.test_grpo_trainer import REWARDS, recipe, trained
from tests.train.tiny_folder import same, write_folder

HERE = Path(__file__).parent


def launch(start: Path, out: Path, config: str, *trainings: str) -> None:
    """Runs `ranks.py` in two processes, by torchrun or with a configuration of accelerate."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    if config:
        path = HERE.parents[2] / "examples" / "accelerate" / config
        command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path)]
        command += ["--mixed_precision", "no", "--num_processes", "2", "--main_process_port", "0"]  # any free port
    variables = {"PYTHONPATH": str(HERE.parents[2]), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*command, str(HERE / "ranks.py"), str(start), str(out), *trainings],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("config", ["", "fsdp.yaml"])
def test_two_processes_train_as_one_does(tmp_path: Path, config: str) -> None:
    start = write_folder(tmp_path / "start")
    launch(start, tmp_path, config, "token", "sequence", "whole", *([] if config else ["in_loop"]))
    for mean in ("token", "sequence"):
        assert_gradients_of_one(start, tmp_path / mean, mean)
    assert_trained_on_tasks_of_their_own(start, tmp_path / "whole")
    if not config:
        assert_searched_differently_often(tmp_path / "in_loop")


def assert_gradients_of_one(start: Path, out: Path, mean: str) -> None:
    """Both processes made the gradients that one makes with the episodes of both."""
    encoder = Encoder(load_processor(str(start)))
    spy, _ = trained(recipe(start, mean=mean), rewarded(played(encoder), REWARDS), out / "alone")
    one = spy.steps[0][1]
    first, second = (torch.load(out / f"{rank}.pt") for rank in (0, 1))
    assert max(float(grad.abs().max()) for grad in one.values()) > 1e-3
    assert set(first) == set(second) == set(one)
    for name, grad in one.items():
        torch.testing.assert_close(first[name], grad, rtol=1e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")
        assert torch.equal(first[name], second[name])


def assert_trained_on_tasks_of_their_own(start: Path, out: Path) -> None:
    """A whole training came to its end, and no two processes played the same tasks."""
    record = json.loads((out / "training.json").read_text())
    assert record["finished"]
    assert record["devices"] == 2
    assert not same(out, start)
    groups = [{t.group for t in open_run(out / "rollouts" / f"000000-{rank}")} for rank in (0, 1)]
    assert groups[0]
    assert not groups[0] & groups[1]


def assert_searched_differently_often(out: Path) -> None:
    """A training came to its end although the processes had different numbers of searches to learn from."""
    assert json.loads((out / "training.json").read_text())["finished"]
    runs = [list(open_run(out / "rollouts" / f"000000-{rank}")) for rank in (0, 1)]
    searches = [sum(len(t.children) for t in run) for run in runs]
    assert searches[0] != searches[1]
    assert min(searches) > 0
