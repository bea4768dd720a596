"""HTTP clients for the official client that read at most `MAX_BODY` bytes of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IDLE = 4.0
"""Seconds for which an idle connection is kept: less than the 5 after which vLLM and uvicorn close it."""
MAX_BODY = 32 * 2**20
"""Maximum size of the body of an answer in bytes, decompressed. A completion has a few kilobytes."""


class BodySize:
    """Counts the bytes of a body while it is read. Raises `ConnectionError` as soon as they exceed `MAX_BODY`."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        stated = headers.get("content-length", "")
        self.plain = stated.isdecimal() and not {"content-encoding", "transfer-encoding"} & {*headers}
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

        async def repeat(self, content: Any, size: int) -> Any:
            """Sends the last request that was built once more, with a content of `size` bytes."""
            like = self.template
            headers = [(name, value) for name, value in like.headers.raw if name.lower() != b"content-length"]
            headers.append((b"Content-Length", str(size).encode()))
            request = type(like)(like.method, like.url, headers=headers, content=content, extensions=like.extensions)
            return await self.send(request)

        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            response = await super().send(request, stream=True, **options)
            if stream:
                return response
            try:
                size = BodySize(response.headers)
                if size.plain:
                    await response.aread()
                    return response
                return _read(response, b"".join([size.add(piece) async for piece in response.aiter_bytes()]))
            finally:
                await response.aclose()

    return CappedAsyncClient


def _capped(base: Any) -> Any:
    class CappedClient(base):  # type: ignore[misc]
        def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            response = super().send(request, stream=True, **options)
            if stream:
                return response
            try:
                size = BodySize(response.headers)
                if size.plain:
                    response.read()
                    return response
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
