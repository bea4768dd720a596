"""Models that run in this process through transformers: any image-text-to-text model that has a chat template."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, TypeAlias

from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.loading import load_config, load_model, located
from o3gym.policies.local.processors import load_processor
from o3gym.registry import require
from o3gym.types import EpisodeKey, Reply, Size

LOG = logging.getLogger(__name__)
Sight: TypeAlias = Callable[[int, int], Size]
"""From the native width and height of a region to the size at which it is shown."""


class InMemory(Policy):
    """A model that is in memory already, for example one that is being trained.

    Args:
        model: in eval mode. What is kept of dialogues is lost with the policy, so a trainer makes one per rollout.
        encoder: of its processor.
        slots, max_context: see `engine`.
        around: entered around each step of decoding, for example autocast.
        sight: at what size a region is shown, of those that the processor leaves alone; by default as near to the
            native size as the processor allows.

    Attributes:
        model, encoder: as given.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    def __init__(
        self,
        model: Any,
        encoder: Encoder,
        slots: int = 32,
        max_context: int = 0,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
        sight: Sight | None = None,
    ) -> None:
        self.model, self.encoder, self.around, self.sight = model, encoder, around, sight or encoder.vision_size
        self._engine = engine(model, encoder, slots, max_context)

    def submit(self, request: Request) -> None:
        """Accept a request; it joins those that are being answered at the next `poll`."""
        self._engine.submit(request)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Replies that are finished; waits for one while any request is open."""
        with self.around():
            replies: list[tuple[EpisodeKey, Reply]] = self._engine.poll()
        return replies

    def release(self, key: EpisodeKey) -> None:
        """Forget a dialogue and its keys and values."""
        self._engine.release(key)

    def vision_size(self, width: int, height: int) -> Size:
        """What `sight` says, else the size that the processor leaves alone; the identity for unknown families."""
        return self.sight(width, height)

    def close(self) -> None:
        """Let the model and everything that was kept go."""
        self._engine = self.model = None


class Transformers(InMemory):
    """A model in this process: `transformers:FOLDER_OR_HUB_ID?dtype=bfloat16`.

    Args:
        argument: a model folder or a hub id.
        dtype: "float32", "bfloat16", or "auto": the checkpoint's own on a GPU, float32 on a CPU.
        device: "cpu", "cuda", "cuda:1", …, or "auto": the GPU if there is one.
        device_map: of accelerate, for example "auto" to spread a model over several GPUs.
        slots: dialogues whose keys and values are kept, and requests that are answered at once.
        max_context: tokens that a dialogue may have, replies included; 0 for what the model was made for.
        min_pixels, max_pixels: of a picture, for the Qwen families; 0 for what the checkpoint says.

    Attributes:
        model, encoder: what was loaded.

    Raises (all before any episode starts):
        ValueError: no such model, no chat template, an architecture that does not read pictures, a wrong option.
        MissingPackage: with the pip line.
        MemoryError: the weights do not fit.
    """

    def __init__(
        self,
        argument: str,
        dtype: str = "auto",
        device: str = "auto",
        device_map: str = "",
        slots: int = 32,
        max_context: int = 0,
        min_pixels: int = 0,
        max_pixels: int = 0,
    ) -> None:
        least = {"slots": (slots, 1), "max_context": (max_context, 0)}
        least |= {"min_pixels": (min_pixels, 0), "max_pixels": (max_pixels, 0)}
        for name, (value, bound) in least.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < bound:
                raise ValueError(f"{name}: expected a whole number from {bound} up, got {value!r}")
        require("torch", "transformers")
        path = located(argument)
        load_config(path)
        encoder = Encoder(load_processor(path), min_pixels, max_pixels)
        super().__init__(load_model(path, dtype, device, device_map), encoder, slots, max_context)


def engine(model: Any, encoder: Encoder, slots: int = 32, max_context: int = 0) -> Any:
    """What answers requests with a model: `Decoder` for the Qwen families, else `WholeHistory`, which it logs.

    Args:
        model: in eval mode; a trainer may pass the one it trains, and `release` every dialogue after a step.
        encoder: of its processor.
        slots: as for `Transformers`.
        max_context: as for `Transformers`.
    """
    from o3gym.policies.local.decoding import Decoder
    from o3gym.policies.local.generate import WholeHistory
    from o3gym.policies.local.qwen import has_own_loop

    made_for = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 0)
    if made_for and max_context > made_for:
        raise ValueError(f"max_context: {max_context} is more than the {made_for} tokens that the model was made for")
    settings = (encoder, slots, max_context or made_for or 2**20, encoder.eos | _eos(model))
    if encoder.factor and has_own_loop(model.config):
        return Decoder(model, *settings)
    LOG.warning(
        "models of type %s read the whole dialogue again in every turn; only the Qwen families keep keys and values",
        model.config.model_type,
    )
    return WholeHistory(model, *settings)


def _eos(model: Any) -> frozenset[int]:
    said = getattr(model.generation_config, "eos_token_id", None)
    return frozenset(said if isinstance(said, list) else [said] if said is not None else [])
