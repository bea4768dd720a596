"""A server that speaks just enough of the chat completions API, in a process of its own, and answers by a script.

A step of the script answers one request, in the order they arrive, and the last one answers all that follow:
`{"status", "headers", "body", "delay", "drop", "chunked", "gzip"}`. A text as body is sent as it is, with `KEY` in it
replaced by the key that the client sent; anything else is sent as JSON. `drop` closes the connection in the middle of
the body, `chunked` sends it without a size, and `gzip` compresses it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import time
import urllib.request
from typing import Any

Step = dict[str, Any]


def completion(text: str | None = "<answer>A</answer>", finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """What the API answers."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def failure(status: int, message: str, headers: dict[str, str] | None = None, **error: Any) -> Step:
    """A step that refuses."""
    return {"status": status, "headers": headers or {}, "body": {"error": {"message": message, **error}}}


class Stub:
    """The server seen from a test: `with Stub() as stub: stub.script([...]); …; stub.log()`."""

    def __enter__(self) -> Stub:
        self._process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process and wait for it; its connections are dropped."""
        self._process.kill()
        self._process.communicate()

    def script(self, *steps: Step) -> None:
        """Answer by these steps from now on, and forget what was received."""
        self._control("script", json.dumps(steps).encode())

    def log(self) -> list[dict[str, Any]]:
        """The requests since the last script: `at` (seconds), `delay`, `path`, `body`, all lines of the `head` but the
        body's size, and from the headers `key` (bearer), `api_key`, `organization` and `project`.
        """
        received: list[dict[str, Any]] = json.loads(self._control("log", b"{}"))
        return received

    def _control(self, path: str, data: bytes) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", data=data, timeout=30) as answer:
            return bytes(answer.read())


class Server:
    """The process."""

    def __init__(self) -> None:
        self.steps: list[Step] = [{"body": completion()}]
        self.received: list[tuple[float, float, str, bytes]] = []

    async def serve(self) -> None:
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, limit=2**26, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as one that times out does
        finally:
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        path = head.split(" ", 2)[1]
        if not path.partition("?")[0].endswith("/chat/completions"):
            return self.answer(writer, 200, {}, self.control(path, body))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        self.received.append((time.monotonic(), step.get("delay", 0.0), head, body))
        if step.get("delay"):
            await asyncio.sleep(step["delay"])
        reply = step.get("body", "")
        said = reply.replace("KEY", bearer(head)) if isinstance(reply, str) else json.dumps(reply)
        stays = self.answer(writer, step.get("status", 200), step.get("headers", {}), said, step)
        await writer.drain()
        return stays

    def answer(
        self, writer: asyncio.StreamWriter, status: int, headers: dict[str, str], text: str, step: Step | None = None
    ) -> bool:
        step = step or {}
        data, cut = text.encode(), step.get("drop", False)
        fields = {"content-type": "application/json"}
        if step.get("gzip"):
            data, fields["content-encoding"] = gzip.compress(data), "gzip"
        if step.get("chunked"):
            data, fields["transfer-encoding"] = f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n", "chunked"
        else:
            fields["content-length"] = str(len(data))
        fields |= headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status} Scripted\r\n{lines}\r\n".encode() + (data[: len(data) // 2] if cut else data))
        return not cut

    def control(self, path: str, body: bytes) -> str:
        if path == "/script":
            self.steps, self.received = json.loads(body), []
            return "{}"
        return json.dumps(
            [
                {
                    **{"at": at, "delay": delay, "path": head.split(" ", 2)[1], "body": json.loads(data)},
                    "head": sorted(line for line in head.splitlines() if not line.lower().startswith("content-length")),
                    **{"key": bearer(head), "api_key": header(head, "api-key")},
                    **{name: header(head, f"openai-{name}") for name in ("organization", "project")},
                }
                for at, delay, head, data in self.received
            ]
        )


def bearer(head: str) -> str:
    """The key in the authorization header."""
    return header(head, "authorization").rpartition(" ")[2]


def header(head: str, name: str) -> str:
    """The value of a header, "" without it."""
    line = next((line for line in head.split("\r\n") if line.lower().startswith(f"{name}:")), "")
    return line.partition(": ")[2]


if __name__ == "__main__":
    asyncio.run(Server().serve())
