"""Finds `<tag>…</tag>` blocks in a reply by plain string search, which takes linear time on any text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from o3gym.latex import BOXED, BoxedText, unescape_braces


class TagBlock(NamedTuple):
    """One block: its tag, its start in the text, its body, and whether it has a closing tag."""

    tag: str
    start: int
    body: str
    closed: bool


def last_block(text: str, tag: str) -> TagBlock | None:
    """The last closed `<tag>` block; if none is closed, the last opened one, up to the end of the text; else None."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    end = text.rfind(closing)
    start = text.rfind(opening, 0, end) if end >= 0 else -1
    if start >= 0:
        body = text[start + len(opening) : text.find(closing, start)]
        return TagBlock(tag, start, body, True)
    start = text.rfind(opening)
    return TagBlock(tag, start, text[start + len(opening) :], False) if start >= 0 else None


def first_block(text: str, tag: str) -> TagBlock | None:
    """The first `<tag>` block, up to the end of the text if it is never closed; None if there is none."""
    opening, closing = f"<{tag}>", f"</{tag}>"
    start = text.find(opening)
    if start < 0:
        return None
    end = text.find(closing, start)
    return TagBlock(tag, start, text[start + len(opening) : len(text) if end < 0 else end], end >= 0)


def tag_blocks(text: str, tags: Iterable[str]) -> list[TagBlock]:
    """The last block of each tag, in the order of `tags`. If any of them is closed, only closed ones are returned."""
    found = [block for block in (last_block(text, tag) for tag in tags) if block is not None]
    return [block for block in found if block.closed] or found


def boxed_block(found: BoxedText | None) -> TagBlock | None:
    r"""A `\boxed{…}` as an answer block, with escaped braces restored; None for None."""
    return found and TagBlock("answer", found.start, unescape_braces(found.body), found.closed)


def thought_before(text: str, end: int) -> str:
    """The reasoning before position `end`, without think tags."""
    return text[:end].replace("<think>", "").replace("</think>", "").strip()


def thoughts(text: str, cut: bool = False) -> list[tuple[int, int]]:
    """The (start, end) of each think block's body, in order, without think tags.

    The first block may lack its opening tag, because some chat templates open it in the generation prompt. A block that
    is never closed is none, unless the text was `cut` by a token limit: a model that stopped there was still thinking,
    whereas one that went on to act forgot the tag.
    """
    spans: list[tuple[int, int]] = []
    opening, closing, at = "<think>", "</think>", 0
    while (end := text.find(closing, at)) >= 0:
        start = text.find(opening, at, end)
        if start >= 0 or not spans:
            spans.append((0 if start < 0 else start + len(opening), end))
        at = end + len(closing)
    if cut and (start := text.find(opening, at)) >= 0:
        spans.append((start + len(opening), len(text)))
    return spans


def quote_in_thoughts(text: str, tag: str, cut: bool = False) -> str:
    r"""`text` with the angle brackets of `tag` replaced by round ones in its thoughts, so that positions do not move.

    In a thought that a token limit `cut`, the backslash of `\boxed{` is replaced too: no action followed it.
    """
    parts, at = [], 0
    for start, end in thoughts(text, cut):
        thought = disarm(text[start:end], (tag,))
        unfinished = end == len(text)  # a finished thought is followed by its closing tag
        parts += [text[at:start], thought.replace(BOXED, f"({BOXED[1:]}") if unfinished else thought]
        at = end
    return "".join([*parts, text[at:]])


def keeps_shape(text: str, tag: str, tags: Iterable[str], think: bool) -> bool:
    """Whether a reply is reasoning followed by exactly one `<tag>` block, with none of the other `tags` anywhere.

    With `think`, the reasoning must be exactly one think block, whose opening tag may be missing because the chat
    template has written it; otherwise any text is allowed.
    """
    text = text.strip()
    if not text.endswith(f"</{tag}>"):
        return False
    for name in tags:
        expected = 1 if name == tag else 0
        if text.count(f"<{name}>") != expected or text.count(f"</{name}>") != expected:
            return False
    if not think:
        return True
    head = text[: text.index(f"<{tag}>")].strip()
    opened = text.count("<think>")
    return (
        head.endswith("</think>")
        and text.count("</think>") == 1
        and (opened == 0 or (opened == 1 and head.startswith("<think>")))
    )


def disarm(text: str, tags: Iterable[str]) -> str:
    """`text` with the angle brackets of `tags` replaced by round ones, so that it can be quoted inside a reply."""
    return re.sub(rf"<(/?(?:{'|'.join(map(re.escape, tags))}))>", r"(\1)", text)
