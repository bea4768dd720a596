"""Reads a chat completion, or the error in its place, as a `Reply`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o3gym.dialects.openai import call_text
from o3gym.policies.dialogue import CONTEXT_FULL
from o3gym.policies.openai.client import LONGEST_EXCERPT, NoReply, Refused
from o3gym.types import Reply, Usage

TOO_LONG = re.compile(
    r"context[ _]?(length|size|window)|maximum model len|longer than the max|(prompt|input) (is )?too long",
    re.IGNORECASE,
)
"""Matches what OpenAI, vLLM, SGLang, llama.cpp and Anthropic's endpoint say of a dialogue that does not fit."""


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens; None where unknown."""

    per_input: float | None = None
    per_output: float | None = None

    def usage(self, stated: Mapping[str, Any]) -> Usage:
        """Returns tokens and dollars. Without prices the dollars are the `cost` that some servers state."""
        read, written = (_whole(stated.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        if self.per_input is None and self.per_output is None:
            return Usage(read, written, _amount(stated.get("cost")))
        return Usage(read, written, (read * (self.per_input or 0.0) + written * (self.per_output or 0.0)) / 1e6)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _amount(value: object) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else None  # type: ignore[arg-type]


def first_choice(answer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the whole completion and its first choice.

    Raises:
        NoReply: the answer is no completion. An error in place of a reply is none, and neither is one whose parts have
            the wrong types: read as an empty reply, it would count as a wrong answer of the model.
    """
    if not isinstance(answer, dict):
        raise NoReply(f"the server answered with {_quoted(answer)}")
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NoReply(f"the answer has no choices: {_quoted(answer.get('error') or answer)}")
    choice, message = choices[0], choices[0].get("message")
    if choice.get("error") or choice.get("finish_reason") == "error":
        raise NoReply(f"the answer has an error in place of a reply: {_quoted(choice.get('error') or choice)}")
    if not isinstance(message, dict):
        raise NoReply(f"the answer has no message: {_quoted(choice)}")
    if not isinstance(choice.get("finish_reason"), str | None) or not _readable(message):
        raise NoReply(f"the answer is not of the form of a completion: {_quoted(choice)}")
    return answer, choice


def _quoted(value: object) -> str:
    return json.dumps(value)[:LONGEST_EXCERPT]


def _readable(message: Mapping[str, Any]) -> bool:
    """Whether the content is text, or a list of parts with text, and all calls have a name."""
    content, calls = message.get("content"), message.get("tool_calls")
    if not isinstance(content, str | list | None) or not isinstance(calls, list | None):
        return False
    parts = content if isinstance(content, list) else []
    texts = [part.get("text", "") if isinstance(part, dict) else None for part in parts]
    functions = [call.get("function") if isinstance(call, dict) else None for call in calls or []]
    return all(isinstance(text, str) for text in texts) and all(
        isinstance(function, dict) and isinstance(function.get("name"), str) for function in functions
    )


def read_completion(completion: Mapping[str, Any], choice: Mapping[str, Any], stop: Sequence[str], p: Prices) -> Reply:
    """Returns the reply in a completion: its content, then each native call as text.

    An empty reply that the model ended itself is a reply. Dialects read it as void, so it counts as a wrong answer. Any
    other empty reply is an error: something on its way went wrong.
    """
    stated = completion.get("usage")
    usage = p.usage(stated) if isinstance(stated, dict) else None
    text, finish = _text(choice, stop), choice.get("finish_reason")
    if finish == "length":
        return Reply(text, finish="length", usage=usage)
    if finish == "content_filter":
        return Reply(text, finish="error", error="the server's content filter cut the reply", usage=usage)
    refusal = choice["message"].get("refusal")
    if not text.strip() and (refusal or finish != "stop"):
        return Reply("", finish="error", error=f"empty reply: {refusal or f'finish_reason {finish}'}", usage=usage)
    return Reply(text, usage=usage)


def _text(choice: Mapping[str, Any], stop: Sequence[str]) -> str:
    content = choice["message"].get("content") or ""
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    if choice.get("finish_reason") != "length":
        content = with_stop(content, choice.get("stop_reason"), stop)
    return "\n".join(filter(None, [content, *_calls(choice["message"])]))


def _calls(message: Mapping[str, Any]) -> list[str]:
    functions = [call["function"] for call in message.get("tool_calls") or []]
    return [call_text(f["name"], _arguments(f.get("arguments") or "{}")) for f in functions]


def _arguments(stated: object) -> str:
    """The arguments of a call as JSON; some servers decode them."""
    return stated if isinstance(stated, str) else json.dumps(stated)


def with_stop(text: str, reason: object, stop: Sequence[str]) -> str:
    """Returns the text with the stop string that ended it, which the API removes and dialects need.

    vLLM names the string (`stop_reason`). For other servers it is the closing tag of a tag that was left open.
    """
    if reason in stop:
        return text if text.endswith(str(reason)) else f"{text}{reason}"
    for closing in stop:
        if closing.startswith("</") and text.count(closing.replace("</", "<")) > text.count(closing):
            return f"{text}{closing}"
    return text


def context_full(error: Exception) -> Reply | None:
    """Returns the reply for a dialogue that the server finds too long, or None for other errors."""
    if isinstance(error, Refused) and error.status in (400, 413, 422) and TOO_LONG.search(str(error)):
        return Reply("", finish="length", error=CONTEXT_FULL)
    return None
