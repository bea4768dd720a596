"""Samplers: policies that play a rollout with the current weights, either the model itself in this process, or vLLM."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from o3gym.policies.base import Policy
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.transformers import InMemory
from o3gym.policies.local.vllm import Vllm
from o3gym.policies.local.vllm_server import VllmServer
from o3gym.registry import require
from o3gym.specs import build_plugin, parse_spec
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.models import function, save_limits

SAMPLER_KINDS: Mapping[str, type[Vllm]] = {"vllm": Vllm, "vllm_server": VllmServer}


class Learner(Protocol):
    """The part of a trainer that a sampler uses."""

    recipe: GrpoRecipe
    encoder: Encoder
    processor: Any
    accelerator: Any

    def gathered(self) -> Any: ...  # noqa: D102


class ItsOwn:
    """Samples with the model that learns, in eval mode.

    Sampling is seeded per reply and leaves torch's random state alone, so a resumed training continues exactly.

    Args:
        sight: see `GrpoRecipe`.
    """

    def __init__(self, sight: str = "") -> None:
        self.sight = function(sight, "sight") if sight else None

    def __call__(self, learner: Learner) -> Policy:
        """Returns a policy with the current weights."""
        recipe = learner.recipe
        model = learner.gathered()
        model.eval()
        inner = model.get_base_model() if hasattr(model, "peft_config") else model
        return InMemory(inner, learner.encoder, recipe.slots, recipe.context, learner.accelerator.autocast, self.sight)

    def close(self) -> None:
        """Does nothing: there is nothing to release."""


class ByVllm:
    """Samples with vLLM: an engine beside each process, on its GPU, or one server for all processes.

    New weights are handed over as files in a folder. That works however the weights are sharded, and in whichever
    process vLLM runs. If it takes too long, put the folder on a file system in memory.

    Args:
        spec: "vllm?option=value&…" or "vllm_server?url=…&option=value…", with the options of these policies.
        folder: a folder that all processes and the server can read.
    """

    def __init__(self, spec: str, folder: Path) -> None:
        (self.name, _, self.options), self.folder = parse_spec(spec), folder
        self._policy: Vllm | None = None

    def __call__(self, learner: Learner) -> Policy:
        """Returns the same policy each time, with the current weights."""
        model, accelerator = learner.gathered(), learner.accelerator
        if accelerator.is_main_process:
            write_weights(model, learner.processor, self.folder, learner.recipe)
        accelerator.wait_for_everyone()  # nobody reads weights that are still being written
        fresh, shared = self._policy is None, self.name == "vllm_server"
        if self._policy is None:
            with on_card(accelerator.local_process_index):
                self._policy = build_plugin(
                    "policy", self.name, SAMPLER_KINDS[self.name], str(self.folder), **self.options
                )
        # A server is told once, by the main process. An engine of our own is told by its process, unless it has just
        # started with these weights.
        if accelerator.is_main_process if shared else not fresh:
            self._policy.renew(self.folder)
        accelerator.wait_for_everyone()  # nobody samples from a server that is still loading
        return self._policy

    def close(self) -> None:
        """Stops vLLM."""
        if self._policy is not None:
            self._policy.close()


def make_sampler(recipe: GrpoRecipe, folder: Path) -> ItsOwn | ByVllm:
    """Builds the sampler of a recipe; weights that have to be handed over are written to `folder`."""
    return ByVllm(recipe.sampler, folder.resolve()) if recipe.sampler else ItsOwn(recipe.sight)


def write_weights(model: Any, processor: Any, folder: Path, recipe: GrpoRecipe) -> None:
    """Writes a model folder with the current weights, adapters merged; `model` itself is not changed."""
    torch = require("torch", "train")
    dtype, inner = getattr(torch, recipe.precision), model
    if hasattr(model, "peft_config"):
        inner = model.get_base_model()
    weights = {name: tensor.to(dtype) for name, tensor in plain_weights(inner).items()}
    inner.save_pretrained(folder, state_dict=weights)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "dtype": recipe.precision}, indent=2), "utf-8")
    save_limits(processor, folder, recipe)


def plain_weights(model: Any) -> Mapping[str, Any]:
    """Returns the weights under their names without adapters, each adapter's delta added to its weight."""
    added = {
        f"{name}.base_layer.weight": module.get_delta_weight("default")
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    return {
        name.replace(".base_layer", ""): tensor + added[name] if name in added else tensor
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name
    }


@contextmanager
def on_card(number: int) -> Iterator[None]:
    """Makes this process's GPU the only one that child processes started in the meantime can see."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = before.split(",") if before else []
    os.environ["CUDA_VISIBLE_DEVICES"] = cards[number] if number < len(cards) else str(number)
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
