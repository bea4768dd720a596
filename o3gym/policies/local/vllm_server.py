"""A model behind vLLM's own server: token ids go there and come back, so replies are as exact as in process."""

from __future__ import annotations

import json
import queue
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from o3gym.policies.local.vllm import Vllm, located_encoder
from o3gym.policies.openai.messages import data_url, encoded
from o3gym.types import Sampling

START = "VLLM_SERVER_DEV_MODE=1 vllm serve PATH --enable-scale-out --logprobs-mode processed_logprobs"
"""How such a server is started: with the endpoints for token ids, for new weights, and log-probabilities as sampled."""


class Chance(NamedTuple):
    """As vLLM gives the log-probability of a token."""

    logprob: float


@dataclass(frozen=True)
class Said:
    """A reply as vLLM's engine gives it."""

    token_ids: tuple[int, ...] = ()
    logprobs: tuple[Mapping[int, Chance], ...] = ()
    finish_reason: str = ""


@dataclass(frozen=True)
class Output:
    """A finished request as vLLM's engine gives it."""

    request_id: str
    prompt_token_ids: tuple[int, ...] = ()
    outputs: tuple[Said, ...] = (Said(),)
    error: str = ""
    finished: bool = True


class VllmServer(Vllm):
    """A Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint behind `vllm serve`: `vllm_server:PATH?url=http://127.0.0.1:8000`.

    The server (vLLM 0.30 or newer) is started with

        VLLM_SERVER_DEV_MODE=1 vllm serve PATH --enable-scale-out --logprobs-mode processed_logprobs \
          --generation-config vllm --limit-mm-per-prompt '{"image": 16, "video": 0}'

    vLLM itself need not be installed here. Servers of another make speak `openai:MODEL`, without exact ids.

    Args:
        argument: the folder or hub id that the server was started with: its processor writes the ids.
        url: of the server.
        max_images: pictures in a dialogue; not more than the server allows.
        at_once: requests in flight.
        timeout: seconds that a request may take.

    Raises (before any episode starts):
        MissingPackage: transformers is not installed.
        ValueError: no such folder, or nothing at `url` that is such a server.
    """

    packages: ClassVar[tuple[str, ...]] = ("transformers",)
    never: ClassVar[float] = -1e9  # JSON has no infinity

    def __init__(
        self, argument: str, url: str, max_images: int = 16, at_once: int = 64, timeout: float = 600.0
    ) -> None:
        engine = Remote(url, at_once, timeout)
        self._begin(located_encoder(argument)[1], engine, engine.room, max_images)
        self._form = lambda pixels: data_url(encoded(pixels, "png"), "png")  # exactly the pixels

    def waits(self) -> bool:
        """Whether requests are with the server and no reply has come."""
        return bool(self._asked) and not self._ready and not self._engine.finished()

    def _parameters(self, sampling: Sampling) -> Mapping[str, Any]:
        """As JSON; 2 is vLLM's FINAL_ONLY."""
        return {**self._settings(sampling), "output_kind": 2}


class Remote:
    """The few methods of vLLM's engine that the policy calls, over HTTP.

    Attributes:
        room: tokens of a dialogue, replies included.
    """

    def __init__(self, url: str, at_once: int, timeout: float) -> None:
        self._url, self._timeout = url.rstrip("/").removesuffix("/v1"), timeout
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="vllm_server")
        self._futures: dict[str, Future[None]] = {}
        self._finished: queue.SimpleQueue[Output] = queue.SimpleQueue()
        try:
            (model,) = self._ask("/v1/models")["data"][:1]
            self._model, self.room = str(model["id"]), int(model["max_model_len"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{url}: no server of vLLM answers there ({error!r:.200}); start one: {START}") from error
        self.engine_core = self  # which is what a policy shuts down

    def _ask(self, path: str, body: Mapping[str, Any] | None = None, post: bool = False) -> Any:
        """What the server answers, as JSON; None for nothing. Raises ValueError with what it says if it refuses."""
        data = json.dumps(body).encode() if body is not None else b"" if post else None
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise ValueError(f"{path}: not found; the server has to be started so: {START}") from error
            raise ValueError(f"{error.code} {error.read(300).decode('utf-8', 'replace')}") from error

    def add_request(self, number: str, prompt: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Send a request; it waits for its turn if as many as may be are in flight."""
        self._futures[number] = self._pool.submit(self._serve, number, prompt, parameters)

    def finished(self) -> bool:
        """Whether a request has finished that `step` has not given yet."""
        return not self._finished.empty()

    def step(self) -> list[Output]:
        """Requests that have finished; waits for one."""
        outputs = [self._finished.get()]
        while not self._finished.empty():
            outputs.append(self._finished.get())
        for output in outputs:
            self._futures.pop(output.request_id, None)
        return outputs

    def abort_request(self, numbers: Iterable[str]) -> None:
        """Drop requests that have not been sent yet; what comes of others is not read."""
        for number in numbers:
            if future := self._futures.pop(number, None):
                future.cancel()

    def collective_rpc(self, method: str, kwargs: Mapping[str, Any]) -> None:
        """Run a method of the server's workers."""
        self._ask("/collective_rpc", {"method": method, "kwargs": dict(kwargs)})

    def reset_prefix_cache(self) -> None:
        """Forget keys and values."""
        self._ask("/reset_prefix_cache", post=True)

    def reset_encoder_cache(self) -> None:
        """Forget what the vision tower made of pictures."""
        self._ask("/reset_encoder_cache", post=True)

    def shutdown(self) -> None:
        """Drop what has not been sent. The server goes on."""
        self._pool.shutdown(cancel_futures=True)

    def _serve(self, number: str, prompt: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        try:
            output = read_output(number, self._ask("/inference/v1/generate", self._body(prompt, parameters)))
        except Exception as error:
            output = Output(number, tuple(prompt["prompt_token_ids"]), error=f"{type(error).__name__}: {error}")
        self._finished.put(output)

    def _body(self, prompt: Mapping[str, Any], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        urls = prompt.get("multi_modal_data", {}).get("image", ())
        return {
            "model": self._model,
            "token_ids": prompt["prompt_token_ids"],
            "content_parts": [{"type": "image_url", "url": url} for url in urls] or None,
            "sampling_params": parameters,
            "return_token_ids": True,
        }


def read_output(number: str, answer: Any) -> Output:
    """A server's answer as the engine would give it."""
    (choice,) = answer["choices"]
    ids = tuple(choice["token_ids"] or ())
    entries = (choice["logprobs"] or {}).get("content") or ()
    chances = tuple({token: Chance(entry["logprob"])} for token, entry in zip(ids, entries, strict=True))
    return Output(number, tuple(answer["prompt_token_ids"]), (Said(ids, chances, choice["finish_reason"]),))
