"""The way to an OpenAI-compatible server: its address, its key, its connections."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from o3gym.registry import require

IDLE = 4.0
"""Seconds that a connection is kept for the next request: less than the 5 after which vLLM and uvicorn close it."""


class Refused(Exception):  # noqa: N818 - the name says it
    """A server answered with a status other than success.

    Attributes:
        status: of the answer.
        text: its body, without the key.
        headers: its headers, which are found in any case.
        code: what the API calls the error, "" if it does not say.
        param: the parameter that it is about, "" if it does not say.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        moved = f", moved to {headers['location']}" if "location" in headers else ""
        super().__init__(f"status {status}{moved}: {text}")
        self.status, self.text, self.headers = status, text, headers
        said = _error(text)
        self.code, self.param = (str(said.get(name) or "") for name in ("code", "param"))


def _error(text: str) -> Mapping[str, Any]:
    """What the body of a refusal holds as `error`, if it is as the API says."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    said = body.get("error") if isinstance(body, dict) else None
    return said if isinstance(said, dict) else {}


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
    """Posts chat completions to one server, over aiohttp.

    Not through the official client, which takes 2.3 times as much processor time for a request and so holds up 64 of
    them on a slow core; a test compares what is sent with what that client sends.

    Args:
        base_url: of the server; by default OPENAI_BASE_URL or OpenAI's own.
        key_env: the environment variable that holds the key; a server without one needs none over plain http.
        concurrency: requests in flight at most.
        timeout: seconds that one try may take.

    Attributes:
        lost: the class of errors that say that there was no whole answer.
    """

    def __init__(self, base_url: str, key_env: str, concurrency: int, timeout: float) -> None:
        self._aiohttp: Any = require("aiohttp", "openai")
        self.lost: type[Exception] = self._aiohttp.ClientError
        self._timeout, self._concurrency = timeout, concurrency
        self._secret = os.environ.get(key_env, "").strip()  # a line break in a header is an error that shows the header
        address = _checked(base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1", key_env)
        if address.startswith("https:") and not self._secret:
            raise ValueError(f"{urlsplit(address).hostname} needs a key: set the environment variable {key_env}")
        self._url = f"{address.rstrip('/')}/chat/completions"
        self._proxy = _proxy(address)
        self._session: Any = None

    def _opened(self) -> Any:
        """The connections, which belong to the event loop that asks first."""
        if self._session is None:
            self._session = self._aiohttp.ClientSession(
                connector=self._aiohttp.TCPConnector(limit=self._concurrency, keepalive_timeout=IDLE),
                timeout=self._aiohttp.ClientTimeout(total=None),
                headers={"Authorization": f"Bearer {self._secret or 'none'}", "Content-Type": "application/json"},
                proxy=self._proxy,
            )
        return self._session

    async def post(self, fields: Mapping[str, Any], messages: Sequence[bytes]) -> str:
        """The text of the answer, without the key. The time-out is of the whole try.

        Raises:
            Refused: the status is no success; redirections are not followed, since they could take the key elsewhere.
            TimeoutError: no answer in time.
            aiohttp.ClientError: no connection, or none to the end of the answer (`lost`).
        """
        body = Body(fields, messages)
        sent = {"data": aiter(body), "headers": {"Content-Length": str(body.size)}, "allow_redirects": False}
        try:
            async with asyncio.timeout(self._timeout), self._opened().post(self._url, **sent) as answer:
                text = self.scrubbed(await answer.text(errors="replace"))
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout:g} s") from None
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, text, answer.headers)
        return text

    def scrubbed(self, text: str) -> str:
        """The text without the key, which some servers echo. Words such as "none" and "EMPTY" are no keys."""
        return text.replace(self._secret, "[key]") if len(self._secret) >= 8 else text

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _proxy(address: str) -> str | None:
    """The proxy that the environment names for an address, as other clients find it."""
    url = urlsplit(address)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def _checked(address: str, key_env: str) -> str:
    url = urlsplit(address)
    if url.username or url.password or url.query:
        raise ValueError(f"base_url: put no key into the address of {url.hostname}; set {key_env} instead")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"base_url: expected http://HOST:PORT/v1 or https://HOST/v1, got {address!r}")
    return url.geturl()
