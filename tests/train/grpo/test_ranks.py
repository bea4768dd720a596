"""Several processes (gloo, on a CPU): the gradients of one, whatever each has, and none waits for ever.

Importing torch and TRL takes longer than any training here. So one process imports them once, and the others are forked
from it (multiprocessing's "forkserver"), and the trainings of one configuration run one after the other in them.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from o3gym.dialects.base import make_dialect
from o3gym.dialects.grid import Grid
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.runs.store import open_run
from tests.train.grpo import ranks
from tests.train.grpo.spelled import played, prompts, rewarded
from tests.train.grpo.test_grpo_trainer import REWARDS, recipe, trained
from tests.train.tiny_folder import same, write_folder

WORLD = 2


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([ranks.__name__, *ranks.IMPORTED])
    return context


def settings(config: str) -> dict[str, str]:
    """The variables that torchrun sets, or accelerate with a configuration."""
    variables = {"WORLD_SIZE": str(WORLD), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    if config:
        path = Path(__file__).parents[3] / "examples" / "accelerate" / config
        given = ["--config_file", str(path), "--mixed_precision", "no", "--num_processes", str(WORLD), "script.py"]
        arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(given))
        made = prepare_multi_gpu_env(arguments)
        variables = {
            **{key: value for key, value in made.items() if key.startswith(("ACCELERATE", "FSDP"))},
            **variables,
        }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return {**variables, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}


def launch(processes: Any, start: Path, out: Path, variables: Mapping[str, str], *trainings: str) -> None:
    started = [
        processes.Process(
            target=ranks.run,
            args=({**variables, "RANK": str(rank), "LOCAL_RANK": str(rank)}, start, out, trainings),
        )
        for rank in range(WORLD)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=300)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
    assert codes == [0] * WORLD, "".join(path.read_text() for path in out.glob("error-*.txt"))


def test_two_processes_train_as_one_does(processes: Any, tmp_path: Path) -> None:
    """One test for both configurations, so that one worker of pytest imports everything for both."""
    start = write_folder(tmp_path / "start", [*prompts(Grid()), *prompts(make_dialect("qwen3_vl"))])
    alone = {mean: gradients_of_one(start, tmp_path / mean, mean) for mean in ("token", "sequence")}
    for config in ("", "fsdp.yaml"):
        trains_as_one(processes, start, tmp_path / (config or "ddp"), config, alone)


def gradients_of_one(start: Path, out: Path, mean: str) -> Mapping[str, torch.Tensor]:
    """The gradients that one process makes with the episodes of both."""
    encoder = Encoder(load_processor(str(start)))
    spy, _ = trained(recipe(start, mean=mean), rewarded(played(encoder), REWARDS), out)
    return spy.steps[0][1]


def trains_as_one(
    processes: Any, start: Path, out: Path, config: str, alone: Mapping[str, Mapping[str, torch.Tensor]]
) -> None:
    variables = settings(config)
    assert (variables.get("ACCELERATE_USE_FSDP") == "true") == bool(config)
    out.mkdir()
    launch(processes, start, out, variables, "token", "sequence", "whole", *([] if config else ["in_loop"]))
    for mean, one in alone.items():
        assert_gradients_of_one(out / mean, one)
    assert_trained_on_tasks_of_their_own(start, out / "whole")
    if not config:
        assert_searched_differently_often(out / "in_loop")


def assert_gradients_of_one(out: Path, one: Mapping[str, torch.Tensor]) -> None:
    """Both processes made the gradients that one makes with the episodes of both."""
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
