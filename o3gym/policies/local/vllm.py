"""A model in this process, run by vLLM: side by side, prefixes computed once, exact ids and log-probabilities.

vLLM's engine works in a process of its own, so that it goes on while environments make pictures; `submit` hands it a
request and `poll` takes what has finished.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from o3gym.policies.base import Policy
from o3gym.policies.dialogue import CONTEXT_FULL, Picture, Request
from o3gym.policies.local.encoding import Encoder, Patches
from o3gym.policies.local.loading import located
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.token_sequences import TokenSequence
from o3gym.registry import PIP, require
from o3gym.types import EpisodeKey, Reply, Sampling, Size, Usage

OLDEST, NEWEST = (0, 22), (0, 31)
"""Versions of vLLM: those that TRL 1.16 takes too, so that one environment can train and sample."""


class Places(Encoder):
    """Writes ids only: vLLM makes rows of patches out of pixels itself."""

    def _patches(self, pictures: Sequence[Picture]) -> tuple[Patches, ...]:
        return tuple(self._place(picture) for picture in pictures)

    def _place(self, picture: Picture) -> Patches:
        (width, height), patch = picture.view.shown, self.processor.image_processor.patch_size
        if (size := self.vision_size(width, height)) != (width, height):
            raise ValueError(
                f"view {picture.view.index} is {width}×{height} pixels and the model's processor would make it "
                f"{size[0]}×{size[1]}; show views at the size that `vision_size` gives"
            )
        return Patches(np.empty((0, 0), np.float32), (1, height // patch, width // patch))


@dataclass(eq=False)
class Thread(TokenSequence):
    """A dialogue as ids, with its pictures: vLLM wants all of them each time and keeps what it made of them.

    Attributes:
        form: makes pixels into what vLLM is given.
        pictures: in the order of their places.
    """

    form: Callable[[Any], Any] = Image.fromarray
    pictures: list[Any] = field(default_factory=list)

    def extend(self, encoder: Encoder) -> None:
        """Take in the dialogue's new messages."""
        new = self.dialogue.messages[self.seen :]
        super().extend(encoder)
        parts = [part for message in new for part in message.parts]
        self.pictures += [self.form(part.load()) for part in parts if isinstance(part, Picture)]


class Vllm(Policy):
    """A Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint in this process: `vllm:PATH`.

    Args:
        argument: a folder or a hub id.
        dtype: of weights and activations; "auto" is the checkpoint's own.
        gpu_memory_utilization: the part of the card's memory that vLLM may take, weights and cache together.
        max_model_len: tokens of a dialogue, replies included; 0 for what the checkpoint allows.
        max_images: pictures in a dialogue.
        tensor_parallel_size: cards to spread the model over.
        enforce_eager: start sooner and run slower, without compiled graphs.

    Attributes:
        encoder: what writes dialogues as ids.

    Raises (all before any episode starts):
        MissingPackage: vLLM is not installed.
        ValueError: no such folder, no model of those families there, or a version of vLLM that is not supported.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "vllm")
    never: ClassVar[float] = -math.inf
    """Added to the logits of tokens that may not be written."""

    def __init__(
        self,
        argument: str,
        dtype: str = "auto",
        gpu_memory_utilization: float = 0.9,
        max_model_len: int = 0,
        max_images: int = 16,
        tensor_parallel_size: int = 1,
        enforce_eager: bool = False,
    ) -> None:
        vllm = supported(require("vllm", "vllm"))
        path, encoder = located_encoder(argument)
        options = vllm.EngineArgs(
            model=path,
            dtype=dtype,
            gpu_memory_utilization=gpu_memory_utilization,
            max_model_len=max_model_len or None,
            limit_mm_per_prompt={"image": max_images, "video": 0},
            tensor_parallel_size=tensor_parallel_size,
            enforce_eager=enforce_eager,
            enable_prefix_caching=True,
            logprobs_mode="processed_logprobs",  # after temperature, suppression and choices, as they were sampled
            disable_log_stats=True,
        )
        engine = vllm.LLMEngine.from_engine_args(options)
        self._vllm = vllm
        self._begin(encoder, engine, engine.model_config.max_model_len, max_images)

    def _begin(self, encoder: Places, engine: Any, room: int, max_images: int) -> None:
        super().__init__()
        self.encoder, self._engine, self._room, self._max_images = encoder, engine, room, max_images
        self._form: Callable[[Any], Any] = Image.fromarray
        special = {i for i, token in encoder.tokenizer.added_tokens_decoder.items() if token.special}
        self._unsaid = {*encoder.forbidden, *special} - {encoder.end}
        self._threads: dict[EpisodeKey, Thread] = {}
        self._asked: dict[str, tuple[Request, Thread]] = {}
        self._ready: list[tuple[EpisodeKey, Reply]] = []
        self._numbers = count()

    def vision_size(self, width: int, height: int) -> Size:
        """The size to which the checkpoint's processor brings a picture."""
        return self.encoder.vision_size(width, height)

    def submit(self, request: Request) -> None:
        """Hand a request to the engine."""
        try:
            thread = self._thread(request)
            thread.extend(self.encoder)
            if len(thread.pictures) > self._max_images:
                raise ValueError(f"{len(thread.pictures)} pictures in a dialogue; max_images is {self._max_images}")
            if len(thread.ids) >= self._room:
                self._give(request.key, Reply("", finish="length", error=CONTEXT_FULL))
                return
            number = str(next(self._numbers))
            self._engine.add_request(number, self._prompt(thread), self._parameters(request.sampling))
            self._asked[number] = (request, thread)
        except Exception as error:
            self._give(request.key, failed_reply(error))

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Replies that are ready; waits for one while any request is open."""
        while self._asked and not self._ready:
            try:
                finished = [output for output in self._engine.step() if output.finished]
            except Exception as error:  # the engine is lost, and with it all that it worked on
                for request, _ in self._asked.values():
                    self._give(request.key, failed_reply(error))
                self._asked.clear()
                break
            for output in finished:
                if output.request_id in self._asked:
                    request, thread = self._asked.pop(output.request_id)
                    self._give(request.key, self._read(output, request.sampling, thread))
        ready, self._ready = self._ready, []
        return ready

    def release(self, key: EpisodeKey) -> None:
        """Forget an episode: its ids, its pictures and what is still open. Kept prefixes leave vLLM's cache by age."""
        self._threads.pop(key, None)
        if numbers := [number for number, (request, _) in self._asked.items() if request.key == key]:
            self._asked = {number: asked for number, asked in self._asked.items() if number not in numbers}
            self._engine.abort_request(numbers)

    def renew(self, folder: Path) -> None:
        """Take the weights of another checkpoint of the model, and forget all dialogues and what was kept of them."""
        self._threads.clear()
        self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        self._engine.reset_prefix_cache()
        self._engine.reset_encoder_cache()

    def close(self) -> None:
        """End the engine's process."""
        self._asked.clear()
        if self._engine is not None:
            self._engine.engine_core.shutdown()
            self._engine = None

    def _thread(self, request: Request) -> Thread:
        if any(open_.key == request.key for open_, _ in self._asked.values()):
            raise ValueError(f"{request.key} is already being answered")
        thread = self._threads.get(request.key)
        if thread is None or not thread.continues(request):
            thread = self._threads[request.key] = Thread(request.dialogue, form=self._form)
        return thread

    def _give(self, key: EpisodeKey, reply: Reply) -> None:
        """Make a reply ready; a dialogue whose reply is none is begun anew if it is asked again."""
        if reply.token_ids is None:
            self._threads.pop(key, None)
        self._ready.append((key, reply))

    def _prompt(self, thread: Thread) -> dict[str, Any]:
        """What vLLM is given: one image token per picture, to which it adds the others itself."""
        prompt: dict[str, Any] = {"prompt_token_ids": list(folded(thread.ids, self.encoder.image_id))}
        if thread.pictures:
            prompt["multi_modal_data"] = {"image": list(thread.pictures)}
        return prompt

    def _parameters(self, sampling: Sampling) -> Any:
        """What the engine is given."""
        kinds = self._vllm.sampling_params
        settings = self._settings(sampling)
        if choice := settings.pop("structured_outputs", None):
            settings["structured_outputs"] = kinds.StructuredOutputsParams(**choice)
        return self._vllm.SamplingParams(**settings, output_kind=kinds.RequestOutputKind.FINAL_ONLY)

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        """Sampling parameters of vLLM as plain values."""
        choices = list(sampling.choices)
        settings: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "stop": [] if choices else list(sampling.stop),
            "include_stop_str_in_output": True,
            "stop_token_ids": sorted(self.encoder.eos),  # to which vLLM adds those of generation_config.json
            # the grammar would let a choice end with any token that may end some text
            "logit_bias": dict.fromkeys(self._unsaid if choices else self.encoder.forbidden, self.never),
            "logprobs": 0,  # of the sampled token alone
        }
        return {**settings, "structured_outputs": {"choice": choices}} if choices else settings

    def _read(self, output: Any, sampling: Sampling, thread: Thread) -> Reply:
        if error := getattr(output, "error", ""):
            return Reply("", finish="error", error=error[:500])
        said, ids = output.outputs[0], tuple(output.outputs[0].token_ids)
        if list(output.prompt_token_ids) != thread.ids:
            return Reply("", finish="error", error=_differs(thread.ids, output.prompt_token_ids))
        if said.finish_reason not in ("stop", "length"):
            return Reply("", finish="error", error=f"vLLM ended the request: {said.finish_reason}")
        new, usage = thread.prompt, Usage(len(thread.ids), len(ids))
        text = up_to(self.encoder.text(ids), () if sampling.choices else sampling.stop)
        thread.answer(ids, text)
        return Reply(text, ids, sampled_logprobs(said, sampling), new, said.finish_reason, usage=usage)


def sampled_logprobs(said: Any, sampling: Sampling) -> tuple[float, ...] | None:
    """Of the sampled ids; None below top_p 1, where vLLM gives them after the cut and does not say what it cut off."""
    if sampling.top_p < 1.0 and sampling.temperature > 0.0:
        return None
    return tuple(step[token].logprob for token, step in zip(said.token_ids, said.logprobs, strict=True))


def supported(vllm: Any) -> Any:
    """The package, if its version is one that was written for; else a ValueError with the pip line."""
    said = re.match(r"(\d+)\.(\d+)", vllm.__version__)
    if said and OLDEST <= (int(said[1]), int(said[2])) <= NEWEST:
        return vllm
    bounds = " to ".join(".".join(map(str, version)) for version in (OLDEST, NEWEST))
    raise ValueError(f"vllm {vllm.__version__} is installed; expected {bounds}: run {PIP.format(extra='vllm')}")


def located_encoder(argument: str) -> tuple[str, Places]:
    """Where a checkpoint is, and what writes its dialogues as ids; ValueError if there is none that can be used."""
    if not argument:
        raise ValueError('name the model: "vllm:FOLDER" or "vllm:HUB_ID"')
    path = located(argument)
    encoder = Places(load_processor(path))
    if not encoder.factor:
        kind = type(encoder.processor).__name__
        raise ValueError(f"{path}: {kind} is not of the Qwen-VL family; serve it with vLLM and use openai:MODEL")
    return path, encoder


def failed_reply(error: Exception) -> Reply:
    """The reply where there is none."""
    return Reply("", finish="error", error=f"{type(error).__name__}: {error}"[:500])


def folded(ids: Iterable[int], image_id: int) -> Iterator[int]:
    """The ids with each run of image tokens made one."""
    before = None
    for token in ids:
        if token != image_id or before != image_id:
            yield token
        before = token


def up_to(text: str, stops: Iterable[str]) -> str:
    """The text through the stop string that ended it: the last token may go on after it."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    return text[: min(ends, default=None)]


def _differs(ours: Sequence[int], theirs: Sequence[int]) -> str:
    first = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return f"vLLM read another prompt: {len(theirs)} tokens, we wrote {len(ours)}; they differ from number {first} on"
