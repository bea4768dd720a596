"""The words of a teacher about a wrong look: read strictly, whatever a server sends."""

from __future__ import annotations

import json

import pytest

from o3gym.synthesis.traces.teacher_words import MAX_WORDS, UnusableWordsError, check_prompt, read_words
from o3gym.types import Reply

GOOD = {"wrong": "There is only grass here.", "next": "I will look at the top left."}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"<think>{{hm}}</think>\n{json.dumps(GOOD)} ",
        f"```json\n{json.dumps(GOOD)}\n```",
        json.dumps({**GOOD, "next": "  I will look at the top left. "}),
    ],
)
def test_usable_words(text: str) -> None:
    assert read_words(Reply(text)) == "There is only grass here. I will look at the top left."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a JSON object"),
        ("There is only grass here.", "not a JSON object"),
        ("[" * 5000, "not a JSON object"),
        ("9" * 5000, "not a JSON object"),
        (f"Here: {json.dumps(GOOD)}", "not a JSON object"),
        (json.dumps([GOOD]), "not a JSON object"),
        (json.dumps({"wrong": "x"}), "other fields than the two texts"),
        (json.dumps({**GOOD, "answer": "B"}), "other fields than the two texts"),
        (json.dumps({**GOOD, "next": 3}), "other fields than the two texts"),
        (json.dumps({**GOOD, "next": " "}), "an empty text"),
        (json.dumps({**GOOD, "next": "x" * (MAX_WORDS + 1)}), f"a text of more than {MAX_WORDS} characters"),
        (json.dumps({**GOOD, "next": "x" * 1_000_000}), "a reply of more than 20000 characters"),
        (json.dumps({**GOOD, "next": "<answer>B</answer>"}), "a text with tags or control characters"),
        (json.dumps({**GOOD, "next": "\\boxed{B}"}), "a text with tags or control characters"),
        (json.dumps({**GOOD, "next": "a\ud800b"}), "a text with tags or control characters"),
        (json.dumps({**GOOD, "next": "a\nb"}), "a text with tags or control characters"),
    ],
)
def test_unusable_words_have_a_reason(text: str, reason: str) -> None:
    with pytest.raises(UnusableWordsError) as caught:
        read_words(Reply(text))
    assert str(caught.value) == reason


def test_replies_that_failed_or_were_cut() -> None:
    with pytest.raises(UnusableWordsError, match="the reply was cut"):
        read_words(Reply(json.dumps(GOOD), finish="length"))
    with pytest.raises(UnusableWordsError, match="the teacher failed"):
        read_words(Reply("", finish="error", error="HTTP 500"))


def test_a_prompt_says_what_comes_next() -> None:
    assert check_prompt("Say why, then go to the {next}.", "p.txt").startswith("Say")
    with pytest.raises(ValueError, match=r"p.txt: expected \{next\} somewhere in the text"):
        check_prompt("Say why.", "p.txt")
