"""Requests to one OpenAI-compatible server through the official client, which brings authentication and transport."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from o3gym.registry import require

IDLE = 4.0
"""Seconds for which an idle connection is kept: less than the 5 after which vLLM and uvicorn close it."""
NO_KEY = "none"
"""The key that is sent where the environment has none, because the client requires one."""


class Refused(Exception):  # noqa: N818 - the name says it
    """A server answered with a status other than success. The message holds the body of the answer, without the key.

    Attributes:
        status: HTTP status of the answer.
        headers: headers of the answer; names are matched in any case.
        code: the API's error code, or "" if the body has none.
        param: the parameter that the error is about, or "" if the body has none.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str], code: str = "", param: str = "") -> None:
        moved = f", moved to {headers['location']}" if "location" in headers else ""
        super().__init__(f"status {status}{moved}: {text}")
        self.status, self.headers, self.code, self.param = status, headers, code, param


class Body:
    """A request body that is sent in pieces, so that a dialogue's history is never encoded or copied again.

    Args:
        fields: everything but the messages; not empty.
        messages: the messages, each as JSON text; at least one.

    Attributes:
        size: bytes of the whole body.
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
    """Posts chat completions to one server.

    Args:
        model: the model's name, which Azure calls the deployment.
        base_url: address of the server; by default OPENAI_BASE_URL or OpenAI's own.
        key_env: the environment variable that holds the key; a server on plain http may do without.
        concurrency: most requests in flight.
        timeout: seconds that one try may take.
        api_version: version of Azure's API; makes `base_url` (by default AZURE_OPENAI_ENDPOINT) an Azure resource.

    Raises:
        MissingPackage: the official client is not installed.
        ValueError: the address is not usable, or there is no key for an https address.
    """

    def __init__(
        self, model: str, base_url: str, key_env: str, concurrency: int, timeout: float, api_version: str = ""
    ) -> None:
        self._openai: Any = require("openai", "openai")
        self._timeout = timeout
        self._secret = os.environ.get(key_env, "").strip()  # the error about a line break in a header shows the header
        address = _checked(base_url or _default_address(api_version), key_env)
        if address.startswith("https:") and not self._secret:
            raise ValueError(f"{urlsplit(address).hostname} needs a key: set the environment variable {key_env}")
        # The policy retries by itself (see OpenAIPolicy), and its time-out spans a whole try. The client's own time-out
        # restarts with every piece that is received.
        options = {"api_key": self._secret or NO_KEY, "max_retries": 0, "timeout": None}
        options["http_client"] = _http_client(self._openai, concurrency)
        if api_version:
            self._client = self._openai.AsyncAzureOpenAI(
                azure_endpoint=address, azure_deployment=model, api_version=str(api_version), **options
            )
        else:
            self._client = self._openai.AsyncOpenAI(base_url=address, **options)

    async def post(self, fields: Mapping[str, Any], messages: Sequence[bytes]) -> str:
        """Returns the body of the answer, without the key.

        The request does not go through `chat.completions.create`: that encodes the whole dialogue anew on the event
        loop, and takes twice as much processor time to check every message against its types.

        Raises:
            Refused: the status is not success. That includes redirections, which could take the key elsewhere.
            TimeoutError: there is no whole answer in time.
            ConnectionError: there is no connection, or it ended before the answer did.
        """
        body = Body(fields, messages)
        options = {"headers": {"Content-Length": str(body.size)}}
        try:
            async with asyncio.timeout(self._timeout):
                text = await self._client.post("/chat/completions", cast_to=str, content=body, options=options)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout:g} s") from None
        except self._openai.APIStatusError as error:
            response, code, param = error.response, str(error.code or ""), str(error.param or "")
            raise Refused(error.status_code, self.scrubbed(response.text), response.headers, code, param) from None
        except connection_errors(self._openai) as error:
            raise ConnectionError(self.scrubbed(connection_reason(error))) from None
        return self.scrubbed(text)

    def scrubbed(self, text: str) -> str:
        """Returns the text without the key, which some servers echo. Words such as "none" and "EMPTY" are not keys."""
        return text.replace(self._secret, "[key]") if len(self._secret) >= 8 else text

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def connection_errors(openai: Any) -> tuple[type[Exception], ...]:
    """Returns the exceptions of a broken exchange, including those of aiohttp that its transport does not translate."""
    aiohttp = sys.modules.get("aiohttp")
    return (openai.APIConnectionError, *([aiohttp.ClientError] if aiohttp else []))


def connection_reason(error: Exception) -> str:
    """Returns why an exchange broke; the client's own message only says "Connection error."."""
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__


def _http_client(openai: Any, concurrency: int) -> Any:
    """Returns aiohttp behind the client's interface, which takes half the processor time, or httpx without aiohttp."""
    # The type is that of httpx2 from version 3 of the client on, and that of httpx before.
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=concurrency, max_keepalive_connections=concurrency, keepalive_expiry=IDLE
    )
    options = {"limits": limits, "timeout": None, "follow_redirects": False}
    try:
        return openai.DefaultAioHttpClient(**options)
    except RuntimeError:  # the client was installed without its extra "aiohttp"
        return openai.DefaultAsyncHttpxClient(**options)


def _default_address(api_version: str) -> str:
    if not api_version:
        return os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    if address := os.environ.get("AZURE_OPENAI_ENDPOINT"):
        return address
    raise ValueError("api_version: set base_url, or the variable AZURE_OPENAI_ENDPOINT, to the Azure resource")


def _checked(address: str, key_env: str) -> str:
    url = urlsplit(address)
    if url.username or url.password or url.query:
        raise ValueError(f"base_url: put no key into the address of {url.hostname}; set {key_env} instead")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"base_url: expected http://HOST:PORT/v1 or https://HOST/v1, got {address!r}")
    return url.geturl()
