"""What plays a rollout by the weights of now: the model itself in this process, or vLLM beside it."""

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
from o3gym.registry import build_plugin, parse_spec, require
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.models import function, save_limits

SAMPLER_KINDS: Mapping[str, type[Vllm]] = {"vllm": Vllm, "vllm_server": VllmServer}


class Learner(Protocol):
    """What a sampler has to know of a trainer."""

    recipe: GrpoRecipe
    encoder: Encoder
    processor: Any
    accelerator: Any

    def gathered(self) -> Any: ...  # noqa: D102


class ItsOwn:
    """The model that learns, in eval mode. Sampling is seeded per reply and takes no random state.

    Args:
        sight: see `GrpoRecipe`.
    """

    def __init__(self, sight: str = "") -> None:
        self.sight = function(sight, "sight") if sight else None

    def __call__(self, learner: Learner) -> Policy:
        """A policy of the weights of now."""
        recipe = learner.recipe
        model = learner.gathered()
        model.eval()
        inner = model.get_base_model() if hasattr(model, "peft_config") else model
        return InMemory(inner, learner.encoder, recipe.slots, recipe.context, learner.accelerator.autocast, self.sight)

    def close(self) -> None:
        """Nothing is held."""


class ByVllm:
    """vLLM beside each process, on its card, or one server for all of them; it reads new weights from a folder.

    Files serve every way in which weights may be shared out, and whichever process vLLM works in; where that costs too
    much time the folder belongs on a disk in memory.

    Args:
        spec: "vllm?option=value&…" or "vllm_server?url=…&option=value…": options of these policies.
        folder: that all processes and the server can read.
    """

    def __init__(self, spec: str, folder: Path) -> None:
        (self.name, _, self.options), self.folder = parse_spec(spec), folder
        self._policy: Vllm | None = None

    def __call__(self, learner: Learner) -> Policy:
        """The same policy each time, with the weights of now."""
        model, accelerator = learner.gathered(), learner.accelerator
        if accelerator.is_main_process:
            write_weights(model, learner.processor, self.folder, learner.recipe)
        accelerator.wait_for_everyone()
        fresh, shared = self._policy is None, self.name == "vllm_server"
        if self._policy is None:
            with on_card(accelerator.local_process_index):
                self._policy = build_plugin(
                    "policy", self.name, SAMPLER_KINDS[self.name], str(self.folder), **self.options
                )
        if accelerator.is_main_process if shared else not fresh:  # an engine of our own starts with these weights
            self._policy.renew(self.folder)
        accelerator.wait_for_everyone()
        return self._policy

    def close(self) -> None:
        """End vLLM."""
        if self._policy is not None:
            self._policy.close()


def make_sampler(recipe: GrpoRecipe, folder: Path) -> ItsOwn | ByVllm:
    """What a recipe's `sampler` says; weights that have to be handed over go to `folder`."""
    return ByVllm(recipe.sampler, folder.resolve()) if recipe.sampler else ItsOwn(recipe.sight)


def write_weights(model: Any, processor: Any, folder: Path, recipe: GrpoRecipe) -> None:
    """A checkpoint of the weights of now, adapters added in; `model` stays as it is."""
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
    """Weights by the names that they have without adapters; what an adapter adds is added."""
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
    """Processes that are started meanwhile see the one card of this process."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = before.split(",") if before else []
    os.environ["CUDA_VISIBLE_DEVICES"] = cards[number] if number < len(cards) else str(number)
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
