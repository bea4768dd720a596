"""Python in replies: finding blocks of code beside other actions, and reading and writing their source."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from o3gym.dialects.base import CODE_TAGS
from o3gym.dialects.tagged import Unreadable
from o3gym.dialects.tags import TagBlock, quote_in_thoughts
from o3gym.tools.base import MAX_TEXT

CODE_TAG = "code"
"""The tag of a block of code."""
FENCE = "```"
_OPENING = re.compile(r"(?:\A|\n)([ \t]*)```(?:[ \t]*(?:python|py)3?(?![A-Za-z0-9_]))?[ \t]*\r?\n?", re.IGNORECASE)
"""A fence that opens code: at the start of a line, perhaps with the name of the language."""
_BEGINNING, _END = f"{FENCE}python\n", f"\n{FENCE}"
"""What stands before and after the source in the strict form, apart from white space."""


def read_source(body: str) -> tuple[str, bool]:
    r"""Reads the body of a block of code as (source, strict).

    The strict form is a fence "```python", the source on lines of its own, and a closing fence. The name of the
    language may also be missing or be written "py" or "Python", text may stand around the fences, either fence may be
    missing, and an indented fence means that the source is indented as well. The last line that starts with a fence
    closes the source, so that fences inside of strings do not.

    Raises:
        Unreadable: the source is blank, or longer than a text argument may be.
    """
    opening = _OPENING.search(body)
    if opening is None:
        source, strict = textwrap.dedent(body.strip("\r\n")), False
    else:
        source, strict = _between_fences(body[opening.end() :], body.strip())
        source = textwrap.dedent(source) if opening[1] else source
    if not source.strip():
        raise Unreadable("the block of code is empty")
    if len(source) > MAX_TEXT:
        raise Unreadable(f"the code has {len(source)} characters; at most {MAX_TEXT} are run")
    return source, strict


def _between_fences(rest: str, body: str) -> tuple[str, bool]:
    """The source of a block of code, from the text after its opening fence and the whole body."""
    end = rest.rfind(_END)
    end = end if end >= 0 else 0 if rest.startswith(FENCE) else rest.rfind(FENCE)
    strict = body.startswith(_BEGINNING) and body.endswith(_END) and not rest[end:].strip("`\n\r\t ")
    return rest if end < 0 else rest[:end], strict


def write_source(source: str) -> str:
    r"""The block of code with a source, in the strict form.

    Raises:
        ValueError: no reply can hold this source: it is blank or too long, or it contains "</code>", with which every
            reader ends the block. In a string, "<" "/code>" means the same.
    """
    if CODE_TAGS[1] in source:
        raise ValueError(f'source: a block of code ends at the first "{CODE_TAGS[1]}", so the code cannot contain it')
    if not source.strip():
        raise ValueError("source: expected code, got a blank text")
    if len(source) > MAX_TEXT:
        raise ValueError(f"source: expected at most {MAX_TEXT} characters, got {len(source)}")
    return f"{CODE_TAGS[0]}\n{_BEGINNING}{source}{_END}\n{CODE_TAGS[1]}"


def blocks_of(text: str, tags: Sequence[str]) -> list[TagBlock]:
    """The closed `<tag>…</tag>` blocks of a reply, in order; if there are none, the last unclosed one of each tag.

    Tags inside a block of code belong to the code, up to its first closing tag. In other blocks, a repeated opening tag
    begins the block anew, since the first one was only mentioned. Takes linear time.
    """
    found: list[TagBlock] = []
    unclosed: dict[str, int] = {}  # the start of the last such body, by tag
    last = {tag: text.rfind(f"</{tag}>") for tag in tags}
    at, opened = 0, ""  # the open block: the start of its body, and its tag
    for match in re.finditer(rf"<(/?)({'|'.join(map(re.escape, tags))})>", text):
        closing, tag = bool(match[1]), match[2]
        if closing and tag == opened:
            found.append(TagBlock(tag, at - len(tag) - 2, text[at : match.start()], True))
            opened = ""
        elif not closing and not (opened and last[opened] >= at and (tag != opened or opened == CODE_TAG)):
            at, opened = match.end(), tag
            unclosed[tag] = at
    return found or [
        TagBlock(tag, at - len(tag) - 2, text[at:], False)
        for tag, at in sorted(unclosed.items(), key=lambda item: item[1])
    ]


def quote_outside_code(text: str, tag: str, cut: bool = False) -> str:
    """`quote_in_thoughts` for replies with code, which stays as it was written; positions do not move."""
    quoted, parts, at = quote_in_thoughts(text, tag, cut), [], 0
    for block in blocks_of(text, (CODE_TAG,)):
        if block.closed:
            begin = block.start + len(CODE_TAGS[0])
            parts += [quoted[at:begin], block.body]
            at = begin + len(block.body)
    return "".join([*parts, quoted[at:]])


def without_body(text: str, block: TagBlock) -> str:
    """`text` with the body of a block of code removed."""
    begin = block.start + len(block.tag) + 2
    return text[:begin] + text[begin + len(block.body) :]
