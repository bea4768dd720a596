"""One process of several, which makes one training after the other, for `test_ranks.py`."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

IMPORTED = ("o3gym.train.grpo.trainer", "tests.train.grpo.test_grpo_run", "tests.train.grpo.test_reasoner_in_loop")
"""What takes long to import and is imported once for all processes."""


def allow_fsdp_on_a_cpu() -> None:
    """accelerate takes FSDP's settings on accelerators alone; all that follows from them runs on a CPU, too."""
    made = AcceleratorState.__init__

    def make(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        made(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        self.plugin = fsdp_plugin or getattr(self, "plugin", None)
        if self.plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, self.plugin

    AcceleratorState.__init__ = make


def rank_and_world() -> tuple[int, int]:
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def gradients(mean: str, start: Path, out: Path) -> None:
    """The gradients of one step over given episodes, this process's share of them."""
    from o3gym.policies.local.encoding import Encoder
    from o3gym.policies.local.processors import load_processor
    from o3gym.train.grpo.experience import experience
    from o3gym.train.grpo.trainer import GrpoTrainer
    from o3gym.train.models import open_model
    from tests.train.grpo.spelled import played, rewarded
    from tests.train.grpo.test_grpo_trainer import REWARDS, Spy, recipe

    made = recipe(start, mean=mean)
    encoder = Encoder(load_processor(str(start)))
    rank, world = rank_and_world()
    groups = rewarded(played(encoder), REWARDS)[rank::world]

    def play(number: int, policy: Any) -> Any:
        return experience(groups, made, 0, trainer.everyone, trainer.rank), {}

    play.cursor = 0  # type: ignore[attr-defined]
    model, processor = open_model(made)
    spy = Spy()
    trainer: Any = GrpoTrainer(model, processor, made, encoder, play, out)  # type: ignore[arg-type]
    trainer.add_callback(spy)
    trainer.train()
    grads = {name.removeprefix("module."): grad for name, grad in spy.steps[0][1].items()}
    torch.save(grads, out / f"{rank}.pt")


def whole(start: Path, out: Path) -> None:
    """A whole training with episodes of the model's own."""
    from o3gym.train.grpo.run import train_grpo
    from tests.train.grpo.test_grpo_run import recipe, register_share_of_e

    register_share_of_e()
    train_grpo(recipe(start, updates=2, refills=1, watch=2, steps=2), out)


def in_loop(start: Path, out: Path) -> None:
    """A training half of whose episodes are searches: no two processes have as many."""
    from o3gym.train.grpo.run import train_grpo
    from tests.train.grpo.test_reasoner_in_loop import recipe, registered

    registered()
    train_grpo(recipe(start, steps=1, save_steps=1), out)


TRAININGS = {
    "token": partial(gradients, "token"),
    "sequence": partial(gradients, "sequence"),
    "whole": whole,
    "in_loop": in_loop,
}


def run(variables: Mapping[str, str], start: Path, out: Path, trainings: Sequence[str]) -> None:
    """Makes the trainings, each in a folder of its own; what goes wrong is written to a file."""
    gc.freeze()  # accelerate collects garbage after each training, which need not visit what was imported
    os.environ.update(variables)
    torch.set_num_threads(1)
    allow_fsdp_on_a_cpu()
    try:
        for name in trainings:
            (out / name).mkdir(exist_ok=True)
            TRAININGS[name](start, out / name)
    except BaseException:
        (out / f"error-{os.environ['RANK']}.txt").write_text(traceback.format_exc())
        os._exit(1)  # the other process may wait for this one in a collective call
    if torch.distributed.is_initialized():  # left to the exit, gloo's threads may abort it
        torch.distributed.destroy_process_group()
