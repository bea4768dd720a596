"""Exemplars as messages of the chat completions API."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from o3gym.bench.run import run
from o3gym.policies.dialogue import Dialogue, Picture
from o3gym.policies.openai.messages import MOST_SHARED, Chat, SharedTurns, Wire, written_call
from o3gym.types import FULL, View
from tests.bench.exemplar_rows import PHOTO, bench, written
from tests.policies.openai.openai_stub import Stub, completion

WIRE = Wire("png", "high", 20_000_000)
CALL = '<tool_call>{"name": "crop", "arguments": {"box": [0.0, 0.0, 0.5, 0.5]}}</tool_call>'


def talk(loads: list[int], *replies: str) -> Dialogue:
    """A dialogue that begins with an exemplar."""
    dialogue = Dialogue()
    dialogue.add("system", ["You look."])

    def load() -> Any:
        loads.append(1)
        return np.zeros((4, 4, 3), np.uint8)

    for reply in replies:
        dialogue.add("user", [Picture(View(0, 0, FULL, (4, 4), (4, 4)), load)])
        dialogue.add("assistant", [reply])
    dialogue.add("user", ["What is it?"])
    return dialogue


def sent(chat: Chat) -> list[dict[str, Any]]:
    return [json.loads(message) for message in chat.messages()]


def test_calls_of_exemplars_are_native_where_those_of_the_model_are() -> None:
    dialogue = talk([], f"I look.\n{CALL}", "no call")
    native, plain = sent(Chat(dialogue, WIRE, native_calls=True)), sent(Chat(dialogue, WIRE))
    assert [m["role"] for m in native] == ["system", "user", "assistant", "tool", "user", "assistant", "user"]
    (call,) = native[2]["tool_calls"]
    assert native[2]["content"] == "I look."
    assert call["function"] == {"name": "crop", "arguments": '{"box": [0.0, 0.0, 0.5, 0.5]}'}
    assert native[3]["tool_call_id"] == call["id"]
    assert native[5] == {"role": "assistant", "content": "no call"}
    assert [m["role"] for m in plain] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert plain[2]["content"] == f"I look.\n{CALL}"


def test_ids_of_calls_are_unique_in_a_dialogue_and_nine_letters_or_digits() -> None:
    ids = [m["tool_call_id"] for m in sent(Chat(talk([], CALL, CALL), WIRE, native_calls=True)) if m["role"] == "tool"]
    assert len(set(ids)) == 2
    assert all(len(each) == 9 and each.isalnum() for each in ids)


def test_a_reply_of_the_model_is_never_taken_for_one_of_an_exemplar() -> None:
    dialogue = talk([], CALL)
    chat = Chat(dialogue, WIRE, native_calls=True)
    chat.messages()
    dialogue.add("assistant", [CALL])
    dialogue.add("user", ["Here."])
    assert [m["role"] for m in sent(chat)][-3:] == ["user", "assistant", "user"]
    assert sent(chat)[-2]["content"] == CALL


@pytest.mark.parametrize(
    "reply",
    ["", "text", f"{CALL} and more", "<tool_call>{x}</tool_call>", '<tool_call>{"name": "crop"}</tool_call>'],
)
def test_what_ends_otherwise_than_with_a_call_stays_text(reply: str) -> None:
    assert written_call(reply, 1) is None


def test_pictures_of_exemplars_are_encoded_once_for_all_dialogues() -> None:
    loads: list[int] = []
    shared, first = SharedTurns(), talk(loads, CALL)
    second = Dialogue([*first.messages[:-1]])
    second.add("user", ["Another question?"])
    chats = [Chat(dialogue, WIRE, shared=shared) for dialogue in (first, second)]
    one, other = (chat.messages() for chat in chats)
    assert len(loads) == 1
    assert one[:-1] == other[:-1]
    assert one[-1] != other[-1]


def test_only_so_many_turns_are_kept_for_other_dialogues() -> None:
    shared = SharedTurns()
    for number in range(MOST_SHARED + 1):
        dialogue = talk([], f"reply {number}")
        Chat(dialogue, WIRE, shared=shared).messages()
    assert len(shared._kept) <= MOST_SHARED


def test_a_server_gets_them_before_the_task(stub: Stub, tmp_path: Any, photos: Any) -> None:
    stub.script({"body": completion("<think>Easy.</think><answer>A</answer>")})
    path = written(tmp_path, PHOTO, photos=photos)
    run(bench(path, f"openai:m?base_url={stub.url}", episodes=2), tmp_path / "run", thumbnails=False)
    log = stub.log()
    assert len(log) == 2
    for entry in log:
        messages = entry["body"]["messages"]
        assert [m["role"] for m in messages] == ["system", *["user", "assistant"] * 3, "user"]
        assert "What does the label say?" in json.dumps(messages[1])
        assert messages[2]["content"].endswith('"source": "original_image"}</grounding>')
