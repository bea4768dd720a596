"""The openai policy against a real server process that answers by a script: every reply and every fault."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.cli.main import main
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import Dialogue, Request
from o3gym.policies.openai import policy as module
from o3gym.policies.openai import transport
from o3gym.policies.openai.client import Body
from o3gym.policies.openai.completions import with_stop
from o3gym.policies.openai.messages import Wire
from o3gym.policies.openai.policy import OpenAIPolicy, retry_after
from o3gym.registry import MissingPackage
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.types import Reply, Trajectory, Usage
from tests.policies.local.talk import picture
from tests.policies.openai.openai_stub import Stub, completion, failure

KEY = "sk-test-7Qw3rT9zLmN4"
SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"suite": "synthetic", "suite_args": SMALL, "min_pixels": 1000, "max_pixels": 40_000, "max_turns": 4}
CROP = '<tool_call>{"name": "crop", "arguments": {"view": 0, "box": [0.0, 0.0, 0.5, 0.5]}}</tool_call>'
Make = Callable[..., OpenAIPolicy]


@pytest.fixture
def stub(server: Stub) -> Stub:
    server.script({"body": completion()})
    return server


@pytest.fixture
def make(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Policies of that server that hardly wait between tries; closed after the test."""
    made: list[OpenAIPolicy] = []
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(module, "FIRST_WAIT", 0.002)

    def policy(**options: Any) -> OpenAIPolicy:
        made.append(OpenAIPolicy("m", **{"base_url": stub.url, "concurrency": 4, **options}))
        return made[-1]

    yield policy
    for each in made:
        each.close()
    gc.collect()  # a connection left open would warn here, and fail


def asked(dialogue: Dialogue | None = None, name: str = "g", **fields: Any) -> Request:
    if dialogue is None:
        dialogue = Dialogue()
        dialogue.add("system", ["You look."])
        dialogue.add("user", ["What is it?"])
    sampling = fields.pop("sampling", Sampling(max_tokens=50, seed=7))
    return Request(("arm", name, 0, "main"), dialogue, sampling, **fields)


def reply(policy: OpenAIPolicy, **fields: Any) -> Reply:
    policy.submit(asked(**fields))
    ((_, said),) = policy.poll()
    return said


def play(policy: OpenAIPolicy, count: int = 1, dialect: str = "qwen3_vl", **env: Any) -> list[Trajectory]:
    jobs = [Job(index, f"g{index}", seed=index) for index in range(count)]
    arm = Arm("arm", {**ENV, **env}, "openai:m", dialect)
    return sorted(rollout(jobs, policy, make_dialect(dialect), arm), key=lambda t: t.group)


def test_a_request_says_what_was_asked_and_the_reply_is_read(make: Make, stub: Stub) -> None:
    said = reply(make(price_in=2.0, price_out=10.0), sampling=Sampling(0.7, 0.9, 50, ("</x>",), 7))
    assert said == Reply("<answer>A</answer>", usage=Usage(1000, 20, 0.0022))
    (entry,) = stub.log()
    assert entry["path"] == "/v1/chat/completions"
    assert entry["key"] == KEY
    assert entry["body"] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You look."},
            {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
        ],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 50,
        "seed": 7,
        "stop": ["</x>"],
    }


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_pictures_are_sent_as_shown_and_encoded_once(make: Make, stub: Stub, image_format: str) -> None:
    policy, dialogue, loads = make(image_format=image_format, detail="low"), Dialogue(), []
    first, second = picture(index=0, loads=loads), picture(20, 10, 1, loads)
    dialogue.add("user", ["Look:", first])
    reply(policy, dialogue=dialogue)
    dialogue.add("assistant", ["more"])
    dialogue.add("user", [second])
    reply(policy, dialogue=dialogue)
    assert loads == [0, 1]
    one, two = (entry["body"]["messages"] for entry in stub.log())
    assert two[0] == one[0]
    assert two[1] == {"role": "assistant", "content": "more"}
    url = two[0]["content"][1]["image_url"]
    assert url["detail"] == "low"
    head, _, data = url["url"].partition(",")
    assert head == f"data:image/{image_format};base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    if image_format == "png":
        assert np.array_equal(pixels, first.load())
    assert pixels.shape == (30, 40, 3)
    policy.release(asked().key)
    reply(policy, dialogue=dialogue)
    assert loads[-2:] == [0, 1]


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
@pytest.mark.parametrize("size", [(400, 300), (3000, 40), (9, 9000)])
def test_vision_size_keeps_noise_within_the_limit(make: Make, image_format: str, size: tuple[int, int]) -> None:
    policy = make(image_format=image_format, max_image_bytes=60_000)
    width, height = policy.vision_size(*size)
    assert len(Wire(image_format, "high", 60_000).url(picture(width, height))) <= 80_100  # base64 and the head
    assert policy.vision_size(60, 50) == (60, 50)
    assert make(max_image_pixels=900).vision_size(60, 60) == (30, 30)


def test_a_picture_beyond_the_limit_is_an_error_with_the_reason(make: Make) -> None:
    dialogue = Dialogue()
    dialogue.add("user", [picture(60, 60)])
    said = reply(make(max_image_pixels=900), dialogue=dialogue)
    assert said.finish == "error"
    assert "60×60" in said.error


def call(name: str, arguments: str, number: int = 0) -> dict[str, Any]:
    return {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_native_calls_become_text_and_go_back_as_calls(make: Make, stub: Stub) -> None:
    look = completion(None, "tool_calls", tool_calls=[call("crop", '{"view": 0, "box": [0, 0, 0.5, 0.5]}')])
    end = completion("Sure.", "tool_calls", tool_calls=[call("answer", '{"text": "A"}')])
    stub.script({"body": look}, {"body": end})
    (trajectory,) = play(make(), dialect="openai")
    assert [turn.parsed.call.tool for turn in trajectory.turns] == ["crop", "answer"]
    assert (trajectory.stop, trajectory.answer) == ("answered", "A")
    assert all(turn.parsed.well_formed for turn in trajectory.turns)
    first, second = (entry["body"] for entry in stub.log())
    assert {"crop", "answer"} <= {tool["function"]["name"] for tool in first["tools"]}
    assert first["parallel_tool_calls"] is False
    assistant, result, user = second["messages"][2:]
    assert assistant["tool_calls"] == look["choices"][0]["message"]["tool_calls"]
    assert (result["role"], result["tool_call_id"], user["role"]) == ("tool", "c0", "user")
    assert any(part["type"] == "image_url" for part in user["content"])


def test_a_broken_native_call_goes_back_as_text(make: Make, stub: Stub) -> None:
    broken = completion(None, "tool_calls", tool_calls=[call("crop", '{"view": 0, "box": [')])
    stub.script({"body": broken}, {"body": completion("<answer>A</answer>")})
    (trajectory,) = play(make(), dialect="openai")
    assert trajectory.turns[0].error == "parse"
    assistant = stub.log()[1]["body"]["messages"][2]
    assert assistant["content"] == trajectory.turns[0].reply.text
    assert "tool_calls" not in assistant


def test_tools_as_text_for_servers_that_take_none(make: Make, stub: Stub) -> None:
    stub.script({"body": completion(CROP)}, {"body": completion("<answer>A</answer>")})
    (trajectory,) = play(make(tools="text"), dialect="openai")
    assert [turn.parsed.call.tool for turn in trajectory.turns] == ["crop", "answer"]
    body = stub.log()[0]["body"]
    assert "tools" not in body
    assert '"name": "crop"' in body["messages"][0]["content"]


def test_choices_are_asked_for_where_the_server_is_said_to_know_them(make: Make, stub: Stub) -> None:
    sampling, tools = Sampling(choices=("A", "B")), ({"type": "function", "function": {"name": "crop"}},)
    reply(make(), sampling=sampling)
    reply(make(choices="vllm"), sampling=sampling)
    reply(make(choices="vllm"), sampling=sampling, tools=tools)
    reply(make(choices="vllm"))
    free, held, with_tools, none = (entry["body"] for entry in stub.log())
    assert not {"structured_outputs", "tool_choice"} & {*free, *none}
    assert held["structured_outputs"] == {"choice": ["A", "B"]}
    assert (with_tools["structured_outputs"], with_tools["tool_choice"]) == ({"choice": ["A", "B"]}, "none")


def test_large_dialogues_arrive_whole(make: Make, stub: Stub) -> None:
    policy, dialogue = make(), Dialogue()
    for number in range(3):
        dialogue.add("user", [picture(700, 500, number), "What is it?"])  # noise: 1.4 MB each as sent
        assert reply(policy, dialogue=dialogue).finish == "stop"
        dialogue.add("assistant", ["more"])
    bodies = [entry["body"]["messages"] for entry in stub.log()]
    assert [len(messages) for messages in bodies] == [1, 3, 5]
    assert bodies[2][:3] == bodies[1]
    assert len(json.dumps(bodies[2])) > 3_000_000


def test_a_body_is_the_json_of_its_parts_and_knows_its_size() -> None:
    fields, messages = {"model": "ä", "n": 1}, [{"role": "user", "content": "é"}, {"role": "user", "content": "["}]

    async def sent(body: Body) -> bytes:
        return b"".join([piece async for piece in body])

    for count in (1, 2):
        body = Body(fields, [json.dumps(message).encode() for message in messages[:count]])
        whole = asyncio.run(sent(body))
        assert json.loads(whole) == {"messages": messages[:count], **fields}
        assert len(whole) == body.size


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "400": (failure(400, "no such thing"), "error", "no such thing"),
    "401": (failure(401, f"Incorrect API key provided: {KEY}"), "error", "[key]"),
    "key echoed in text": ({"status": 403, "body": "go away, KEY"}, "error", "[key]"),
    "quota": (failure(429, "pay first", code="insufficient_quota"), "error", "pay first"),
    "empty": ({"body": completion("")}, "void", ""),
    "blank": ({"body": completion(" \n")}, "void", ""),
    "null": ({"body": completion(None)}, "void", ""),
    "empty, but not ended by the model": ({"body": completion("", None)}, "error", "empty reply: finish_reason None"),
    "refusal": ({"body": completion(None, refusal="I will not")}, "error", "I will not"),
    "filtered": ({"body": completion("half a", "content_filter")}, "error", "filter"),
    "cut": ({"body": completion("half a", "length")}, "length", ""),
    "openai context": (failure(400, "too much", code="context_length_exceeded"), "over_context", ""),
    "vllm context": (failure(400, "This model's maximum context length is 4096 tokens."), "over_context", ""),
    "server error for ever": (failure(500, "out of luck"), "error", "out of luck"),
    "dropped for ever": ({"body": completion(), "drop": True}, "error", "payload is not completed"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_its_episode_with_the_reason_and_the_run_goes_on(make: Make, stub: Stub, name: str) -> None:
    step, stop, reason = FAULTS[name]
    policy = make(retries=1, concurrency=1)
    tries = 2 if name.endswith("ever") else 1
    stub.script(*[step] * tries, {"body": completion()})
    ended = play(policy, 2)
    assert sorted(t.stop for t in ended) == sorted([stop, "answered"])
    (failed,) = [t for t in ended if t.stop != "answered"]
    if stop == "error":
        assert reason in failed.turns[-1].reply.error
    assert KEY not in json.dumps(failed.to_json())
    assert len(stub.log()) == tries + 1


def choice_of(**fields: Any) -> dict[str, Any]:
    """A completion whose first choice has these fields in place of its own."""
    whole = completion("<answer>A</answer>")
    return {**whole, "choices": [{**whole["choices"][0], **fields}]}


NO_COMPLETIONS: dict[str, tuple[dict[str, Any], str]] = {
    "key echoed": ({"body": '{"choices": [], "error": "KEY is bad"}'}, "[key] is bad"),
    "no choices": ({"body": {"choices": []}}, "no choices"),
    "choices that are no list": ({"body": {"choices": {"message": {}}}}, "no choices"),
    "error in a 200": ({"body": {"error": {"message": "upstream died", "code": 502}}}, "upstream died"),
    "error in a choice": ({"body": choice_of(error={"message": "upstream died"})}, "upstream died"),
    "finish error": ({"body": completion("half a", "error")}, "half a"),
    "half JSON": ({"body": '{"choices": [{'}, 'not JSON: \'{"choices": [{'),
    "nothing": ({"body": ""}, "not JSON: ''"),
    "html": ({"body": "<html>busy</html>", "headers": {"content-type": "text/html"}}, "<html>busy</html>"),
    "a list": ({"body": []}, "[]"),
    "null": ({"body": "null"}, "null"),
    "deep": ({"body": "[" * 100_000}, "not JSON"),
    "no message": ({"body": {"choices": [{"finish_reason": "stop"}]}}, "no message"),
    "null message": ({"body": choice_of(message=None)}, "no message"),
    "number as content": ({"body": completion(7)}, '"content": 7'),  # type: ignore[arg-type]
    "object as content": ({"body": completion({})}, '"content": {}'),  # type: ignore[arg-type]
    "parts without text": ({"body": completion(["A"])}, '["A"]'),  # type: ignore[arg-type]
    "calls that are no list": ({"body": completion("x", tool_calls="crop")}, "crop"),
    "call without a function": ({"body": completion("x", tool_calls=[{"id": "c"}])}, "not of the form"),
    "function without a name": ({"body": completion("x", tool_calls=[{"function": {"name": 1}}])}, "not of the form"),
    "number as finish": ({"body": completion("x", 3)}, "not of the form"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", NO_COMPLETIONS)
def test_what_is_no_completion_is_tried_again_and_then_an_error_that_quotes_it(
    make: Make, stub: Stub, name: str
) -> None:
    step, quoted = NO_COMPLETIONS[name]
    stub.script(step, step, {"body": completion()})
    assert reply(make(retries=2)).text == "<answer>A</answer>"
    assert len(stub.log()) == 3
    stub.script(step, step, {"body": completion()})
    said = reply(make(retries=1))
    assert said.finish == "error"
    assert quoted in said.error
    assert said.error.startswith("NoReply: ")
    assert KEY not in said.error
    assert len(stub.log()) == 2


def test_an_empty_reply_counts_as_wrong_and_is_not_asked_for_again(make: Make, stub: Stub, tmp_path: Path) -> None:
    stub.script({"body": completion("")})
    bench = Bench(policies=(f"openai:m?base_url={stub.url}",), suite_args=SMALL, episodes=2)
    (arm,) = run(bench, tmp_path).arms
    assert (arm.failed, arm.stops, arm.accuracy.value, len(stub.log())) == (0, {"void": 2}, 0.0, 2)


def test_content_in_parts_and_decoded_arguments_are_read(make: Make, stub: Stub) -> None:
    parts = [{"type": "text", "text": "<answer>"}, {"type": "text", "text": "A</answer>"}]
    stub.script({"body": completion(parts)})  # type: ignore[arg-type]
    assert reply(make()).text == "<answer>A</answer>"
    call = {"id": "c", "function": {"name": "answer", "arguments": {"text": "A"}}}
    stub.script({"body": completion(None, "tool_calls", tool_calls=[call])})
    assert '{"text": "A"}' in reply(make()).text


def test_amounts_that_are_none_are_left_out(make: Make, stub: Stub) -> None:
    stub.script(
        {"body": {**completion(), "usage": {"prompt_tokens": True, "completion_tokens": -1, "cost": float("nan")}}}
    )
    assert reply(make()).usage == Usage(0, 0, None)


@pytest.mark.parametrize("client", ["aiohttp", "httpx"])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("how", ["plain", "chunked", "gzip"])
def test_a_body_is_read_up_to_a_limit(
    make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch, client: str, status: int, how: str
) -> None:
    if client == "httpx":
        monkeypatch.setattr(openai, "DefaultAioHttpClient", openai.DefaultAsyncHttpxClient)
    monkeypatch.setattr(transport, "MAX_BODY", 2**20)
    step = {"status": status, how: True}
    stub.script({**step, "body": completion("x" * 2**20)})
    policy = make(retries=0)
    assert reply(policy).error == "ConnectionError: the answer is larger than 1 MB"
    stub.script({**step, "body": completion("x" * 2**19)})
    said = reply(policy)
    assert said.text == "x" * 2**19 if status == 200 else said.error.startswith("Refused: status 500")
    stub.script({**step, "body": completion()}, {**step, "body": completion()})
    assert [reply(policy).finish for _ in range(2)] == ["stop" if status == 200 else "error"] * 2


def test_a_dead_server_makes_error_episodes(make: Make) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        ended = play(make(base_url=url, retries=2), 3)
    assert {t.stop for t in ended} == {"error"}
    assert "onnect" in ended[0].turns[-1].reply.error


@pytest.mark.parametrize(
    "step",
    [
        failure(429, "slow down"),
        failure(500, "oops"),
        failure(503, "loading", {"content-type": "text/plain"}),
        failure(408, "late"),
        {"body": completion(), "drop": True},
        {"body": completion(), "headers": {"content-length": "x"}},
        {"body": completion(), "delay": 5.0},
    ],
    ids=["429", "500", "503", "408", "dropped", "malformed", "timed out"],
)
def test_what_passes_is_tried_again(make: Make, stub: Stub, step: dict[str, Any]) -> None:
    stub.script(step, step, {"body": completion()})
    assert reply(make(timeout=0.3)).text == "<answer>A</answer>"
    assert len(stub.log()) == 3


def test_what_is_sent_is_what_the_typed_interface_of_the_client_sends(make: Make, stub: Stub) -> None:
    dialogue, tools = Dialogue(), ({"type": "function", "function": {"name": "crop", "parameters": {}}},)
    dialogue.add("user", ["Was ist das?", picture()])
    reply(make(), dialogue=dialogue, tools=tools, sampling=Sampling(0.7, 0.9, 50, ("</x>",), 7))
    ours = stub.log()[0]
    with openai.OpenAI(base_url=stub.url, api_key=KEY, max_retries=0) as official:
        answer = official.chat.completions.create(**ours["body"])
    assert stub.log()[1] == {**ours, "at": stub.log()[1]["at"], "head": stub.log()[1]["head"]}
    assert answer.choices[0].message.content == "<answer>A</answer>"


@pytest.mark.parametrize("client", ["aiohttp", "httpx"])
@pytest.mark.parametrize("azure", [False, True])
def test_every_request_has_the_headers_that_the_client_composes_for_the_first(
    make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch, client: str, azure: bool
) -> None:
    if client == "httpx":
        monkeypatch.setattr(openai, "DefaultAioHttpClient", openai.DefaultAsyncHttpxClient)
    options = {"base_url": stub.url.removesuffix("/v1"), "api_version": "preview"} if azure else {}
    policy, built, sent = make(organization="o", **options), [], []
    http = policy._endpoint._http
    base, build, send = type(http).__base__, http.build_request, type(http).__base__.send
    monkeypatch.setattr(http, "build_request", lambda *args, **kwargs: built.append(1) or build(*args, **kwargs))
    monkeypatch.setattr(base, "send", lambda *args, **kwargs: sent.append(1) or send(*args, **kwargs))
    for number in range(3):
        dialogue = Dialogue()
        dialogue.add("user", ["What is it?" * (number + 1)])
        assert reply(policy, dialogue=dialogue).finish == "stop"
    first, *others = stub.log()
    assert all(entry["head"] == first["head"] and entry["path"] == first["path"] for entry in others)
    assert first["api_key" if azure else "key"] == KEY
    assert len({str(entry["body"]) for entry in stub.log()}) == 3
    assert built == sent == [1]


def test_a_request_that_may_not_be_repeated_is_composed_each_time(make: Make, stub: Stub) -> None:
    policy = make()
    policy._endpoint._client._idempotency_header = "Idempotency-Key"
    for _ in range(2):
        reply(policy)
    keys = [next(line for line in entry["head"] if line.lower().startswith("idempotency")) for entry in stub.log()]
    assert len(set(keys)) == 2


def test_a_redirection_takes_the_key_nowhere(make: Make, stub: Stub) -> None:
    stub.script({"status": 308, "headers": {"location": f"{stub.url}/elsewhere"}, "body": ""})
    said = reply(make(retries=3))
    assert said.finish == "error"
    assert f"moved to {stub.url}/elsewhere" in said.error
    assert len(stub.log()) == 1


def test_a_proxy_of_the_environment_is_used(make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", stub.url.removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "localhost")
    far = make(base_url="http://far.example/v1")
    assert [reply(far).finish for _ in range(2)] == ["stop"] * 2  # composed by the client, and repeated
    assert [entry["path"] for entry in stub.log()] == ["http://far.example/v1/chat/completions"] * 2
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert reply(make()).finish == "stop"
    assert stub.log()[-1]["path"] == "/v1/chat/completions"


def test_a_server_that_never_answers_is_given_up_with_the_time_in_the_reason(make: Make, stub: Stub) -> None:
    stub.script({"body": completion(), "delay": 5.0})
    said = reply(make(timeout=0.05, retries=1))
    assert (said.finish, said.error) == ("error", "TimeoutError: no answer within 0.05 s")


def test_retry_after_is_honoured(make: Make, stub: Stub) -> None:
    stub.script(failure(429, "slow down", {"retry-after": "0.4"}), {"body": completion()})
    assert reply(make()).finish == "stop"
    first, second = (entry["at"] for entry in stub.log())
    assert 0.4 <= second - first < 2.0
    stub.script(failure(429, "tomorrow", {"retry-after": "86400"}))
    assert "tomorrow" in reply(make()).error


def test_retry_after_reads_seconds_and_dates() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < retry_after({"retry-after": later}) <= 30
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)
    assert [retry_after({"retry-after": said}) for said in ("1.5", "-3", past, "soon", "")] == [1.5, 0, 0, 0, 0]
    assert retry_after({}) == 0


def test_waits_double_up_to_a_bound_and_repeat_with_the_seed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.5)
    policy = make(retries=12)

    def waits() -> list[float]:
        rng = module.random.Random(3)
        return [policy._wait(TimeoutError(), tries, rng) or 0.0 for tries in range(12)]

    first = waits()
    assert first == waits()
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(first[:6]))
    assert max(first) <= module.LONGEST_WAIT
    assert policy._wait(TimeoutError(), 12, module.random.Random(3)) is None


def test_waits_are_spread_by_a_jitter_that_follows_from_the_seed(make: Make, stub: Stub) -> None:
    policy, waits = make(retries=4), []
    plan = policy._wait

    def noted(*args: Any) -> float:
        waits.append(plan(*args))
        return 0.0

    policy._wait = noted  # type: ignore[method-assign]
    for seed in (1, 2, 1):
        stub.script(*[failure(500, "oops")] * 3, {"body": completion()})
        assert reply(policy, sampling=Sampling(seed=seed)).finish == "stop"
    shares = [wait / (module.FIRST_WAIT * 2 ** (at % 3)) for at, wait in enumerate(waits)]
    assert shares[:3] == shares[6:]
    assert len(set(shares[:6])) == 6, "no two retries of two episodes wait the same share of the longest wait"


def test_a_parameter_that_a_model_refuses_is_sent_otherwise_from_then_on(make: Make, stub: Stub) -> None:
    refusals = [failure(400, "no", code="unsupported_parameter", param=name) for name in ("max_tokens", "seed")]
    stub.script(*refusals, {"body": completion()})
    policy = make(retries=0)
    assert [reply(policy).finish for _ in range(2)] == ["stop", "stop"]
    *_, last = (entry["body"] for entry in stub.log())
    assert last["max_completion_tokens"] == 50
    assert not {"max_tokens", "seed"} & last.keys()
    stub.script(failure(400, "no", code="unsupported_value", param="temperature"))
    assert "temperature" in reply(policy).error


def test_whether_a_poll_would_only_wait(make: Make, stub: Stub) -> None:
    stub.script({"body": completion(), "delay": 0.2})
    policy = make()
    assert not policy.waits()
    policy.submit(asked())
    assert policy.waits()
    while policy.waits():
        time.sleep(0.01)
    assert len(policy.poll()) == 1
    assert not policy.waits()


def test_the_slowest_holds_up_nobody_and_concurrency_is_bounded(make: Make, stub: Stub) -> None:
    stub.script({"body": completion("slow"), "delay": 0.6}, *[{"body": completion("fast"), "delay": 0.05}] * 9)
    policy = make(concurrency=4)
    assert policy.poll() == []
    start, came = time.monotonic(), []
    for number in range(7):
        policy.submit(asked(name=str(number)))
    while len(came) < 7:
        came += [said.text for _, said in policy.poll()]
    assert came == ["fast"] * 6 + ["slow"]
    assert time.monotonic() - start < 2.0
    log = stub.log()
    assert sum(entry["at"] < log[0]["at"] + 0.04 for entry in log) <= 4


def test_cost_comes_from_prices_or_from_the_server(make: Make, stub: Stub) -> None:
    said = completion()
    said["usage"]["cost"] = 0.5
    stub.script({"body": said})
    assert reply(make()).usage == Usage(1000, 20, 0.5)
    assert reply(make(price_in=1.0)).usage == Usage(1000, 20, 0.001)
    del said["usage"]
    stub.script({"body": said})
    assert reply(make()).usage is None


def test_stop_strings_come_back() -> None:
    stop = ("</grounding>",)
    assert with_stop("<grounding>{}", None, stop) == "<grounding>{}</grounding>"
    assert with_stop("<grounding>{}</grounding>", "</grounding>", stop) == "<grounding>{}</grounding>"
    assert with_stop("odd", "END", ("END",)) == "oddEND"
    assert with_stop("<answer>A</answer>", None, stop) == "<answer>A</answer>"


def test_keys_come_from_the_environment_only(stub: Stub, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "sk-other-000000")
    reply(make(key_env="OTHER_KEY"))
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    reply(make(base_url=""))
    assert [entry["key"] for entry in stub.log()] == ["sk-other-000000", "none"]
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        OpenAIPolicy("m")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("openai", "name the model"),
        ("openai:m?tools=natve", 'did you mean "native"'),
        ("openai:m?image_format=jpg", 'did you mean "jpeg"'),
        ("openai:m?choices=vlm", 'did you mean "vllm"'),
        ("openai:m?detail=hi", "known: low, high, auto"),
        ("openai:m?concurrency=0", "concurrency: expected a whole number from 1 up"),
        ("openai:m?retries=1.5", "retries: expected a whole number"),
        ("openai:m?price_in=free", "price_in: expected a number"),
        ("openai:m?timeout=soon", "timeout: expected a number"),
        ("openai:m?max_image_bytes=9", "max_image_bytes"),
        ("openai:m?base_url=127.0.0.1:8000/v1", "expected http://"),
        ("openai:m?base_url=http://me:sk-secret@host/v1", "put no key into the address"),
        ("openai:m?base_url=https://host/v1?key=sk-secret", "put no key into the address"),
    ],
)
def test_bad_options_are_named(spec: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["bench", "--policy", spec, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "sk-secret" not in said


def test_bench_reports_tokens_and_cost_and_the_key_is_nowhere(
    make: Make, stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    stub.script({"status": 400, "body": "bad KEY"}, {"body": completion(CROP)}, {"body": completion("hm KEY")})
    caplog.set_level("DEBUG")
    suite = "synthetic?family=hidden&difficulty=easy&pixels=200000"
    command = ["bench", "--suite", suite, "--policy", "openai:m?price_in=1&price_out=2", "--base-url", stub.url]
    assert main([*command, "--episodes", "3", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    everything = said.out + said.err + caplog.text
    everything += "".join(p.read_text("utf-8", "replace") for p in (tmp_path / "run").rglob("*") if p.is_file())
    assert KEY not in everything
    table = (tmp_path / "run" / "report.md").read_text("utf-8")
    assert "cost $" in table
    assert "tokens/episode" in table
    assert sorted(t.stop for t in open_run(tmp_path / "run").records())[0] == "error"


def test_a_key_with_a_line_break_is_not_shown(make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    assert reply(make()).finish == "stop"
    assert stub.log()[0]["key"] == KEY


def test_a_missing_package_is_named(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingPackage, match=r'run pip install "o3gym\[openai\]"'):
        make_policy(f"openai:m?base_url={stub.url}")


IMPORTS = """
import sys
import o3gym, o3gym.judges.model, o3gym.policies.local.vllm_server, o3gym.policies.openai.policy
print([name for name in ("openai", "aiohttp", "httpx", "httpx2") if name in sys.modules])
"""


def test_the_client_is_imported_only_where_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_httpx_carries_the_requests_where_aiohttp_is_missing(
    make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing:
        def __init__(self, **_: object) -> None:
            raise RuntimeError("as the client raises it")

    monkeypatch.setattr(openai, "DefaultAioHttpClient", Missing)
    stub.script({"body": completion(), "drop": True}, failure(429, "slow down"), {"body": completion()})
    assert reply(make()).text == "<answer>A</answer>"
    stub.script({"body": completion(), "drop": True})
    assert "ConnectionError: " in reply(make(retries=0)).error
    stub.script({"status": 308, "headers": {"location": f"{stub.url}/elsewhere"}, "body": ""})
    assert f"moved to {stub.url}/elsewhere" in reply(make()).error
    assert len(stub.log()) == 1
    stub.script({"body": completion()})
    dialogue = Dialogue()
    dialogue.add("user", [picture(700, 500), "What is it?"])
    assert reply(make(), dialogue=dialogue).finish == "stop"
    assert len(json.dumps(stub.log()[0]["body"])) > 1_000_000


def test_the_ids_of_an_account_with_openai_go_to_nobody_else(
    make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    reply(make())
    reply(make(base_url=stub.url.removesuffix("/v1"), api_version="preview"))
    reply(make(organization="org-2", project="proj-2"))
    assert [(e["organization"], e["project"]) for e in stub.log()] == [("", ""), ("", ""), ("org-2", "proj-2")]
    for host, sent in (("api.openai.com", "org-1"), ("eu.api.openai.com", "org-1"), ("api.openai.com.evil", None)):
        assert make(base_url=f"https://{host}/v1")._endpoint._client.organization == sent


def test_custom_headers_go_only_where_the_clients_own_key_goes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: secret-1\nX-Team: vision")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OTHER_KEY", KEY)
    for options, sent in (
        ({"key_env": "OPENAI_API_KEY"}, "secret-1"),
        ({"key_env": "OTHER_KEY"}, None),
        ({"key_env": "OTHER_KEY", "api_version": "preview"}, None),
    ):
        assert make(**options)._endpoint._client.default_headers.get("X-Gateway") == sent


def test_base_url_is_for_policies_that_ask_a_server(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none of the policies asks a server"):
        run(Bench(policies=("oracle",), base_url="http://127.0.0.1:1/v1"), tmp_path / "run")


def test_azure_is_asked_for_a_deployment_with_its_own_header_and_version(
    make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = stub.url.removesuffix("/v1")
    assert reply(make(base_url=resource, api_version="2024-10-21")).finish == "stop"
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", resource)
    assert reply(make(base_url="", api_version="preview")).finish == "stop"
    first, second = stub.log()
    assert first["path"] == "/openai/deployments/m/chat/completions?api-version=2024-10-21"
    assert (first["api_key"], first["body"]["model"]) == (KEY, "m")
    assert second["path"].endswith("?api-version=preview")
    stub.script({"status": 401, "body": f"no {KEY} here"})
    assert reply(make(base_url=resource, api_version="preview")).error == "Refused: status 401: no [key] here"
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT")
    with pytest.raises(ValueError, match="api_version: set base_url"):
        OpenAIPolicy("m", api_version="preview")


ENDINGS = """
import gc, sys, threading
from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import Dialogue, Request
from o3gym.sampling import Sampling

def answered():
    policy, dialogue = make_policy(f"openai:m?base_url={sys.argv[1]}"), Dialogue()
    dialogue.add("user", ["What is it?"])
    policy.submit(Request(("arm", "answered", 0, ""), dialogue, Sampling()))
    print(policy.poll()[0][1].text)
    return policy, Request(("arm", "in flight", 0, ""), dialogue, Sampling())

collected, request = answered()
del collected
gc.collect()
assert threading.active_count() == 1
(closed, request), (left, request) = answered(), answered()
closed.submit(request)
threads = threading.active_count()
closed.close()
assert threading.active_count() < threads
left.submit(request)
"""


def test_no_connection_is_left_open(stub: Stub) -> None:
    """Neither where a policy is collected, nor where it is closed, nor at the exit of the process."""
    stub.script(*[{"body": completion()}] * 3, {"body": completion(), "delay": 60.0})
    command = [sys.executable, "-W", "error", "-c", ENDINGS, stub.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr, done.returncode) == ("<answer>A</answer>\n" * 3, "", 0)


def test_closing_drops_what_is_in_flight(make: Make, stub: Stub) -> None:
    stub.script({"body": completion(), "delay": 30.0})
    policy = make()
    policy.submit(asked())
    start = time.monotonic()
    policy.close()
    policy.close()
    assert time.monotonic() - start < 5
    with pytest.raises(RuntimeError, match="openai:m is closed"):
        policy.submit(asked())
    assert make_policy(f"openai:m?base_url={stub.url}").close() is None
