"""Chat servers that continue a message of the assistant: observations inside it, and code at its own temperature."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Request
from o3gym.policies.openai.parts import TextParts
from o3gym.policies.openai.policy import OpenAIPolicy
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.types import Reply, Usage
from tests.policies.local.talk import picture
from tests.policies.openai.openai_stub import Step, Stub, completion, failure

Make = Callable[..., OpenAIPolicy]
TAGS = ("<code>", "</code>")
PLAIN = Sampling(max_tokens=50)
CODE = Sampling(1.0, max_tokens=100, seed=7, stop=("</answer>",), code_temperature=0.0, code_tags=TAGS)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with Stub() as server:
        yield server


@pytest.fixture
def make(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[OpenAIPolicy] = []
    monkeypatch.setenv("OPENAI_API_KEY", "key")

    def policy(**options: Any) -> OpenAIPolicy:
        made.append(OpenAIPolicy("m", **{"base_url": stub.url, **options}))
        return made[-1]

    yield policy
    for each in made:
        each.close()
    gc.collect()


def talk(*observed: Any) -> Dialogue:
    dialogue = Dialogue()
    dialogue.add("user", ["What is it?"])
    dialogue.add("assistant", ["Look: <code>1</code>"])
    dialogue.add("inline", observed or ["<out>1</out>"])
    return dialogue


def part(text: str, reason: str | None = None, finish: str = "stop") -> Step:
    answer = completion(text, finish)
    answer["choices"][0]["stop_reason"] = reason
    return {"body": answer}


def reply(policy: OpenAIPolicy, dialogue: Dialogue, sampling: Sampling = PLAIN) -> Reply:
    policy.submit(Request(("arm", "g", 0, "main"), dialogue, sampling))
    ((_, said),) = policy.poll()
    return said


def test_a_reply_continues_the_message_that_holds_the_observations(make: Make, stub: Stub) -> None:
    stub.script(part("It is B."), part("Sure."))
    policy, dialogue = make(server="vllm"), talk()
    assert reply(policy, dialogue).text == "It is B."
    dialogue.add("assistant", ["It is B."])
    dialogue.add("user", ["Sure?"])
    assert reply(policy, dialogue).text == "Sure."
    first, second = (entry["body"] for entry in stub.log())
    whole = "Look: <code>1</code><out>1</out>"
    assert first["messages"][1:] == [{"role": "assistant", "content": whole}]
    assert (first["continue_final_message"], first["add_generation_prompt"]) == (True, False)
    assert second["messages"][1] == {"role": "assistant", "content": f"{whole}It is B."}
    assert len(second["messages"]) == 3
    assert "continue_final_message" not in second


def test_observations_may_be_user_messages(make: Make, stub: Stub) -> None:
    stub.script(part("It is B."))
    assert reply(make(inline="user"), talk("<out>", picture(8, 8), "</out>")).text == "It is B."
    (entry,) = stub.log()
    assert [message["role"] for message in entry["body"]["messages"]] == ["user", "assistant", "user"]
    kinds = [piece["type"] for piece in entry["body"]["messages"][2]["content"]]
    assert kinds == ["text", "image_url", "text"]
    assert "continue_final_message" not in entry["body"]


def test_a_picture_in_a_message_that_continues_is_refused(make: Make) -> None:
    said = reply(make(server="vllm"), talk(picture(8, 8)))
    assert said.finish == "error"
    assert "cannot hold a picture" in said.error
    assert "inline=user" in said.error


def test_code_is_a_part_of_its_own(make: Make, stub: Stub) -> None:
    stub.script(part("Hm. ", "<code>"), part("print(1)</code>", "</code>"), part(" <answer>B", "</answer>"))
    policy = make(server="vllm", price_in=1.0, price_out=2.0)
    said = reply(policy, talk(), CODE)
    assert said.text == "Hm. <code>print(1)</code> <answer>B</answer>"
    assert said.usage == Usage(1000, 60, pytest.approx(3 * 1040 / 1e6))
    assert said.finish == "stop"
    bodies = [entry["body"] for entry in stub.log()]
    whole = "Look: <code>1</code><out>1</out>"
    begun = [whole, f"{whole}Hm. <code>", f"{whole}Hm. <code>print(1)</code>"]
    assert [body["messages"][-1]["content"] for body in bodies] == begun
    assert [body["temperature"] for body in bodies] == [1.0, 0.0, 1.0]
    assert [body["max_tokens"] for body in bodies] == [100, 80, 60]
    assert [body["seed"] for body in bodies] == [7, 8, 9]
    assert [body["stop"] for body in bodies] == [["</answer>", tag] for tag in ("<code>", "</code>", "<code>")]
    assert all(body["continue_final_message"] for body in bodies)


def test_the_first_part_of_a_new_message_continues_nothing(make: Make, stub: Stub) -> None:
    stub.script(part("Hm. <code>", "<code>"), part("1", None))
    dialogue = Dialogue()
    dialogue.add("user", ["?"])
    assert reply(make(server="vllm", inline="user"), dialogue, CODE).text == "Hm. <code>1"
    first, second = (entry["body"] for entry in stub.log())
    assert "continue_final_message" not in first
    assert second["messages"][1:] == [{"role": "assistant", "content": "Hm. <code>"}]
    assert second["continue_final_message"]


@pytest.mark.parametrize(
    ("steps", "text", "finish", "error"),
    [
        ([part("Hm.", finish="length")], "Hm.", "length", ""),
        ([part("<code>", "<code>"), part("x", finish="length")], "<code>x", "length", ""),
        ([part("<code>", "<code>"), failure(400, "maximum context length")], "<code>", "length", ""),
        ([failure(400, "maximum context length")], "", "length", CONTEXT_FULL),
    ],
)
def test_a_reply_ends_where_a_part_ends_it(
    make: Make, stub: Stub, steps: list[Step], text: str, finish: str, error: str
) -> None:
    stub.script(*steps)
    said = reply(make(server="vllm"), talk(), CODE)
    assert (said.text, said.finish, said.error) == (text, finish, error)


def test_parts_share_the_limit_of_tokens() -> None:
    parts = TextParts(Sampling(1.0, max_tokens=30, code_temperature=0.0, code_tags=TAGS))
    assert parts.accept(Reply("<code>", usage=Usage(5, 20))) is None
    assert (parts.next_part().max_tokens, parts.next_part().temperature) == (10, 0.0)
    assert parts.accept(Reply("x</code>", usage=Usage(25, 10))) == Reply(
        "<code>x</code>", finish="length", usage=Usage(5, 30)
    )
    with pytest.raises(ValueError, match="the server states no usage"):
        TextParts(CODE).accept(Reply("<code>"))


def test_choices_with_code_are_refused_where_they_are_enforced(make: Make, stub: Stub) -> None:
    stub.script(part("A"))
    choices = Sampling(1.0, choices=("<code>a</code>",), code_temperature=0.0, code_tags=TAGS)
    said = reply(make(server="vllm", choices="vllm"), talk(), choices)
    assert "cannot change inside a constrained reply" in said.error
    assert reply(make(server="vllm"), talk(), choices).text == "A"


def test_a_repetition_penalty_is_a_field_of_vllm(make: Make, stub: Stub) -> None:
    stub.script(part("A"))
    reply(make(server="vllm"), talk(), Sampling(repetition_penalty=1.05))
    assert stub.log()[0]["body"]["repetition_penalty"] == 1.05


@pytest.mark.parametrize(
    ("options", "sampling", "inline", "said"),
    [
        ({}, Sampling(), True, "inline: .*server=vllm.*inline=user"),
        ({"inline": "user"}, Sampling(), True, ""),
        ({}, Sampling(code_temperature=0.0), False, "code_temperature: .*server=vllm"),
        ({}, Sampling(repetition_penalty=1.1), False, "repetition_penalty: OpenAI's API has no such parameter"),
        ({"server": "vllm"}, Sampling(repetition_penalty=1.1, code_temperature=0.0), True, ""),
        ({}, Sampling(), False, ""),
    ],
)
def test_what_a_server_cannot_do_is_said_before_an_episode_starts(
    make: Make, options: Any, sampling: Sampling, inline: bool, said: str
) -> None:
    policy = make(**options)
    if not said:
        assert policy.unable(sampling, inline) == ""
        return
    dialect: Any = make_dialect("qwen3_vl")
    object.__setattr__(dialect, "inline", inline)
    object.__setattr__(dialect, "code_tags", TAGS)
    with pytest.raises(ValueError, match=f"openai:m: {said}"):
        next(rollout([Job(0, "g")], policy, dialect, Arm("a", {}, "openai:m", sampling=sampling)))
    failed = reply(policy, talk() if inline else opening(), sampling)
    assert failed.error.startswith("ValueError: ")


def opening() -> Dialogue:
    dialogue = Dialogue()
    dialogue.add("user", ["?"])
    return dialogue


def test_wrong_options_are_named(make: Make) -> None:
    with pytest.raises(ValueError, match='server: unknown "vlm"'):
        make(server="vlm")
    with pytest.raises(ValueError, match='inline: unknown "system"'):
        make(inline="system")
