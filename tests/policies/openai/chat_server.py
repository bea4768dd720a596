"""A chat completions server over the transformers policy, in a process of its own: `python chat_server.py FOLDER`.

It does what servers do to a request: decodes pictures, brings them to the model's sizes, batches requests as they come,
takes the stop string off. A dialogue that goes on where an earlier one ended is the same dialogue to the policy, so its
replies stay the ids that were sampled.
"""

from __future__ import annotations

import base64
import io
import json
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import numpy as np
from PIL import Image

from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Part, Picture, Request
from o3gym.sampling import Sampling
from o3gym.types import FULL, Reply, View

Json = dict[str, Any]
TOO_LONG = "This model's maximum context length is exceeded"


class Served:
    """The server seen from a test: `with Served(folder) as server: …`; `url` is its base URL."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __enter__(self) -> Served:
        self._process = subprocess.Popen([sys.executable, __file__, self._folder], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process in whatever it is doing."""
        self._process.kill()
        if self._process.stdout is not None and not self._process.stdout.closed:
            self._process.communicate()


class Desk:
    """Hands requests to the policy, which lives on one thread, and its replies back."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._numbers = count()
        self._known: dict[str, tuple[int, Dialogue]] = {}
        self._in: queue.SimpleQueue[tuple[Request, Future[Reply]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self, body: Json) -> Reply:
        """The reply to a request body; remembers the dialogue as it is with that reply."""
        messages = body["messages"]
        number, dialogue = self._dialogue(messages)
        fields = {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed") if name in body}
        sampling = Sampling(**fields, stop=tuple(body.get("stop") or ()))
        answered: Future[Reply] = Future()
        self._in.put((Request(("", str(number), 0, ""), dialogue, sampling), answered))
        reply = answered.result()
        self._known[_digest([*messages, {"role": "assistant", "content": reply.text}])] = (number, dialogue)
        return reply

    def _dialogue(self, messages: list[Json]) -> tuple[int, Dialogue]:
        replies = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
        seen = replies[-1] + 1 if replies else 0
        kept = self._known.pop(_digest(messages[:seen]), None)
        number, dialogue = kept or (next(self._numbers), Dialogue())
        for message in messages[seen - 1 if kept else 0 :]:  # the reply itself is not in it yet
            dialogue.add(message["role"], self._parts(message["content"]))
        return number, dialogue

    def _parts(self, content: str | list[Json]) -> list[Part]:
        if isinstance(content, str):
            return [content]
        return [part["text"] if part["type"] == "text" else self._picture(part["image_url"]["url"]) for part in content]

    def _picture(self, url: str) -> Picture:
        image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
        size = self._policy.vision_size(*image.size)
        pixels = np.asarray(image if size == image.size else image.resize(size, Image.Resampling.BICUBIC))
        return Picture(View(0, 0, FULL, image.size, size), lambda: pixels)

    def _run(self) -> None:
        waiting: dict[str, Future[Reply]] = {}
        while True:
            while not waiting or not self._in.empty():
                request, answered = self._in.get()
                waiting[request.key[1]] = answered
                self._policy.submit(request)
            for key, reply in self._policy.poll():
                waiting.pop(key[1]).set_result(reply)


def _digest(messages: list[Json]) -> str:
    return json.dumps(messages, sort_keys=True)


def completion(reply: Reply, stop: list[str]) -> Json:
    """What the API says for a reply, with vLLM's `stop_reason`."""
    ended = next((text for text in stop if reply.finish == "stop" and reply.text.endswith(text)), None)
    message = {"role": "assistant", "content": reply.text.removesuffix(ended or "")}
    choice = {"index": 0, "finish_reason": reply.finish, "stop_reason": ended, "message": message}
    assert reply.usage is not None
    usage = {"prompt_tokens": reply.usage.prompt_tokens, "completion_tokens": reply.usage.completion_tokens}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, desk: Desk, *args: Any) -> None:
        self._desk = desk
        super().__init__(*args)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = self._desk.ask(body)
        if reply.error == CONTEXT_FULL:
            self._answer(400, {"error": {"message": TOO_LONG, "code": "context_length_exceeded"}})
        elif reply.finish == "error":
            self._answer(500, {"error": {"message": reply.error}})
        else:
            self._answer(200, completion(reply, body.get("stop") or []))

    def _answer(self, status: int, said: Json) -> None:
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Nothing: standard output is for the port."""


def main(folder: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Exchange, Desk(make_policy(f"transformers:{folder}"))))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
