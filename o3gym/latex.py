r"""Finding LaTeX `\boxed{…}` in model text, and writing text that can stand inside it."""

from __future__ import annotations

import re
from typing import NamedTuple

BOXED = r"\boxed{"
# Escapes are matched first, so that the brace in `\{` or `\}` is never taken for one that opens or closes a group.
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


class BoxedText(NamedTuple):
    r"""The content of one `\boxed{…}`: its start in the text, its body as written, and whether it is closed."""

    start: int
    body: str
    closed: bool


def first_boxed(text: str, start: int = 0) -> BoxedText | None:
    r"""The first `\boxed{…}` at or after `start`, up to its matching brace, or unclosed and up to the end of `text`."""
    at = text.find(BOXED, start)
    return _boxed_at(text, at) if at >= 0 else None


def last_boxed(text: str) -> BoxedText | None:
    r"""The last `\boxed{…}`, up to its matching brace, or unclosed and up to the end of `text`."""
    at = text.rfind(BOXED)
    return _boxed_at(text, at) if at >= 0 else None


def escape_boxed(text: str) -> str:
    r"""`text` made safe to write inside `\boxed{…}`.

    A nested `\boxed{` loses its backslash. If the braces are then unbalanced, every brace is escaped; backslashes at
    the end are dropped in that case, because one of them would escape the closing brace.
    """
    text = text.replace(BOXED, "boxed{")
    return text if _closing_brace(text + "}", 0) == len(text) else re.sub(r"[{}]", r"\\\g<0>", text.rstrip("\\"))


def unescape_braces(text: str) -> str:
    r"""`text` with `\{` and `\}` replaced by plain braces."""
    return re.sub(r"\\([{}])", r"\1", text)


def _boxed_at(text: str, at: int) -> BoxedText:
    begin = at + len(BOXED)
    end = _closing_brace(text, begin)
    return BoxedText(at, text[begin : len(text) if end < 0 else end], end >= 0)


def _closing_brace(text: str, start: int) -> int:
    """The position of the brace that closes the group opened just before `start`; −1 if it is never closed."""
    depth = 1
    for match in BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1
