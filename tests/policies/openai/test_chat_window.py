"""The messages that are sent after a cut: none is stale, and replies keep their native form."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from o3gym.policies.dialogue import Dialogue, Picture
from o3gym.policies.openai.messages import Chat, Wire
from o3gym.types import FULL, View


def picture(index: int, loads: list[int]) -> Picture:
    def load() -> Any:
        loads.append(index)
        return np.zeros((4, 4, 3), np.uint8)

    return Picture(View(index, 0, FULL, (4, 4), (4, 4)), load)


def kinds(chat: Chat) -> list[str]:
    """The role of each message, with the kinds of a user message's parts."""
    sent = [json.loads(message) for message in chat.messages()]
    return ["+".join([m["role"], *(part["type"] for part in m["content"] if m["role"] == "user")]) for m in sent]


def test_a_changed_message_is_sent_as_it_is_now_and_no_other_is_converted_again() -> None:
    loads: list[int] = []
    dialogue = Dialogue()
    dialogue.add("user", [picture(0, loads), "What is it?"])
    chat = Chat(dialogue, Wire("png", "high", 20_000_000))
    assert kinds(chat) == ["user+image_url+text"]
    call = {"id": "c1", "type": "function", "function": {"name": "crop", "arguments": "{}"}}
    for number in (1, 2):
        chat.native = {"role": "assistant", "content": "", "tool_calls": [{**call, "id": f"c{number}"}]}
        dialogue.add("assistant", ["crop"])
        dialogue.add("user", ["here ", picture(number, loads)])
        if number == 2:
            dialogue.cut({2: ["here [no longer shown: 1 picture]"]})
            assert chat.pixels() == 16  # the changed message has none to encode
        before = chat.messages()
    assert kinds(chat) == [
        *("user+image_url+text", "assistant", "tool", "user+text", "assistant", "tool", "user+text+image_url"),
    ]
    assert [json.loads(m)["tool_calls"][0]["id"] for m in chat.messages() if b"tool_calls" in m] == ["c1", "c2"]
    assert "no longer shown" in before[3].decode()
    assert loads == [0, 1, 2]
