"""Requests to one OpenAI-compatible server through the official client, which brings authentication and transport."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from o3gym.policies.openai.redaction import Redaction
from o3gym.policies.openai.transport import async_http_client
from o3gym.registry import require

NO_KEY = "none"
"""The key that is sent where the environment has none, because the client requires one."""
KEY_VARIABLE = "OPENAI_API_KEY"
"""The official client's own environment variable of the key."""
OPENAI_HOST = "api.openai.com"
LONGEST_BODY = 4_000
"""Characters kept of the body of an answer that refuses."""
SMALL_BODY = 64 * 1024
"""Bytes of a request body up to which it is sent as a whole."""
LONGEST_EXCERPT = 200
"""Characters kept of an answer that is no completion."""


@dataclass(frozen=True)
class Connection:
    """How a server is reached; the options that the policies and the judges behind such a server have in common.

    Attributes:
        base_url: address of the server; by default OPENAI_BASE_URL or OpenAI's own.
        key_env: the environment variable that holds the key; a server on plain http may do without.
        concurrency: most requests in flight.
        timeout: seconds that one try may take.
        api_version: version of Azure's API; makes `base_url` (by default AZURE_OPENAI_ENDPOINT) an Azure resource.
        organization, project: ids that are sent along; by default OPENAI_ORG_ID and OPENAI_PROJECT_ID, but only to
            OpenAI's own servers.
    """

    base_url: str = ""
    key_env: str = KEY_VARIABLE
    concurrency: int = 64
    timeout: float = 300.0
    api_version: str = ""
    organization: str = ""
    project: str = ""


class NoReply(ValueError):  # noqa: N818 - the name says it
    """A server answered with something that is not a completion; the message quotes it."""


class Refused(Exception):  # noqa: N818 - the name says it
    """A server answered with a status other than success. The message holds the body of the answer, without the key.

    Attributes:
        status: HTTP status of the answer.
        headers: headers of the answer; names are matched in any case.
        code: the API's error code, or "" if the body has none.
        param: the parameter that the error is about, or "" if the body has none.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str], code: str = "", param: str = "") -> None:
        moved = f", moved to {headers['location'][:LONGEST_EXCERPT]}" if "location" in headers else ""
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

    def content(self) -> Body | bytes:
        """Returns what is handed to the client: the whole body if it is small, which saves sending it in pieces."""
        return b"".join(self._pieces()) if self.size <= SMALL_BODY else self

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces():
            yield piece

    def _pieces(self) -> Iterator[bytes]:
        before = b'{"messages": ['
        for message in self._messages:
            yield before + message
            before = b","
        yield self._tail


class HttpAnswer(NamedTuple):
    """What a server answered."""

    status: int
    text: str
    headers: Mapping[str, str]


class Endpoint:
    """Posts chat completions to one server.

    Args:
        model: the model's name, which Azure calls the deployment.
        connection: how the server is reached.

    Raises:
        MissingPackage: the official client is not installed.
        ValueError: the address is not usable, or there is no key for an https address.
    """

    def __init__(self, model: str, connection: Connection) -> None:
        self._openai: Any = require("openai", "openai")
        self._timeout, api_version = connection.timeout, connection.api_version
        # stripped, because the error about a line break in a header shows the header
        secret = os.environ.get(connection.key_env, "").strip()
        self._redaction = Redaction(secret)
        address = _checked(connection.base_url or _default_address(api_version), connection.key_env)
        if address.startswith("https:") and not secret:
            host = urlsplit(address).hostname
            raise ValueError(f"{host} needs a key: set the environment variable {connection.key_env}")
        # The policy retries by itself (see OpenAIPolicy), and its time-out spans a whole try. The client's own time-out
        # restarts with every piece that is received.
        options = {"api_key": secret or NO_KEY, "max_retries": 0, "timeout": None}
        options["http_client"] = self._http = async_http_client(self._openai, connection.concurrency)
        if api_version:
            self._client = self._openai.AsyncAzureOpenAI(
                azure_endpoint=address, azure_deployment=model, api_version=str(api_version), **options
            )
        else:
            self._client = self._openai.AsyncOpenAI(base_url=address, **options)
        account = (connection.organization, connection.project)
        name_account(self._client, address, *account, custom_headers=connection.key_env == KEY_VARIABLE)

    async def post(self, fields: Mapping[str, Any], messages: Sequence[bytes]) -> Any:
        """Returns the answer as JSON, without the key.

        Raises:
            Refused: the status is not success. That includes redirections, which could take the key elsewhere.
            NoReply: the answer is not JSON.
            TimeoutError: there is no whole answer in time.
            ConnectionError: there is no connection, it ended before the answer did, or the answer is too large.
        """
        body = Body(fields, messages)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._exchange(body)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout:g} s") from None
        except connection_errors(self._openai) as error:
            raise ConnectionError(self.scrubbed(connection_reason(error))) from None
        if not 200 <= answer.status < 300:
            code, param = error_code(answer.text)
            said = self._redaction.excerpt(answer.text, LONGEST_BODY)
            raise Refused(answer.status, said, answer.headers, code, param)
        try:
            return self._redaction.value(json.loads(answer.text))
        except (ValueError, RecursionError):
            said = self._redaction.excerpt(answer.text, LONGEST_EXCERPT)
            raise NoReply(f"the server answered with something that is not JSON: {said!r}") from None

    async def _exchange(self, body: Body) -> HttpAnswer:
        """Sends a request and returns the answer, whatever its status.

        The first request goes through the official client, which composes its address and headers. The others are that
        request with another body: composing each anew takes 1 ms of processor time, nearly half of what a request
        costs. Neither goes through `chat.completions.create`, which encodes the whole dialogue anew on the event loop
        and checks every message against its types.
        """
        if self._http.template is not None:
            status, content, headers = await self._http.repeat(body.content(), body.size)
            # JSON is UTF-8, so there is no need to look for another encoding in the headers and in the text.
            return HttpAnswer(status, content.decode("utf-8", "replace"), headers)
        options = {"headers": {"Content-Length": str(body.size)}}
        try:
            text = await self._client.post("/chat/completions", cast_to=str, content=body.content(), options=options)
        except self._openai.APIStatusError as error:
            return HttpAnswer(error.status_code, error.response.text, error.response.headers)
        return HttpAnswer(200, text, {})

    def scrubbed(self, text: str) -> str:
        """Returns the text without the key, which some servers echo."""
        return self._redaction.text(text)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def connection_errors(openai: Any) -> tuple[type[Exception], ...]:
    """Returns the exceptions of a broken exchange: those of the client, and those of the transports below it."""
    below = (
        ("aiohttp", "ClientError"),
        ("httpx2", "RequestError"),
        ("httpx", "RequestError"),
        ("anyio", "EndOfStream"),
    )
    found = [getattr(sys.modules[module], name) for module, name in below if module in sys.modules]
    return (openai.APIConnectionError, ssl.SSLError, *found)


def error_code(text: str) -> tuple[str, str]:
    """Returns the code of the error in an answer and the parameter that it is about, "" where there is none."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    error = body.get("error", body) if isinstance(body, dict) else None
    stated = error if isinstance(error, dict) else {}
    return str(stated.get("code") or ""), str(stated.get("param") or "")


def connection_reason(error: Exception) -> str:
    """Returns why an exchange broke; the client's own message only says "Connection error."."""
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__


def name_account(
    client: Any, address: str, organization: str = "", project: str = "", custom_headers: bool = False
) -> None:
    """Sets the ids of the account that the client sends along.

    The client takes them from the environment, whichever server it asks. They are nobody's business but OpenAI's, so
    any other server gets those only that are given here. The headers of the variable OPENAI_CUSTOM_HEADERS, which often
    hold a second key, stay only with `custom_headers`: they belong where the key of `KEY_VARIABLE` is sent.
    """
    if not custom_headers:
        client._custom_headers = {}  # nothing public removes them: every new client and every copy reads them anew
    host = urlsplit(address).hostname or ""
    if host != OPENAI_HOST and not host.endswith(f".{OPENAI_HOST}"):  # regions have hosts like eu.api.openai.com
        client.organization = client.project = None
    client.organization = str(organization) or client.organization
    client.project = str(project) or client.project


def _default_address(api_version: str) -> str:
    if not api_version:
        return os.environ.get("OPENAI_BASE_URL") or f"https://{OPENAI_HOST}/v1"
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
