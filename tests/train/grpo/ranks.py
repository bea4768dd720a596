"""One process of several trainings, one after the other, for `test_ranks.py`: START OUT TRAINING…, under torchrun."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

RANK, WORLD = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def allow_fsdp_on_a_cpu() -> None:
    """accelerate takes FSDP's settings on accelerators alone; all that follows from them runs on a CPU, too."""
    made = AcceleratorState.__init__

    def make(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        made(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        self.plugin = fsdp_plugin or getattr(self, "plugin", None)
        if self.plugin is not None:
            self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, self.plugin

    AcceleratorState.__init__ = make


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
    groups = rewarded(played(encoder), REWARDS)[RANK::WORLD]

    def play(number: int, policy: Any) -> Any:
        return experience(groups, made, 0, trainer.everyone, trainer.rank), {}

    play.cursor = 0  # type: ignore[attr-defined]
    model, processor = open_model(made)
    spy = Spy()
    trainer: Any = GrpoTrainer(model, processor, made, encoder, play, out)  # type: ignore[arg-type]
    trainer.add_callback(spy)
    trainer.train()
    grads = {name.removeprefix("module."): grad for name, grad in spy.steps[0][1].items()}
    torch.save(grads, out / f"{RANK}.pt")


def whole(start: Path, out: Path) -> None:
    """A whole training with episodes of the model's own."""
    from o3gym.train.grpo.run import train_grpo
    from tests.train.grpo.test_grpo_run import recipe, register_share_of_e

    register_share_of_e()
    train_grpo(recipe(start, updates=2, refills=1, watch=2), out)


def in_loop(start: Path, out: Path) -> None:
    """A training half of whose episodes are searches: no two processes have as many."""
    from o3gym.train.grpo.run import train_grpo
    from tests.train.grpo.test_reasoner_in_loop import recipe, registered

    registered()
    train_grpo(recipe(start), out)


TRAININGS = {
    "token": partial(gradients, "token"),
    "sequence": partial(gradients, "sequence"),
    "whole": whole,
    "in_loop": in_loop,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    allow_fsdp_on_a_cpu()
    for name in sys.argv[3:]:
        folder = Path(sys.argv[2]) / name
        folder.mkdir(exist_ok=True)
        TRAININGS[name](Path(sys.argv[1]), folder)
    if torch.distributed.is_initialized():  # left to the exit, gloo's threads may abort it
        torch.distributed.destroy_process_group()
