r"""Answers in `\boxed{…}`: finding them and writing them."""

from __future__ import annotations

import re

from o3gym.dialects.tags import TagBlock

BOXED = r"\boxed{"
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def first_boxed(text: str, start: int = 0) -> TagBlock | None:
    r"""The first `\boxed{…}` from `start` on, up to its own closing brace; to the end, unclosed, if there is none."""
    at = text.find(BOXED, start)
    return _block(text, at) if at >= 0 else None


def last_boxed(text: str) -> TagBlock | None:
    r"""The last `\boxed{…}` up to its own closing brace; up to the end, unclosed, if there is none."""
    at = text.rfind(BOXED)
    return _block(text, at) if at >= 0 else None


def guarded(text: str) -> str:
    r"""`text` as it can stand in `\boxed{…}`: without another one, its braces escaped if they are not balanced."""
    text = text.replace(BOXED, "boxed{")
    return text if _end_of(text + "}", 0) == len(text) else re.sub(r"[{}]", r"\\\g<0>", text.rstrip("\\"))


def _block(text: str, at: int) -> TagBlock:
    inside = at + len(BOXED)
    end = _end_of(text, inside)
    body = text[inside : len(text) if end < 0 else end]
    return TagBlock("answer", at, re.sub(r"\\([{}])", r"\1", body), end >= 0)


def _end_of(text: str, start: int) -> int:
    """Where the brace that was opened before `start` closes; −1 if it does not."""
    depth = 1
    for match in BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1
