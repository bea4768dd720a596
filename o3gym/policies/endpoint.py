"""The way to an OpenAI-compatible server: its address, its key, its connections."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from o3gym.registry import require

LANE = 8
"""Requests in flight per connection pool of httpx, which looks through the whole pool twice for each request."""


class Body:
    """A request body, sent piece by piece: what a dialogue's history was encoded to is never encoded or copied again.

    Args:
        fields: everything but the messages; not empty.
        messages: each as JSON text; at least one.
    """

    def __init__(self, fields: Mapping[str, Any], messages: Sequence[bytes]) -> None:
        self._messages = messages
        self._tail = b"], " + json.dumps(fields)[1:].encode()
        self.size = len(b'{"messages": [') + sum(map(len, messages)) + len(messages) - 1 + len(self._tail)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        before = b'{"messages": ['
        for message in self._messages:
            yield before + message
            before = b","
        yield self._tail


class Endpoint:
    """Posts chat completions to one server, through the official client.

    Its aiohttp transport is used where aiohttp is installed (the extra brings it): it takes a third less processor time
    a request than httpx.

    Args:
        base_url: of the server; by default OPENAI_BASE_URL or OpenAI's own.
        key_env: the environment variable that holds the key; a server without one needs none over plain http.
        concurrency: requests in flight at most.
        timeout: seconds that one try may take.

    Attributes:
        errors: the client's package, for its error classes.
    """

    def __init__(self, base_url: str, key_env: str, concurrency: int, timeout: float) -> None:
        self.errors: Any = require("openai", "openai")
        self._timeout = timeout
        self._secret = os.environ.get(key_env, "").strip()  # a line break in a header is an error that shows the header
        address = _checked(base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1", key_env)
        if address.startswith("https:") and not self._secret:
            raise ValueError(f"{urlsplit(address).hostname} needs a key: set the environment variable {key_env}")
        self._clients = self._connect(address, concurrency)
        self._free = [self._clients[slot % len(self._clients)] for slot in range(concurrency)]

    def _connect(self, address: str, concurrency: int) -> list[Any]:
        options = {"api_key": self._secret or "none", "base_url": address, "timeout": None, "max_retries": 0}
        limits = type(self.errors.DEFAULT_CONNECTION_LIMITS)(max_connections=concurrency)
        try:
            transport = self.errors.DefaultAioHttpClient(limits=limits, timeout=None)
        except RuntimeError:  # aiohttp is not installed
            return [self.errors.AsyncOpenAI(**options) for _ in range(-(-concurrency // LANE))]
        return [self.errors.AsyncOpenAI(**options, http_client=transport)]

    async def post(self, fields: Mapping[str, Any], messages: Sequence[bytes]) -> str:
        """The text of the answer, without the key.

        The time-out is of the whole try; the client's own would start anew at each byte.
        """
        body, client = Body(fields, messages), self._free.pop()
        headers = {"Content-Type": "application/json", "Content-Length": str(body.size)}
        try:
            async with asyncio.timeout(self._timeout):
                options = {"headers": headers}
                said: str = await client.post("/chat/completions", content=body, options=options, cast_to=str)
                return self.scrubbed(said)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout:g} s") from None
        finally:
            self._free.append(client)

    def scrubbed(self, text: str) -> str:
        """The text without the key, which some servers echo. Words such as "none" and "EMPTY" are no keys."""
        return text.replace(self._secret, "[key]") if len(self._secret) >= 8 else text

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()


def _checked(address: str, key_env: str) -> str:
    url = urlsplit(address)
    if url.username or url.password or url.query:
        raise ValueError(f"base_url: put no key into the address of {url.hostname}; set {key_env} instead")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"base_url: expected http://HOST:PORT/v1 or https://HOST/v1, got {address!r}")
    return url.geturl()
