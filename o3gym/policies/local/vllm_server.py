"""A model behind vLLM's own server, which takes and returns token ids, so that replies are as exact as in process."""

from __future__ import annotations

import json
import queue
import weakref
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from o3gym.policies.local.vllm import Vllm, check_logprobs, located_encoder
from o3gym.policies.openai.client import NO_KEY, connection_errors, connection_reason, name_account
from o3gym.policies.openai.messages import data_url, encoded
from o3gym.policies.openai.policy import REFUSING_STATUS
from o3gym.policies.openai.transport import http_client
from o3gym.registry import require
from o3gym.sampling import Sampling

START = "VLLM_SERVER_DEV_MODE=1 vllm serve PATH --enable-scale-out --logprobs-mode processed_logprobs"
"""Starts such a server, with endpoints for token ids and new weights and log-probabilities as sampled."""


class Chance(NamedTuple):
    """The log-probability of a token, in the form of vLLM's engine."""

    logprob: float


@dataclass(frozen=True)
class Said:
    """A reply, in the form of vLLM's engine."""

    token_ids: tuple[int, ...] = ()
    logprobs: tuple[Mapping[int, Chance], ...] = ()
    finish_reason: str = ""


@dataclass(frozen=True)
class Output:
    """A finished request, in the form of vLLM's engine."""

    request_id: str
    prompt_token_ids: tuple[int, ...] = ()
    outputs: tuple[Said, ...] = (Said(),)
    error: str = ""
    finished: bool = True


class ServerRefusal(ValueError):  # noqa: N818 - the name says it
    """A server answered with a status other than success; the message holds the beginning of its answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"status {status}: {text}")
        self.status = status


class VllmServer(Vllm):
    """A Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint behind `vllm serve`: `vllm_server:PATH?url=http://127.0.0.1:8000`.

    The server (vLLM 0.30 or newer) is started with

        VLLM_SERVER_DEV_MODE=1 vllm serve PATH --enable-scale-out --logprobs-mode processed_logprobs \
          --generation-config vllm --limit-mm-per-prompt '{"image": 16, "video": 0}'

    vLLM itself need not be installed on this side. For other servers use `openai:MODEL`, which has no exact ids.

    Args:
        argument: the folder or hub id that the server was started with; its processor writes the ids.
        url: address of the server.
        max_images: most pictures in a dialogue; not more than the server allows.
        at_once: most requests in flight.
        timeout: seconds to wait for a connection, or for further bytes of an answer.
        logprobs: "raw" if the server was started with `--logprobs-mode raw_logprobs` instead, see `Vllm`.

    Raises (before any episode starts):
        MissingPackage: transformers or the client is not installed.
        ValueError: the folder does not exist, or there is no such server at `url`.
    """

    packages: ClassVar[tuple[str, ...]] = ("transformers",)
    never: ClassVar[float] = -1e9  # JSON has no infinity

    def __init__(
        self,
        argument: str,
        url: str,
        max_images: int = 16,
        at_once: int = 64,
        timeout: float = 600.0,
        logprobs: str = "processed",
    ) -> None:
        check_logprobs(logprobs)
        engine = Remote(url, at_once, timeout)
        self._begin(located_encoder(argument)[1], engine, engine.room, max_images, logprobs)
        self._form = lambda pixels: data_url(encoded(pixels, "png"), "png")  # PNG keeps the pixels exact

    def refusal(self) -> str:
        """Returns the first error with status 401, 403 or 404, or ""."""
        return str(self._engine.refusal)

    def waits(self) -> bool:
        """Returns whether the server works on requests and no reply has arrived."""
        return bool(self._asked) and not self._ready and not self._engine.finished()

    def _parameters(self, sampling: Sampling) -> Mapping[str, Any]:
        """Returns the sampling parameters as JSON; 2 is vLLM's FINAL_ONLY."""
        return {**self._settings(sampling), "output_kind": 2}


class Remote:
    """The few methods of vLLM's engine that the policy calls, over HTTP.

    Attributes:
        room: most tokens of a dialogue, replies included.
        refusal: the first error with which the server refused all requests, or "".
    """

    def __init__(self, url: str, at_once: int, timeout: float) -> None:
        self._openai: Any = require("openai", "openai")
        root = url.rstrip("/").removesuffix("/v1")
        # Without the client's retries: a request that fails ends its episode, as with the engine in process.
        client = http_client(self._openai, timeout)
        self._client = self._openai.OpenAI(
            base_url=root, api_key=NO_KEY, max_retries=0, timeout=timeout, http_client=client
        )
        name_account(self._client, root)
        self.refusal = ""
        weakref.finalize(self, self._client.close)
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="vllm_server")
        self._futures: dict[str, Future[None]] = {}
        self._finished: queue.SimpleQueue[Output] = queue.SimpleQueue()
        try:
            (model,) = self._ask("/v1/models", method="get")["data"][:1]
            self._model, self.room = str(model["id"]), int(model["max_model_len"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{url}: no server of vLLM answers there ({error!r:.200}); start one: {START}") from error
        self.engine_core = self  # the attribute that a policy shuts down

    def _ask(self, path: str, body: Mapping[str, Any] | None = None, method: str = "post") -> Any:
        """Returns the server's answer as JSON, None for an empty one.

        Raises:
            ServerRefusal: the server refuses; the message holds its reason.
            ValueError: the answer is not JSON.
            ConnectionError: there is no connection, no answer in time, or the answer is too large.
        """
        content = {} if body is None else {"body": body}
        try:
            answer = getattr(self._client, method)(path, cast_to=str, **content)
        except self._openai.APIStatusError as error:
            said = error.response.text[:300]
            if error.status_code == 404:
                said = f"{path} not found; the server has to be started so: {START}"
            raise ServerRefusal(error.status_code, said) from error
        except connection_errors(self._openai) as error:
            raise ConnectionError(connection_reason(error)) from error
        return json.loads(answer or "null")

    def add_request(self, number: str, prompt: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        """Sends a request, which waits while `at_once` others are in flight."""
        self._futures[number] = self._pool.submit(self._serve, number, prompt, parameters)

    def finished(self) -> bool:
        """Returns whether a request has finished that `step` has not returned yet."""
        return not self._finished.empty()

    def step(self) -> list[Output]:
        """Returns the requests that have finished; waits for one."""
        outputs = [self._finished.get()]
        while not self._finished.empty():
            outputs.append(self._finished.get())
        for output in outputs:
            self._futures.pop(output.request_id, None)
        return outputs

    def abort_request(self, numbers: Iterable[str]) -> None:
        """Drops requests that have not been sent yet; the answers to others are not read."""
        for number in numbers:
            if future := self._futures.pop(number, None):
                future.cancel()

    def collective_rpc(self, method: str, kwargs: Mapping[str, Any]) -> None:
        """Runs a method of the server's workers."""
        self._ask("/collective_rpc", {"method": method, "kwargs": dict(kwargs)})

    def reset_prefix_cache(self) -> None:
        """Drops the cached keys and values."""
        self._ask("/reset_prefix_cache")

    def reset_encoder_cache(self) -> None:
        """Drops the cached outputs of the vision tower."""
        self._ask("/reset_encoder_cache")

    def shutdown(self) -> None:
        """Drops requests that have not been sent, waits for the others and closes the connections to the server."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _serve(self, number: str, prompt: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        try:
            output = read_output(number, self._ask("/inference/v1/generate", self._body(prompt, parameters)))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, ServerRefusal) and error.status in REFUSING_STATUS:
                self.refusal = self.refusal or reason
            output = Output(number, tuple(prompt["prompt_token_ids"]), error=reason)
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
    """Returns a server's answer in the form of the engine."""
    (choice,) = answer["choices"]
    ids = tuple(choice["token_ids"] or ())
    entries = (choice.get("logprobs") or {}).get("content") or ()
    if len(entries) != len(ids):
        raise ValueError(f"the server reported {len(entries)} log-probabilities for {len(ids)} tokens")
    chances = tuple({token: Chance(entry["logprob"])} for token, entry in zip(ids, entries, strict=True))
    return Output(number, tuple(answer["prompt_token_ids"]), (Said(ids, chances, choice["finish_reason"]),))
