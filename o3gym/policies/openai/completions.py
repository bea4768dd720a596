"""Reads a chat completion, or the error in its place, as a `Reply`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o3gym.dialects.openai import call_text
from o3gym.policies.dialogue import CONTEXT_FULL
from o3gym.policies.openai.client import Refused
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
            cost = stated.get("cost")
            known = isinstance(cost, int | float) and not isinstance(cost, bool)
            return Usage(read, written, float(cost) if known else None)  # type: ignore[arg-type]
        return Usage(read, written, (read * (self.per_input or 0.0) + written * (self.per_output or 0.0)) / 1e6)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


class NoReply(ValueError):  # noqa: N818 - the name says it
    """A server answered with something that is not a completion; the message quotes it."""


def first_choice(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the whole completion and its first choice. Raises `NoReply`."""
    try:
        completion = json.loads(text)
    except (ValueError, RecursionError):
        raise NoReply(f"the server answered with something that is not JSON: {text[:200]!r}") from None
    if not isinstance(completion, dict):
        raise NoReply(f"the server answered with {text[:200]!r}")
    choices = completion.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NoReply(f"the answer has no choices: {json.dumps(completion.get('error') or completion)[:400]}")
    if not isinstance(choices[0].get("message"), dict):
        raise NoReply(f"the answer has no message: {text[:200]!r}")
    return completion, choices[0]


def read_completion(completion: Mapping[str, Any], choice: Mapping[str, Any], stop: Sequence[str], p: Prices) -> Reply:
    """Returns the reply in a completion: its content, then each native call as text."""
    stated = completion.get("usage")
    usage = p.usage(stated) if isinstance(stated, dict) else None
    text, finish = _text(choice, stop), choice.get("finish_reason")
    if finish == "length":
        return Reply(text, finish="length", usage=usage)
    if finish == "content_filter":
        return Reply(text, finish="error", error="the server's content filter cut the reply", usage=usage)
    if not text.strip():
        reason = choice["message"].get("refusal") or choice.get("error") or f"finish_reason {finish}"
        return Reply("", finish="error", error=f"empty reply: {reason}", usage=usage)
    return Reply(text, usage=usage)


def _text(choice: Mapping[str, Any], stop: Sequence[str]) -> str:
    content = choice["message"].get("content")
    content = content if isinstance(content, str) else ""
    if choice.get("finish_reason") != "length":
        content = with_stop(content, choice.get("stop_reason"), stop)
    return "\n".join(filter(None, [content, *_calls(choice["message"])]))


def _calls(message: Mapping[str, Any]) -> list[str]:
    functions = [call.get("function") or {} for call in message.get("tool_calls") or [] if isinstance(call, dict)]
    return [call_text(str(f.get("name")), str(f.get("arguments") or "{}")) for f in functions]


def with_stop(text: str, reason: object, stop: Sequence[str]) -> str:
    """Returns the text with the stop string that ended it, which the API removes and dialects need.

    vLLM names the string (`stop_reason`). For other servers it is the closing tag of a tag that was left open.
    """
    if reason in stop and not text.endswith(str(reason)):
        return f"{text}{reason}"
    for closing in stop:
        if closing.startswith("</") and text.count(closing.replace("</", "<")) > text.count(closing):
            return f"{text}{closing}"
    return text


def context_full(error: Exception) -> Reply | None:
    """Returns the reply for a dialogue that the server finds too long, or None for other errors."""
    if isinstance(error, Refused) and error.status in (400, 413, 422) and TOO_LONG.search(str(error)):
        return Reply("", finish="length", error=CONTEXT_FULL)
    return None
