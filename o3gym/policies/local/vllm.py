"""A model run by vLLM: continuous batching, prefix caching, exact token ids and log-probabilities.

vLLM's engine works in a process of its own, so decoding continues while environments make pictures. `submit` passes it
a request, and `poll` collects the requests that have finished.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from o3gym.policies.base import Policy, error_reply
from o3gym.policies.dialogue import CONTEXT_FULL, Request
from o3gym.policies.local.loading import located
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.vllm_parts import PartedReply, exact_logprobs, parted_reply, sampled_logprobs
from o3gym.policies.local.vllm_prompts import Places, Thread
from o3gym.registry import PIP, require
from o3gym.sampling import Sampling
from o3gym.types import EpisodeKey, Reply, Size, Usage

OLDEST, NEWEST = (0, 22), (0, 33)
"""Supported versions of vLLM. TRL 1.16 warns about those after 0.31, but o3gym uses none of TRL's code for vLLM, so one
installation can train and sample with all of them."""


class Vllm(Policy):
    """A Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint in this process: `vllm:PATH`.

    Args:
        argument: a model folder or a hub id.
        dtype: dtype of weights and activations; "auto" for the checkpoint's own.
        gpu_memory_utilization: share of the GPU's memory that vLLM may use for weights and KV cache together.
        max_model_len: maximum number of tokens in a dialogue, replies included; 0 for the checkpoint's own limit.
        max_images: maximum number of pictures in a dialogue.
        tensor_parallel_size: number of GPUs over which the model is spread.
        enforce_eager: skip the compilation of graphs, which starts sooner and runs slower.
        logprobs: "processed" for log-probabilities of the distribution that was sampled from, or "raw" for those of the
            model at temperature 1, whatever else restricts what is sampled. Where they are not those that
            `Reply.logprobs` defines, there are none.

    Attributes:
        encoder: encodes dialogues as ids.

    Raises (all before any episode starts):
        MissingPackage: vLLM is not installed.
        ValueError: the folder does not exist, its model is of another family, or the version of vLLM is not supported.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "vllm")
    never: ClassVar[float] = -math.inf
    """Bias added to the logits of tokens that must not be sampled."""

    def __init__(
        self,
        argument: str,
        dtype: str = "auto",
        gpu_memory_utilization: float = 0.9,
        max_model_len: int = 0,
        max_images: int = 16,
        tensor_parallel_size: int = 1,
        enforce_eager: bool = False,
        logprobs: str = "processed",
    ) -> None:
        check_logprobs(logprobs)
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
            logprobs_mode=f"{logprobs}_logprobs",  # processed: after temperature, biases and choices, as sampled
            disable_log_stats=True,
        )
        engine = vllm.LLMEngine.from_engine_args(options)
        self._vllm = vllm
        self._begin(encoder, engine, engine.model_config.max_model_len, max_images, logprobs)

    def _begin(self, encoder: Places, engine: Any, room: int, max_images: int, logprobs: str) -> None:
        super().__init__()
        self._raw = logprobs == "raw"
        self.encoder, self._engine, self._room, self._max_images = encoder, engine, room, max_images
        self._form: Callable[[Any], Any] = Image.fromarray
        special = {number for number, token in encoder.tokenizer.added_tokens_decoder.items() if token.special}
        self._never_in_choices = {*encoder.forbidden, *special} - {encoder.end}
        self._threads: dict[EpisodeKey, Thread] = {}
        self._asked: dict[str, _Asked] = {}
        self._ready: list[tuple[EpisodeKey, Reply]] = []
        self._numbers = count()

    def vision_size(self, width: int, height: int) -> Size:
        """The size to which the checkpoint's processor resizes a picture."""
        return self.encoder.vision_size(width, height)

    def unable(self, sampling: Sampling, inline: bool) -> str:
        """Returns "": what vLLM samples is exact; log-probabilities that it does not report exactly are left out."""
        return ""

    def submit(self, request: Request) -> None:
        """Passes a request to the engine."""
        try:
            thread = self._thread(request)
            thread.extend(self.encoder)
            if len(thread.pictures) > self._max_images:
                raise ValueError(f"the dialogue has {len(thread.pictures)} pictures; max_images is {self._max_images}")
            if len(thread.ids) >= self._room:
                self._deliver(request.key, Reply("", finish="length", error=CONTEXT_FULL))
                return
            parts = parted_reply(request.sampling, self.encoder, self._room - len(thread.ids))
            self._ask(_Asked(request, thread, parts))
        except Exception as error:
            self._deliver(request.key, error_reply(error))

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that are ready; blocks until there is one while any request is open."""
        while self._asked and not self._ready:
            try:
                finished = [output for output in self._engine.step() if output.finished]
            except Exception as error:  # the engine is lost, and with it all open requests
                for asked in self._asked.values():
                    self._deliver(asked.request.key, error_reply(error))
                self._asked.clear()
                break
            for output in finished:
                if output.request_id in self._asked:
                    self._take(output, self._asked.pop(output.request_id))
        ready, self._ready = self._ready, []
        return ready

    def release(self, key: EpisodeKey) -> None:
        """Discards an episode's ids, pictures and open requests.

        Its prefixes stay in vLLM's cache until they are the least recently used ones.
        """
        self._threads.pop(key, None)
        if numbers := [number for number, asked in self._asked.items() if asked.request.key == key]:
            self._asked = {number: asked for number, asked in self._asked.items() if number not in numbers}
            self._engine.abort_request(numbers)

    def renew(self, folder: Path) -> None:
        """Loads the weights of another checkpoint of the same model, and discards all dialogues and caches.

        Cached keys, values and picture features belong to the old weights.
        """
        self._threads.clear()
        self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        self._engine.reset_prefix_cache()
        self._engine.reset_encoder_cache()

    def close(self) -> None:
        """Ends the engine's process."""
        self._asked.clear()
        if self._engine is not None:
            self._engine.engine_core.shutdown()
            self._engine = None

    def _thread(self, request: Request) -> Thread:
        if any(asked.request.key == request.key for asked in self._asked.values()):
            raise ValueError(f"{request.key} is already being answered")
        thread = self._threads.get(request.key)
        if thread is None or not thread.continues(request):
            thread = self._threads[request.key] = Thread(request.dialogue, form=self._form)
        return thread

    def _ask(self, asked: _Asked) -> None:
        """Passes a request, or the next part of one, to the engine."""
        number = str(next(self._numbers))
        self._engine.add_request(number, self._prompt(asked), self._parameters(asked.sampling))
        self._asked[number] = asked

    def _take(self, output: Any, asked: _Asked) -> None:
        """Reads what the engine has finished; delivers the reply, or asks for its next part."""
        try:
            reply = self._read(output, asked)
            if reply is None:
                self._ask(asked)
                return
        except Exception as error:  # an output that is not as expected costs one episode, not all
            reply = error_reply(error)
        self._deliver(asked.request.key, reply)

    def _deliver(self, key: EpisodeKey, reply: Reply) -> None:
        """Makes a reply available to `poll`."""
        if reply.token_ids is None:  # a failure: the dialogue is encoded anew if it is requested again
            self._threads.pop(key, None)
        self._ready.append((key, reply))

    def _prompt(self, asked: _Asked) -> dict[str, Any]:
        """Builds vLLM's prompt, which has one image token per picture; vLLM repeats it itself."""
        prompt: dict[str, Any] = {"prompt_token_ids": list(folded(asked.ids, self.encoder.image_id))}
        if asked.thread.pictures:
            prompt["multi_modal_data"] = {"image": list(asked.thread.pictures)}
        return prompt

    def _parameters(self, sampling: Sampling) -> Any:
        """Builds the engine's sampling parameters."""
        kinds = self._vllm.sampling_params
        settings = self._settings(sampling)
        if choice := settings.pop("structured_outputs", None):
            settings["structured_outputs"] = kinds.StructuredOutputsParams(**choice)
        return self._vllm.SamplingParams(**settings, output_kind=kinds.RequestOutputKind.FINAL_ONLY)

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        """Returns vLLM's sampling parameters as plain values."""
        choices = list(sampling.choices)
        settings: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "stop": [] if choices else list(sampling.stop),
            "include_stop_str_in_output": True,
            "stop_token_ids": sorted(self.encoder.eos),  # vLLM adds those of generation_config.json
            # vLLM's grammar lets a choice end with any token that may end a text; only the end of a turn is wanted
            "logit_bias": dict.fromkeys(self._never_in_choices if choices else self.encoder.forbidden, self.never),
            "logprobs": 0,  # of the sampled token only
        }
        if sampling.repetition_penalty != 1.0:
            settings["repetition_penalty"] = sampling.repetition_penalty
        return {**settings, "structured_outputs": {"choice": choices}} if choices else settings

    def _read(self, output: Any, asked: _Asked) -> Reply | None:
        """Returns the reply that an output completes; None if it is a part with which the reply does not end."""
        if error := getattr(output, "error", ""):
            return Reply("", finish="error", error=error[:500])
        completion = output.outputs[0]
        ids = tuple(completion.token_ids)
        # vLLM resizes pictures and repeats image tokens by itself. If the result were not exactly the sequence that is
        # recorded here, a trainer would compute its loss on something the model never read.
        if list(output.prompt_token_ids) != asked.ids:
            return Reply("", finish="error", error=_mismatch(asked.ids, output.prompt_token_ids))
        if completion.finish_reason not in ("stop", "length"):
            return Reply("", finish="error", error=f"vLLM ended the request: {completion.finish_reason}")
        whole, thread = asked.request.sampling, asked.thread
        known = exact_logprobs(asked.sampling, whole.temperature, self._raw)
        logprobs = sampled_logprobs(completion) if known else None
        if asked.parts is None:
            text = up_to(self.encoder.text(ids), () if whole.choices else whole.stop)
            usage = Usage(len(thread.ids), len(ids))
            reply = Reply(text, ids, logprobs, thread.prompt, completion.finish_reason, usage=usage)
        elif asked.parts.accept(ids, logprobs, completion.finish_reason):
            reply = asked.parts.reply(thread.prompt, len(thread.ids))
        else:
            return None
        thread.answer(reply.token_ids or (), reply.text)
        return reply


@dataclass(frozen=True)
class _Asked:
    """A request in the engine.

    Attributes:
        request: the policy's request.
        thread: the ids of its dialogue.
        parts: the reply so far, if it is sampled in parts.
    """

    request: Request
    thread: Thread
    parts: PartedReply | None

    @property
    def ids(self) -> list[int]:
        """The ids that the engine reads."""
        return self.thread.ids if self.parts is None else [*self.thread.ids, *self.parts.draft.ids]

    @property
    def sampling(self) -> Sampling:
        """The sampling parameters of the engine's request."""
        return self.request.sampling if self.parts is None else self.parts.next_part()


def check_logprobs(logprobs: str) -> None:
    """Raises ValueError if the option `logprobs` has an unknown value."""
    if logprobs not in ("processed", "raw"):
        raise ValueError(f'logprobs: expected "processed" or "raw", got "{logprobs}"')


def supported(vllm: Any) -> Any:
    """Returns the vllm package if its version is supported.

    Raises:
        ValueError: another version is installed; the message gives the pip line.
    """
    version = re.match(r"(\d+)\.(\d+)", vllm.__version__)
    if version and OLDEST <= (int(version[1]), int(version[2])) <= NEWEST:
        return vllm
    bounds = " to ".join(".".join(map(str, bound)) for bound in (OLDEST, NEWEST))
    raise ValueError(f"vllm {vllm.__version__} is installed; expected {bounds}: run {PIP.format(extra='vllm')}")


def located_encoder(argument: str) -> tuple[str, Places]:
    """Returns the path of a checkpoint and its encoder.

    Raises:
        ValueError: there is no such checkpoint, or it is not of a Qwen-VL family.
    """
    if not argument:
        raise ValueError('name the model: "vllm:FOLDER" or "vllm:HUB_ID"')
    path = located(argument)
    encoder = Places(load_processor(path))
    if not encoder.factor:
        kind = type(encoder.processor).__name__
        raise ValueError(f"{path}: {kind} is not of the Qwen-VL family; serve it with vLLM and use openai:MODEL")
    return path, encoder


def folded(ids: Iterable[int], image_id: int) -> Iterator[int]:
    """Yields the ids with each run of image tokens reduced to one."""
    before = None
    for token in ids:
        if token != image_id or before != image_id:
            yield token
        before = token


def up_to(text: str, stops: Iterable[str]) -> str:
    """Cuts a text after the stop string that ended it, because the last token may hold further characters."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    return text[: min(ends, default=None)]


def _mismatch(ours: Sequence[int], theirs: Sequence[int]) -> str:
    first = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return f"vLLM read another prompt: {len(theirs)} tokens instead of {len(ours)}, different from token {first} on"
