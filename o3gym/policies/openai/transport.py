"""HTTP clients for the official client that read at most `MAX_BODY` bytes of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

IDLE = 4.0
"""Seconds for which an idle connection is kept: less than the 5 after which vLLM and uvicorn close it."""
MAX_BODY = 32 * 2**20
"""Maximum size of the body of an answer in bytes, decompressed. A completion has a few kilobytes."""


class BodySize:
    """Counts the bytes of a body while it is read. Raises `ConnectionError` as soon as they exceed `MAX_BODY`.

    Args:
        raw: the headers of the answer as bytes. Reading them as text takes several times as long.
    """

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        headers = {name.lower(): value for name, value in raw}
        stated = headers.get(b"content-length", b"").decode("latin-1")
        self.plain = stated.isdecimal() and not {b"content-encoding", b"transfer-encoding"} & headers.keys()
        """Whether the header states the size, so that there is no need to count."""
        self._size = 0
        if stated.isdecimal():
            self.check(int(stated))

    def add(self, piece: bytes) -> bytes:
        """Counts a piece and returns it."""
        self._size += len(piece)
        self.check(self._size)
        return piece

    def check(self, size: int) -> None:
        """Raises `ConnectionError` if `size` exceeds the limit."""
        if size > MAX_BODY:
            raise ConnectionError(f"the answer is larger than {MAX_BODY // 2**20} MB")


def async_http_client(openai: Any, concurrency: int) -> Any:
    """Returns aiohttp behind the client's interface, which takes half the processor time, or httpx without aiohttp."""
    # The type is that of httpx2 from version 3 of the client on, and that of httpx before.
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
        max_connections=concurrency, max_keepalive_connections=concurrency, keepalive_expiry=IDLE
    )
    options = {"limits": limits, "timeout": None, "follow_redirects": False}
    try:
        return _capped_async(openai.DefaultAioHttpClient)(**options)
    except RuntimeError:  # the client was installed without its extra "aiohttp"
        return _capped_async(openai.DefaultAsyncHttpxClient)(**options)


def http_client(openai: Any, timeout: float) -> Any:
    """Returns httpx, for requests from threads."""
    return _capped(openai.DefaultHttpxClient)(timeout=timeout)


def _capped_async(base: Any) -> Any:
    class CappedAsyncClient(base):  # type: ignore[misc]
        template: Any = None
        """The last request that was built, or None. One that a server must not see twice is not kept."""

        def build_request(self, *args: Any, **options: Any) -> Any:
            request = super().build_request(*args, **options)
            self.template = None if "idempotency-key" in request.headers else request
            return request

        async def repeat(self, content: Any, size: int) -> tuple[int, bytes, Any]:
            """Sends the last request that was built once more, with a content of `size` bytes.

            It goes straight to the transport. What `send` does around that takes 0.1 ms of processor time and has no
            effect on a request like this one: the headers hold the key already, redirections are not followed, and
            cookies are sent with requests that are built only.

            Returns the status, the body and the headers of the answer.
            """
            like = self.template
            request = type(like)(like.method, like.url, content=content, extensions=like.extensions)
            # A copy knows the encoding of its headers, which headers that are passed to a request find out anew.
            request.headers = like.headers.copy()
            request.headers["Content-Length"] = str(size)
            response = await self._transport_for_url(like.url).handle_async_request(request)
            return response.status_code, await _body(response), response.headers

        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            response = await super().send(request, stream=True, **options)
            return response if stream else _read(response, await _body(response))

    return CappedAsyncClient


async def _body(response: Any) -> bytes:
    """Reads the body of an answer, decompressed, and closes the answer."""
    try:
        size = BodySize(response.headers.raw)
        # A body of a stated size is neither decompressed nor counted, so it can be read from below the client.
        pieces = response.stream if size.plain else response.aiter_bytes()
        add = bytes if size.plain else size.add
        return b"".join([add(piece) async for piece in pieces])
    finally:
        await response.aclose()


def _capped(base: Any) -> Any:
    class CappedClient(base):  # type: ignore[misc]
        def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            response = super().send(request, stream=True, **options)
            if stream:
                return response
            try:
                size = BodySize(response.headers.raw)
                return _read(response, b"".join([size.add(piece) for piece in response.iter_bytes()]))
            finally:
                response.close()

    return CappedClient


def _read(response: Any, body: bytes) -> Any:
    """Returns the response with a body that has been read and decompressed."""
    headers = [
        (k, v) for k, v in response.headers.multi_items() if k.lower() not in ("content-encoding", "content-length")
    ]
    return type(response)(response.status_code, headers=headers, content=body, request=response.request)
