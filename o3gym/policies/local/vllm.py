"""A model run by vLLM: continuous batching, prefix caching, exact token ids and log-probabilities.

vLLM's engine works in a process of its own, so decoding continues while environments make pictures. `submit` passes it
a request, and `poll` collects the requests that have finished.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from o3gym.policies.base import Policy, error_reply
from o3gym.policies.dialogue import CONTEXT_FULL, Request
from o3gym.policies.local.loading import located
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.vllm_prompts import Places, Thread
from o3gym.registry import PIP, require
from o3gym.types import EpisodeKey, Reply, Sampling, Size, Usage

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
            logprobs_mode="processed_logprobs",  # after temperature, biases and choices: as sampled
            disable_log_stats=True,
        )
        engine = vllm.LLMEngine.from_engine_args(options)
        self._vllm = vllm
        self._begin(encoder, engine, engine.model_config.max_model_len, max_images)

    def _begin(self, encoder: Places, engine: Any, room: int, max_images: int) -> None:
        super().__init__()
        self.encoder, self._engine, self._room, self._max_images = encoder, engine, room, max_images
        self._form: Callable[[Any], Any] = Image.fromarray
        special = {number for number, token in encoder.tokenizer.added_tokens_decoder.items() if token.special}
        self._never_in_choices = {*encoder.forbidden, *special} - {encoder.end}
        self._threads: dict[EpisodeKey, Thread] = {}
        self._asked: dict[str, tuple[Request, Thread]] = {}
        self._ready: list[tuple[EpisodeKey, Reply]] = []
        self._numbers = count()

    def vision_size(self, width: int, height: int) -> Size:
        """The size to which the checkpoint's processor resizes a picture."""
        return self.encoder.vision_size(width, height)

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
            number = str(next(self._numbers))
            self._engine.add_request(number, self._prompt(thread), self._parameters(request.sampling))
            self._asked[number] = (request, thread)
        except Exception as error:
            self._deliver(request.key, error_reply(error))

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that are ready; blocks until there is one while any request is open."""
        while self._asked and not self._ready:
            try:
                finished = [output for output in self._engine.step() if output.finished]
            except Exception as error:  # the engine is lost, and with it all open requests
                for request, _ in self._asked.values():
                    self._deliver(request.key, error_reply(error))
                self._asked.clear()
                break
            for output in finished:
                if output.request_id in self._asked:
                    request, thread = self._asked.pop(output.request_id)
                    try:
                        reply = self._read(output, request.sampling, thread)
                    except Exception as error:  # an output that is not as expected costs one episode, not all
                        reply = error_reply(error)
                    self._deliver(request.key, reply)
        ready, self._ready = self._ready, []
        return ready

    def release(self, key: EpisodeKey) -> None:
        """Discards an episode's ids, pictures and open requests.

        Its prefixes stay in vLLM's cache until they are the least recently used ones.
        """
        self._threads.pop(key, None)
        if numbers := [number for number, (request, _) in self._asked.items() if request.key == key]:
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
        if any(open_.key == request.key for open_, _ in self._asked.values()):
            raise ValueError(f"{request.key} is already being answered")
        thread = self._threads.get(request.key)
        if thread is None or not thread.continues(request):
            thread = self._threads[request.key] = Thread(request.dialogue, form=self._form)
        return thread

    def _deliver(self, key: EpisodeKey, reply: Reply) -> None:
        """Makes a reply available to `poll`."""
        if reply.token_ids is None:  # a failure: the dialogue is encoded anew if it is requested again
            self._threads.pop(key, None)
        self._ready.append((key, reply))

    def _prompt(self, thread: Thread) -> dict[str, Any]:
        """Builds vLLM's prompt, which has one image token per picture; vLLM repeats it itself."""
        prompt: dict[str, Any] = {"prompt_token_ids": list(folded(thread.ids, self.encoder.image_id))}
        if thread.pictures:
            prompt["multi_modal_data"] = {"image": list(thread.pictures)}
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
        return {**settings, "structured_outputs": {"choice": choices}} if choices else settings

    def _read(self, output: Any, sampling: Sampling, thread: Thread) -> Reply:
        if error := getattr(output, "error", ""):
            return Reply("", finish="error", error=error[:500])
        completion = output.outputs[0]
        ids = tuple(completion.token_ids)
        # vLLM resizes pictures and repeats image tokens by itself. If the result were not exactly the sequence that is
        # recorded here, a trainer would compute its loss on something the model never read.
        if list(output.prompt_token_ids) != thread.ids:
            return Reply("", finish="error", error=_mismatch(thread.ids, output.prompt_token_ids))
        if completion.finish_reason not in ("stop", "length"):
            return Reply("", finish="error", error=f"vLLM ended the request: {completion.finish_reason}")
        new, usage = thread.prompt, Usage(len(thread.ids), len(ids))
        text = up_to(self.encoder.text(ids), () if sampling.choices else sampling.stop)
        thread.answer(ids, text)
        return Reply(text, ids, sampled_logprobs(completion, sampling), new, completion.finish_reason, usage=usage)


def sampled_logprobs(completion: Any, sampling: Sampling) -> tuple[float, ...] | None:
    """Returns the log-probabilities of the sampled ids, or None if they are unknown.

    They are unknown below top_p 1: vLLM normalises them after the nucleus cut and does not report what it cut off.

    Raises:
        ValueError: vLLM reported none for some id, or one that is not a finite number.
    """
    if sampling.top_p < 1.0 and sampling.temperature > 0.0:
        return None
    ids, steps = completion.token_ids, completion.logprobs or ()
    if len(steps) != len(ids):
        raise ValueError(f"vLLM reported {len(steps)} log-probabilities for {len(ids)} tokens")
    values: list[float] = []
    for token, step in zip(ids, steps, strict=True):
        value = step[token].logprob if token in step else None
        if value is None or not math.isfinite(value):
            raise ValueError(f"vLLM reported {value} as the log-probability of token {len(values)} of a reply")
        values.append(value)
    return tuple(values)


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
