"""Replies that vLLM samples in parts: the same reply as by our own loop, whatever vLLM overlooks between two parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from o3gym.policies.base import make_policy
from o3gym.policies.local.drafts import Draft
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.vllm import Vllm
from o3gym.policies.local.vllm_parts import exact_logprobs
from o3gym.sampling import Sampling
from o3gym.types import Reply
from tests.policies.local.talk import opened_with
from tests.policies.local.test_vllm import asked, stand_in
from tests.policies.local.vlm_folders import qwen

TAGS = ("<code>", "</code>")
SETTINGS: dict[str, Any] = {"temperature": 1.0, "code_temperature": 0.0, "code_tags": TAGS, "seed": 7}


class Scripted:
    """Writes a given script, whatever it is asked: each request continues where its prompt ends.

    Like vLLM it looks for stop strings in the text of the request alone.
    """

    def __init__(self, encoder: Encoder, start: int, script: Sequence[int], room: int = 4096) -> None:
        self.encoder, self.start, self.script, self.room = encoder, start, list(script), room
        self.asked: list[Any] = []
        self.open: dict[str, Any] = {}
        self.engine_core = SimpleNamespace(shutdown=lambda: None)

    def add_request(self, number: str, prompt: Any, parameters: Any) -> None:
        self.asked.append(parameters)
        self.open[number] = (list(prompt["prompt_token_ids"]), parameters)

    def abort_request(self, numbers: list[str]) -> None:
        for number in numbers:
            del self.open[number]

    def step(self) -> list[Any]:
        number = next(iter(self.open))
        ids, parameters = self.open.pop(number)
        said, reason = self._said(len(ids) - self.start, parameters, self.room - len(ids))
        place = len(ids) - self.start
        chances = [{token: SimpleNamespace(logprob=-0.5 - place - at)} for at, token in enumerate(said)]
        completion = SimpleNamespace(token_ids=said, logprobs=chances, finish_reason=reason)
        return [SimpleNamespace(request_id=number, prompt_token_ids=ids, outputs=[completion], finished=True)]

    def _said(self, place: int, parameters: Any, room: int) -> tuple[list[int], str]:
        said: list[int] = []
        for token in self.script[place:]:
            said.append(token)
            if token in parameters.stop_token_ids or any(s in self.encoder.text(said) for s in parameters.stop):
                return said, "stop"
            if len(said) == min(parameters.max_tokens, room):
                return said, "length"
        return said, "stop"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return qwen(tmp_path_factory.mktemp("qwen"), "qwen3_vl")


@pytest.fixture(scope="module")
def encoder(folder: str) -> Encoder:
    return Encoder(load_processor(folder))


@pytest.fixture
def policy(folder: str, monkeypatch: pytest.MonkeyPatch) -> Vllm:
    monkeypatch.setitem(sys.modules, "vllm", stand_in())
    made = make_policy(f"vllm:{folder}")
    assert isinstance(made, Vllm)
    return made


def replied(policy: Vllm, script: Sequence[int], room: int = 4096, **sampling: Any) -> tuple[Reply, Any]:
    start = len(policy.encoder.opening(opened_with().messages).ids)
    engine = policy._engine = Scripted(policy.encoder, start, script, room)
    policy._room = room
    policy.submit(asked(opened_with(), **{**SETTINGS, **sampling}))
    ((_, reply),) = policy.poll()
    assert not policy._asked
    return reply, engine


def by_draft(encoder: Encoder, script: Sequence[int], **sampling: Any) -> Reply:
    draft = Draft(Sampling(**{"max_tokens": 50, **SETTINGS, **sampling}), encoder, 4096, encoder.eos, {})
    for at, token in enumerate(script):
        if draft.accept(token, -0.5 - at):
            break
    return draft.reply((), 0)


TEXTS = [
    "think <code>print(1)</code> more <code>2</code> done",
    "think <code>print(1)</code>",
    "no code at all",
    "<code>never closed",
    "</code> <code></code><code>x</code>",
]


@pytest.mark.parametrize("stop", [(), ("</code>", "</answer>"), ("done", "e>p")])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("limit", [50, 9, 7, 3])
def test_a_reply_in_parts_is_that_of_our_own_loop(policy: Vllm, text: str, stop: Any, limit: int) -> None:
    script = (*policy.encoder.tokens(text), policy.encoder.end)
    reply, engine = replied(policy, script, stop=stop, max_tokens=limit)
    expected = by_draft(policy.encoder, script, stop=stop, max_tokens=limit)
    for field in ("text", "token_ids", "logprobs", "finish", "code"):
        assert getattr(reply, field) == getattr(expected, field), field
    assert reply.usage is not None
    prompt = policy.encoder.opening(opened_with().messages).ids
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (len(prompt), len(reply.token_ids or ()))
    assert reply.new_prompt_ids == prompt
    temperatures = [parameters.temperature for parameters in engine.asked]
    assert temperatures == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0][: len(temperatures)]


def test_what_each_part_is_told(policy: Vllm) -> None:
    script = (*policy.encoder.tokens("a <code>b</code> c"), policy.encoder.end)
    reply, engine = replied(policy, script, stop=("</answer>",), repetition_penalty=1.1)
    assert [parameters.stop for parameters in engine.asked] == [["</answer>", tag] for tag in (*TAGS, TAGS[0])]
    assert [parameters.seed for parameters in engine.asked] == [7, 8, 9]
    assert [parameters.repetition_penalty for parameters in engine.asked] == [1.1] * 3
    (start, end), count = reply.code[0], len(script)
    assert [parameters.max_tokens for parameters in engine.asked] == [50, 50 - start, 50 - end]
    assert (start, end) == (count - len(policy.encoder.tokens("b</code> c")) - 1, end)


def test_a_tag_that_spans_two_parts_is_found(policy: Vllm, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM reads on beyond it, because it sees half of the tag; what it read on is sampled again."""
    words = {1: "a", 2: "<code>", 3: "b", 4: "</code><", 5: "code>", 6: "c", 7: "</code>", 8: "."}
    monkeypatch.setattr(policy.encoder, "text", lambda ids: "".join(words.get(token, "") for token in ids))
    script = (1, 2, 3, 4, 5, 6, 7, 8)
    reply, engine = replied(policy, script)
    expected = by_draft(policy.encoder, script)
    assert reply.code == expected.code == ((2, 4), (5, 7))
    assert (reply.token_ids, reply.logprobs) == (expected.token_ids, expected.logprobs)
    assert [parameters.temperature for parameters in engine.asked] == [1.0, 0.0, 1.0, 0.0, 1.0]


def test_the_context_may_be_full_in_the_middle_of_code(policy: Vllm) -> None:
    script = (*policy.encoder.tokens("a <code>print(1)</code>"), policy.encoder.end)
    start = len(policy.encoder.opening(opened_with().messages).ids)
    for room in range(len(policy.encoder.tokens("a <code>")), len(script)):
        reply, _ = replied(policy, script, room=start + room)
        assert (reply.finish, len(reply.token_ids or ())) == ("length", room)
        policy.release(asked(opened_with()).key)


def test_release_aborts_the_part_that_is_open(policy: Vllm) -> None:
    script = policy.encoder.tokens("a <code>b</code>")
    engine = policy._engine = Scripted(policy.encoder, len(policy.encoder.opening(opened_with().messages).ids), script)
    policy.submit(asked(opened_with(), **SETTINGS))
    (output,) = engine.step()
    policy._take(output, policy._asked.pop(output.request_id))
    assert len(engine.open) == 1
    policy.release(asked(opened_with()).key)
    assert not engine.open
    assert policy.poll() == []


def test_a_part_that_fails_costs_the_reply(policy: Vllm) -> None:
    script = policy.encoder.tokens("a <code>b</code>")
    engine = policy._engine = Scripted(policy.encoder, len(policy.encoder.opening(opened_with().messages).ids), script)
    add = engine.add_request

    def once(number: str, *arguments: Any) -> None:
        if engine.asked:
            raise RuntimeError("full")
        add(number, *arguments)

    engine.add_request = once  # type: ignore[method-assign]
    policy.submit(asked(opened_with(), **SETTINGS))
    ((_, reply),) = policy.poll()
    assert (reply.finish, reply.error) == ("error", "RuntimeError: full")


def test_choices_with_code_are_refused(policy: Vllm) -> None:
    policy.submit(asked(opened_with(), choices=("<code>a</code>",), **SETTINGS))
    assert "cannot change the temperature inside a constrained reply" in policy.poll()[0][1].error
    reply, engine = replied(policy, policy.encoder.tokens("A"), choices=("A", "B"))
    assert (reply.text, reply.code, len(engine.asked)) == ("A", (), 1)


@pytest.mark.parametrize(
    ("more", "processed", "raw"),
    [
        ({}, True, True),
        ({"temperature": 0.7}, True, False),
        ({"temperature": 0.0}, True, True),
        ({"top_p": 0.9}, False, True),
        ({"top_p": 0.9, "temperature": 0.0}, True, True),
        ({"repetition_penalty": 1.1}, False, True),
        ({"choices": ("A",)}, True, False),
    ],
)
def test_when_log_probabilities_are_known(more: Any, processed: bool, raw: bool) -> None:
    part = Sampling(**{"temperature": 1.0, **more})
    assert exact_logprobs(part, part.temperature, False) is processed
    assert exact_logprobs(part, part.temperature, True) is raw


def test_log_probabilities_of_code_are_known_if_they_are_those_of_the_text(policy: Vllm) -> None:
    script = policy.encoder.tokens("a <code>b</code>")
    for sampling, known in (({}, True), ({"code_temperature": 0.5}, False), ({"temperature": 0.7}, False)):
        reply, _ = replied(policy, script, **sampling)
        assert (reply.logprobs is not None) is known
        policy.release(asked(opened_with()).key)
    policy._raw = True
    assert replied(policy, script, code_temperature=0.5, top_p=0.9)[0].logprobs is not None


def test_raw_log_probabilities_are_asked_of_the_engine(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", stand_in())
    assert make_policy(f"vllm:{folder}", logprobs="raw")._engine.options.logprobs_mode == "raw_logprobs"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match='logprobs: expected "processed" or "raw", got "some"'):
        make_policy(f"vllm:{folder}", logprobs="some")
