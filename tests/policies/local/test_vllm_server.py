"""The vllm_server policy against a stand-in for vLLM's server that records what it is asked."""

from __future__ import annotations

import base64
import gc
import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import Dialogue, Picture, Request
from o3gym.policies.local.vllm import folded
from o3gym.policies.local.vllm_server import Remote, read_output
from o3gym.policies.openai import transport
from o3gym.registry import MissingPackage
from o3gym.sampling import Sampling
from o3gym.types import FULL, Reply, View
from tests.policies.local.vlm_folders import qwen


class Server(ThreadingHTTPServer):
    """Answers with the ids `say`; `status` other than 200 refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, Any]] = []
        self.say: list[int] = []
        self.expand: Any = list
        self.status = 200


class Answer(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._send({"data": [{"id": "served", "max_model_len": 300}]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = json.loads(raw or b"null")
        self.server.asked.append((self.path, body))
        if self.path != "/inference/v1/generate":
            return self._send(None)
        entries = [{"token": f"token_id:{token}", "logprob": -0.25} for token in self.server.say]
        choice = {"token_ids": self.server.say, "finish_reason": "stop", "logprobs": {"content": entries}}
        return self._send({"choices": [choice], "prompt_token_ids": self.server.expand(body["token_ids"])})

    def _send(self, data: Any) -> None:
        content = b"" if data is None else json.dumps(data).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return qwen(tmp_path_factory.mktemp("qwen"), "qwen3_vl")


@pytest.fixture
def policy(folder: str, server: Server) -> Iterator[Any]:
    made: Any = make_policy(f"vllm_server:{folder}?url=http://127.0.0.1:{server.server_port}/v1")
    made.submit(asked(dialogue("What is it?"), "first"))
    yield made
    made.close()


def dialogue(*parts: Any) -> Dialogue:
    made = Dialogue()
    made.add("user", parts)
    return made


def asked(talk: Dialogue, name: str = "g", **sampling: Any) -> Request:
    return Request(("arm", name, 0, "main"), talk, Sampling(**{"max_tokens": 50, "seed": 7, **sampling}))


def picture() -> Picture:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 64, 3), np.uint8)
    return Picture(View(0, 0, FULL, (64, 96), (64, 96)), lambda: pixels)


def replies(policy: Any, count: int) -> dict[str, Reply]:
    came = dict[str, Reply]()
    while len(came) < count:
        came |= {key[1]: said for key, said in policy.poll()}
    return came


def test_ids_and_pictures_go_there_and_ids_come_back(policy: Any, server: Server) -> None:
    shown, encoder = picture(), policy.encoder
    server.say = [*encoder.tokens("<answer>A</answer>"), encoder.end]
    server.expand = lambda ids: [t for i in ids for t in ([i] * (6 if i == encoder.image_id else 1))]
    choices = ("<answer>A</answer>", "<answer>B</answer>")
    policy.submit(asked(dialogue(shown, "A or B?"), temperature=1.0, choices=choices))
    said = replies(policy, 2)["g"]
    assert (said.text, said.token_ids, said.finish) == ("<answer>A</answer>", tuple(server.say), "stop")
    assert said.logprobs == (-0.25,) * len(server.say)
    _, body = next(each for each in server.asked if each[1]["content_parts"])
    assert body["token_ids"] == list(folded(said.new_prompt_ids or (), encoder.image_id))
    (part,) = body["content_parts"]
    decoded = Image.open(io.BytesIO(base64.b64decode(part["url"].removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(decoded), shown.load())
    settings = body["sampling_params"]
    assert settings["structured_outputs"] == {"choice": list(choices)}
    assert settings["logit_bias"][str(encoder.image_id)] == -1e9
    assert (body["model"], settings["seed"], settings["temperature"]) == ("served", 7, 1.0)


def test_whether_a_poll_would_only_wait(policy: Any, server: Server) -> None:
    while policy.waits():
        time.sleep(0.01)
    assert len(policy.poll()) == 1
    assert not policy.waits()


def test_what_the_server_refuses_is_the_error_of_an_episode(policy: Any, server: Server) -> None:
    replies(policy, 1)
    for status, said in ((500, "500"), (404, "--enable-scale-out")):
        server.status = status
        policy.submit(asked(dialogue("What?"), f"s{status}"))
        reply = replies(policy, 1)[f"s{status}"]
        assert reply.finish == "error"
        assert said in reply.error
    server.status = 200
    server.expand = lambda ids: ids[:-1]
    policy.submit(asked(dialogue("What?"), "other"))
    assert "vLLM read another prompt" in replies(policy, 1)["other"].error


def test_a_refusal_is_remembered_and_other_errors_are_not(policy: Any, server: Server) -> None:
    replies(policy, 1)
    for status in (400, 500, 401, 404):
        server.status = status
        policy.submit(asked(dialogue("What?"), f"s{status}"))
        assert f"ServerRefusal: status {status}: " in replies(policy, 1)[f"s{status}"].error
        assert policy.refusal().startswith("ServerRefusal: status 401: ") == (status in (401, 404))


def test_an_answer_is_read_up_to_a_limit(policy: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    replies(policy, 1)
    monkeypatch.setattr(transport, "MAX_BODY", 2**20)
    server.say = list(range(200_000))
    policy.submit(asked(dialogue("What?")))
    assert replies(policy, 1)["g"].error == "ConnectionError: the answer is larger than 1 MB"


def test_the_ids_of_an_account_with_openai_are_not_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: secret-1")
    remote = Remote(f"http://127.0.0.1:{server.server_port}", at_once=1, timeout=5.0)
    assert (remote._client.organization, remote._client.project) == (None, None)
    assert "X-Gateway" not in remote._client.default_headers
    remote.shutdown()


def test_the_context_is_the_servers(policy: Any, server: Server) -> None:
    policy.submit(asked(dialogue("word " * 400), "long"))
    assert replies(policy, 2)["long"].finish == "length"
    assert len(server.asked) == 1


def test_new_weights_are_read_by_the_server(policy: Any, server: Server, tmp_path: Path) -> None:
    replies(policy, 1)
    del server.asked[:]
    policy.renew(tmp_path)
    rpc = {"method": "reload_weights", "kwargs": {"weights_path": str(tmp_path)}}
    assert server.asked == [("/collective_rpc", rpc), ("/reset_prefix_cache", None), ("/reset_encoder_cache", None)]
    server.status = 404
    with pytest.raises(ValueError, match="VLLM_SERVER_DEV_MODE=1"):
        policy.renew(tmp_path)


def test_connections_are_closed_with_the_policy_or_with_its_last_reference(policy: Any, server: Server) -> None:
    replies(policy, 1)
    client = policy._engine._client
    policy.close()
    assert client.is_closed()
    forgotten = Remote(f"http://127.0.0.1:{server.server_port}", at_once=1, timeout=5.0)
    client = forgotten._client
    del forgotten
    gc.collect()
    assert client.is_closed()


def test_a_missing_client_is_named(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingPackage, match=r'run pip install "o3gym\[openai\]"'):
        make_policy(f"vllm_server:{folder}?url=http://127.0.0.1:9")


def test_a_server_that_is_none_is_said_at_once(folder: str) -> None:
    with pytest.raises(ValueError, match=r"127.0.0.1:9: no server of vLLM answers there"):
        make_policy(f"vllm_server:{folder}?url=http://127.0.0.1:9")


@pytest.mark.parametrize("logprobs", [None, {"content": None}, {"content": [{"logprob": -1.0}]}])
def test_an_answer_without_log_probabilities_says_so(logprobs: Any) -> None:
    choice = {"token_ids": [5, 6], "finish_reason": "stop", "logprobs": logprobs}
    with pytest.raises(ValueError, match=r"the server reported [01] log-probabilities for 2 tokens"):
        read_output("1", {"choices": [choice], "prompt_token_ids": [1]})
