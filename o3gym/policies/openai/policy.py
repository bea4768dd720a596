"""Models behind any server that speaks the OpenAI chat completions API: vLLM, SGLang, llama.cpp, OpenRouter, OpenAI.

Requests run side by side on an event loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import queue
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from o3gym.policies.base import Policy
from o3gym.policies.code_tags import in_parts
from o3gym.policies.dialogue import Request
from o3gym.policies.openai.background import BackgroundLoop
from o3gym.policies.openai.client import Connection, Endpoint, NoReply, Refused
from o3gym.policies.openai.completions import Prices, context_full, first_choice, read_completion
from o3gym.policies.openai.messages import (
    HEADERS,
    IMAGE_FORMATS,
    Chat,
    Json,
    SharedTurns,
    Wire,
    native_message,
    tools_in_words,
)
from o3gym.policies.openai.parts import TextParts
from o3gym.registry import closest
from o3gym.sampling import Sampling
from o3gym.types import EpisodeKey, Reply, Size

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before the first retry, and the longest wait; waits double in between."""
MAX_RETRY_AFTER = 600.0
"""Longest `Retry-After` in seconds that is waited for; a request that is told to wait longer is given up."""
INLINE_PIXELS = 65_536
"""Most pixels that are encoded on the event loop: a few milliseconds, less than a worker thread may take to start."""
REFUSING_STATUS = (401, 403, 404)
"""Statuses that say that a server takes no requests from us: a bad key, no access, no such model."""
RENAMED_FIELDS: Mapping[str, str] = {
    "max_tokens": "max_completion_tokens",
    "parallel_tool_calls": "",
    "seed": "",
    "stop": "",
}
"""Parameters that some models refuse, and their replacement ("" for none). No replacement changes the question."""


class OpenAIPolicy(Policy):
    """A model behind an OpenAI-compatible server: `openai:MODEL?base_url=http://127.0.0.1:8000/v1`.

    Args:
        argument: the model's name.
        base_url: address of the server; by default OPENAI_BASE_URL or OpenAI's own.
        key_env: the environment variable that holds the key; a server on plain http may do without.
        concurrency: most requests in flight.
        timeout: seconds that one try may take.
        retries: further tries after status 408, 409, 429 or 5xx, a time-out, a lost connection or an answer that is no
            completion.
        tools: "native" sends the function tools of dialects that have them as `tools=`, "text" in the system prompt.
        choices: "vllm" enforces `Sampling.choices` with vLLM's structured outputs, "free" does not enforce them.
        server: "vllm" for a server of vLLM, which continues a message of the assistant and knows a repetition penalty;
            "any" expects nothing that OpenAI's own API lacks.
        inline: what becomes of observations inside the assistant's turn (`Dialect.inline`): "continue" asks the server
            to continue the message, which takes `server=vllm` and observations without pictures; "user" sends them as
            user messages, to which the reply is a new message.
        detail: the API's level of detail of pictures: "low", "high" or "auto".
        image_format: "png" (exact) or "jpeg" (smaller).
        max_image_pixels: larger views are shown smaller; 0 for no limit.
        max_image_bytes: limit of an encoded picture, before base64; views are shown small enough to fit for certain.
        price_in, price_out: US dollars per million tokens, for the cost in reports.
        api_version: version of Azure's API; makes `base_url` (by default AZURE_OPENAI_ENDPOINT) an Azure resource.
        organization, project: ids that are sent along; by default OPENAI_ORG_ID and OPENAI_PROJECT_ID, but only to
            OpenAI's own servers.

    Attributes:
        renamed: parameters that some models refuse, and their replacement ("" for none).
    """

    renamed: ClassVar[Mapping[str, str]] = RENAMED_FIELDS

    def __init__(
        self,
        argument: str,
        base_url: str = "",
        key_env: str = "OPENAI_API_KEY",
        concurrency: int = 64,
        timeout: float = 300.0,
        retries: int = 6,
        tools: str = "native",
        choices: str = "free",
        server: str = "any",
        inline: str = "continue",
        detail: str = "high",
        image_format: str = "png",
        max_image_pixels: int = 0,
        max_image_bytes: int = 20_000_000,
        price_in: float | None = None,
        price_out: float | None = None,
        api_version: str = "",
        organization: str = "",
        project: str = "",
    ) -> None:
        if not argument:
            raise ValueError('name the model: "openai:MODEL"')
        _one_of("tools", tools, ("native", "text"))
        _one_of("choices", choices, ("free", "vllm"))
        _one_of("server", server, ("any", "vllm"))
        _one_of("inline", inline, ("continue", "user"))
        _one_of("detail", detail, ("low", "high", "auto"))
        _one_of("image_format", image_format, tuple(IMAGE_FORMATS))
        _at_least("concurrency", concurrency, 1)
        _at_least("retries", retries, 0)
        _at_least("timeout", timeout, 0.001)
        _at_least("max_image_bytes", max_image_bytes, 2 * HEADERS)
        _at_least("max_image_pixels", max_image_pixels, 0)
        _at_least("price_in", price_in or 0.0, 0.0)
        _at_least("price_out", price_out or 0.0, 0.0)
        self.model, self.retries, self.tools, self.choices = argument, retries, tools, choices
        self.server, self.inline = server, inline
        self._wire = Wire(image_format, detail, max_image_bytes, max_image_pixels)
        self._prices = Prices(price_in, price_out)
        connection = Connection(base_url, key_env, concurrency, timeout, api_version, organization, project)
        self._endpoint = Endpoint(argument, connection)
        self._refusal = ""
        self._chats: dict[EpisodeKey, Chat] = {}
        self._shared = SharedTurns()
        self._refused: set[str] = set()
        self._open = 0
        self._ready: queue.SimpleQueue[tuple[EpisodeKey, Reply]] = queue.SimpleQueue()
        self._slots = asyncio.Semaphore(concurrency)
        self._background = BackgroundLoop(self, f"openai:{argument}", self._endpoint.close)

    def vision_size(self, width: int, height: int) -> Size:
        """Returns the size itself, or a smaller one that is within the endpoint's limits."""
        return self._wire.size(width, height)

    def unable(self, sampling: Sampling, inline: bool) -> str:
        """Why the server cannot reply in this way, as far as the options say what it can; "" if it can."""
        if self.server == "vllm":
            return ""
        if inline and self.inline == "continue":
            return (
                "inline: observations of this dialect stand inside the assistant's message, which OpenAI's API cannot "
                "continue. Set server=vllm if the server is vLLM and observations are text, or inline=user to send "
                "them as user messages; vllm:PATH, vllm_server:PATH and transformers:PATH continue the message exactly"
            )
        if sampling.code_temperature is not None:
            return (
                "code_temperature: another temperature inside of code takes a server that continues a message of the "
                "assistant; set server=vllm if it is vLLM"
            )
        if sampling.repetition_penalty != 1.0:
            return "repetition_penalty: OpenAI's API has no such parameter; set server=vllm if the server is vLLM"
        return ""

    def submit(self, request: Request) -> None:
        """Starts a request, which waits while `concurrency` others are in flight."""
        self._background.launch(self._serve(request))
        self._open += 1

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that have arrived; waits for one while any request is open."""
        replies = [self._ready.get()] if self._open else []
        while not self._ready.empty():
            replies.append(self._ready.get())
        self._open -= len(replies)
        return replies

    def refusal(self) -> str:
        """Returns the first error with one of the statuses `REFUSING_STATUS`, or ""."""
        return self._refusal

    def waits(self) -> bool:
        """Returns whether requests are open and no reply has arrived."""
        return self._open > 0 and self._ready.empty()

    def ask(self, request: Request) -> Reply:
        """Returns the reply to one request; any number of threads may ask at once, each with keys of its own.

        Raises:
            RuntimeError: the policy is closed.
            concurrent.futures.CancelledError: the policy was closed before the reply arrived.
        """
        return self._background.start(self._answer(request)).result()

    def release(self, key: EpisodeKey) -> None:
        """Forgets the encoded pictures of an episode."""
        self._chats.pop(key, None)

    def close(self) -> None:
        """Drops the requests in flight and closes the connections."""
        self._background.close()

    async def _serve(self, request: Request) -> None:
        self._ready.put((request.key, await self._reply(request)))

    async def _answer(self, request: Request) -> Reply:
        try:
            return await self._reply(request)
        finally:
            self.release(request.key)

    async def _reply(self, request: Request) -> Reply:
        try:
            if reason := self.unable(request.sampling, any(m.role == "inline" for m in request.dialogue.messages)):
                raise ValueError(reason)
            chat = self._chat(request)
            messages = await asyncio.to_thread(chat.messages) if chat.pixels() > INLINE_PIXELS else chat.messages()
            async with self._slots:
                if not self._has_parts(request.sampling):
                    return await self._ask(request, chat, messages)
                return await self._ask_parts(request, chat)
        except Exception as error:
            reason = self._endpoint.scrubbed(f"{type(error).__name__}: {error}")[:500]
            if isinstance(error, Refused) and error.status in REFUSING_STATUS:
                self._refusal = self._refusal or reason
            return Reply("", finish="error", error=reason)

    def _has_parts(self, sampling: Sampling) -> bool:
        """Whether the reply is sampled in parts. Raises ValueError if it is one of the choices and has code in it."""
        enforced = sampling.choices if self.choices == "vllm" else ()
        if in_parts(sampling) and any(sampling.code_tags[0] in choice for choice in enforced):
            raise ValueError("code_temperature, choices: the temperature cannot change inside a constrained reply")
        return in_parts(sampling) and not enforced

    async def _ask_parts(self, request: Request, chat: Chat) -> Reply:
        """Asks for a reply part by part, each at its own temperature."""
        parts, reply = TextParts(request.sampling), None
        while reply is None:
            part = replace(request, sampling=parts.next_part())
            reply = parts.accept(await self._ask(part, chat, chat.messages(parts.text), bool(parts.text)))
        return reply

    async def _ask(self, request: Request, chat: Chat, messages: list[bytes], begun: bool = False) -> Reply:
        """Asks until there is a reply, or an error that no retry can mend.

        The client's own retries are switched off. They know no parameter to rename and no context that is full, try
        again after an exhausted quota, wait at most two minutes for `Retry-After`, and draw their jitter from a
        generator without a seed.
        """
        rng, tries = None, 0
        while True:
            fields = self._fields(request, begun or chat.unfinished)
            try:
                return self._read(await self._endpoint.post(fields, messages), chat, request)
            except (Refused, NoReply, TimeoutError, ConnectionError) as error:
                if self._adapted(error, fields):
                    continue
                if (full := context_full(error)) is not None:
                    return full
                rng = rng or random.Random(request.sampling.seed)  # seeding takes 1% of a request; few are retried
                wait = self._wait(error, tries, rng)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            tries += 1

    def _read(self, answer: Any, chat: Chat, request: Request) -> Reply:
        completion, choice = first_choice(answer)
        chat.native = native_message(choice["message"]) if request.tools and self.tools == "native" else None
        return read_completion(completion, choice, request.sampling.stop, self._prices)

    def _chat(self, request: Request) -> Chat:
        chat = self._chats.get(request.key)
        if chat is None or chat.dialogue is not request.dialogue:
            appendix = tools_in_words(request.tools) if self.tools == "text" else ""
            as_user = self.inline == "user"
            chat = self._chats[request.key] = Chat(
                request.dialogue,
                self._wire,
                appendix,
                inline_as_user=as_user,
                native_calls=bool(request.tools) and self.tools == "native",
                shared=self._shared,
            )
        return chat

    def _fields(self, request: Request, continued: bool) -> Json:
        """Returns everything that is sent beside the messages; `continued`: whether the reply continues the last."""
        sampling = request.sampling
        fields: Json = {"model": self.model, "temperature": sampling.temperature}
        fields |= {"max_tokens": sampling.max_tokens, "seed": sampling.seed}
        if sampling.top_p < 1.0:
            fields["top_p"] = sampling.top_p
        if sampling.stop:
            fields["stop"] = list(sampling.stop)
        if sampling.repetition_penalty != 1.0:
            fields["repetition_penalty"] = sampling.repetition_penalty
        if continued:
            fields |= {"continue_final_message": True, "add_generation_prompt": False}
        if request.tools and self.tools == "native":
            fields |= {"tools": list(request.tools), "parallel_tool_calls": False}
        if sampling.choices and self.choices == "vllm":
            fields["structured_outputs"] = {"choice": list(sampling.choices)}
            if "tools" in fields:  # the model still sees the tools, but the choice that it must write is text
                fields["tool_choice"] = "none"
        for name in self._refused & fields.keys():
            value = fields.pop(name)
            if self.renamed[name]:
                fields[self.renamed[name]] = value
        return fields

    def _adapted(self, error: Exception, fields: Json) -> bool:
        """Returns whether the model refused a parameter that has a replacement, which is sent from now on."""
        if not isinstance(error, Refused) or error.status != 400 or not error.code.startswith("unsupported"):
            return False
        if error.param not in self.renamed or error.param not in fields:
            return False
        self._refused.add(error.param)
        return True

    def _wait(self, error: Exception, tries: int, rng: random.Random) -> float | None:
        """Returns the seconds until the next try, or None if the request is given up."""
        asked = 0.0
        if isinstance(error, Refused):
            if (error.status not in (408, 409, 429) and error.status < 500) or error.code == "insufficient_quota":
                return None
            asked = retry_after(error.headers)
        if tries >= self.retries or asked > MAX_RETRY_AFTER:
            return None
        # The jitter spreads the retries of episodes whose requests failed at the same moment, as at a server's restart.
        return max(asked, min(LONGEST_WAIT, FIRST_WAIT * 2.0**tries) * rng.uniform(0.5, 1.0))


def retry_after(headers: Mapping[str, str]) -> float:
    """Returns the seconds that a server asks to wait, stated as a number or as a date; 0 if it states neither."""
    stated = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(stated))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f'{option}: unknown "{value}"{closest(str(value), known)} (known: {", ".join(known)})')


def _at_least(option: str, value: float, least: float) -> None:
    """Raises ValueError for numbers below `least`, and for fractions if `least` is a whole number."""
    whole = isinstance(least, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < least:
        raise ValueError(f"{option}: expected a {'whole ' if whole else ''}number from {least} up, got {value!r}")
