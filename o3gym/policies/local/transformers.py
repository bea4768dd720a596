"""Models that run in this process with transformers: any image-text-to-text model that has a chat template."""

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
from o3gym.sampling import Sampling
from o3gym.types import EpisodeKey, Reply, Size

LOG = logging.getLogger(__name__)
Sight: TypeAlias = Callable[[int, int], Size]
"""Maps the native width and height of a region to the size at which the region is shown."""


class InMemory(Policy):
    """A model that is already in memory, for example one that is being trained.

    Args:
        model: the model, in eval mode. The KV cache is only valid for the weights that filled it, so a trainer builds
            a new policy for each rollout.
        encoder: the encoder for the model's processor.
        slots: see `Transformers`.
        max_context: see `Transformers`.
        around: makes a context manager that is entered around each `poll`, for example autocast.
        sight: chooses the size at which a region is shown. It must return sizes that the processor does not change; by
            default, the size nearest to the native one.

    Attributes:
        model: the model.
        encoder: the encoder.
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
        """Accepts a request, which joins the batch at the next `poll`."""
        self._engine.submit(request)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that are finished; decodes until there is one while any request is open."""
        with self.around():
            replies: list[tuple[EpisodeKey, Reply]] = self._engine.poll()
        return replies

    def unable(self, sampling: Sampling, inline: bool) -> str:
        """Returns "": every kind of sampling is exact."""
        return ""

    def release(self, key: EpisodeKey) -> None:
        """Discards a dialogue with its keys and values."""
        self._engine.release(key)

    def vision_size(self, width: int, height: int) -> Size:
        """The size that `sight` returns; by default one that the processor does not change (see `Encoder`)."""
        return self.sight(width, height)

    def close(self) -> None:
        """Drops the references to the model and the cache."""
        self._engine = self.model = None


class Transformers(InMemory):
    """A model in this process: `transformers:FOLDER_OR_HUB_ID?dtype=bfloat16`.

    Args:
        argument: a model folder or a hub id.
        dtype: "float32", "bfloat16", or "auto" for the checkpoint's own dtype on a GPU and float32 on a CPU.
        device: "cpu", "cuda", "cuda:1", …, or "auto" for the GPU if there is one.
        device_map: accelerate's device map, for example "auto" to spread a model over several GPUs.
        slots: number of dialogues whose keys and values are cached, and of requests decoded concurrently.
        max_context: maximum number of tokens in a dialogue, replies included; 0 for the model's own limit.
        min_pixels: minimum pixels of a picture, for the Qwen families; 0 for the checkpoint's own limit.
        max_pixels: maximum pixels of a picture, likewise.

    Attributes:
        model: the loaded model.
        encoder: the encoder for its processor.

    Raises (all before any episode starts):
        ValueError: the model does not exist, has no chat template or does not read pictures, or an option is wrong.
        MissingPackage: a package is not installed; the message gives the pip line.
        MemoryError: the weights do not fit into memory.
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
                raise ValueError(f"{name}: expected a whole number of at least {bound}, got {value!r}")
        require("torch", "transformers")
        path = located(argument)
        load_config(path)
        encoder = Encoder(load_processor(path), min_pixels, max_pixels)
        super().__init__(load_model(path, dtype, device, device_map), encoder, slots, max_context)


def engine(model: Any, encoder: Encoder, slots: int = 32, max_context: int = 0) -> Any:
    """Builds the engine that generates a model's replies.

    It is a `Decoder` for the Qwen families with full attention (`has_own_loop`). For other models, Qwen3.5 included, it
    is a `WholeHistory`, which is slower, so a warning is logged.

    Args:
        model: the model, in eval mode. A trainer may pass the model that it trains if it releases every dialogue after
            an optimiser step, because cached keys and values belong to the old weights.
        encoder: the encoder for the model's processor.
        slots: see `Transformers`.
        max_context: see `Transformers`.

    Raises:
        ValueError: `max_context` is more than the model supports.
    """
    from o3gym.policies.local.decoding import Decoder
    from o3gym.policies.local.generate import WholeHistory
    from o3gym.policies.local.qwen import has_own_loop

    limit = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 0)
    if limit and max_context > limit:
        raise ValueError(f"max_context: {max_context} is more than the {limit} tokens that the model supports")
    settings = (encoder, slots, max_context or limit or 2**20, encoder.eos | _eos(model))
    if encoder.factor and has_own_loop(model.config):
        return Decoder(model, *settings)
    LOG.warning(
        "models of type %s read the whole dialogue again in every turn; the KV cache works for Qwen2-VL, Qwen2.5-VL "
        "and Qwen3-VL only",
        model.config.model_type,
    )
    return WholeHistory(model, *settings)


def _eos(model: Any) -> frozenset[int]:
    """Returns the end ids in the model's generation config, which may list more than the tokenizer knows."""
    eos = getattr(model.generation_config, "eos_token_id", None)
    return frozenset(eos if isinstance(eos, list) else [eos] if eos is not None else [])
