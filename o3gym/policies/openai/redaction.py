"""Removes a secret from texts that are stored or shown, in whatever form a server echoes it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html.entities import codepoint2name
from typing import Any

LEAST_SECRET = 8
"""Minimum length of a secret. Shorter keys, like "none" and "EMPTY", are words that servers without keys are given."""
STAND_IN = "[key]"
"""The text in place of a secret."""
WIDEST = 24
"""Maximum number of characters that one character of a secret takes in a form that is recognised."""


class Redaction:
    """Removes one secret: as it is, with the escapes of JSON or HTML (nested ones, too), percent-encoded, in base64.

    Texts are searched after JSON has been decoded, because escapes hide a secret from any other search. What is still
    escaped then, such as the arguments of a call, will be decoded by a dialect.

    Args:
        secret: the secret; nothing is removed if it is shorter than `LEAST_SECRET`.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret if len(secret) >= LEAST_SECRET else ""
        self._encoded = tuple(dict.fromkeys(_base64_forms(self._secret.encode()))) if self._secret else ()
        self._escaped = re.compile("".join(map(_any_form, self._secret)))

    def text(self, text: str) -> str:
        """Returns the text without the secret."""
        if not self._secret:
            return text
        for form in (self._secret, *self._encoded):
            if form in text:
                text = text.replace(form, STAND_IN)
        return self._escaped.sub(STAND_IN, text) if any(mark in text for mark in "\\%&") else text

    def value(self, value: Any) -> Any:
        """Returns a JSON value whose texts, also those that are names of members, are without the secret."""
        if not self._secret:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value

    def excerpt(self, text: str, length: int) -> str:
        """Returns at most the first `length` characters, without the secret and without a part of it at the end."""
        margin = WIDEST * len(self._secret)
        if len(text) <= length + 2 * margin:
            return self.text(text)[:length]
        # The cut may go through the secret. What is left of it then is at the end, which is dropped.
        cut = self.text(text[: length + 2 * margin])
        return cut[: max(0, len(cut) - margin)][:length]


def _any_form(character: str) -> str:
    """Returns a pattern of a character in plain text, in JSON, HTML or percent-encoded, once or several times over."""
    code = ord(character)
    percent = "".join(rf"%(?:25){{0,4}}{byte:02x}" for byte in character.encode("utf-8", "replace"))
    # Bounded repetitions, and no text that two alternatives match, keep the search linear, whatever a server sends.
    json = rf"\\{{1,8}}(?i:u{code:04x}|u0{{4}}{code:04x}|u\{{0{{0,4}}{code:x}\}}|x{code:02x})"
    name = {**codepoint2name, ord("'"): "apos"}.get(code)
    number = rf"#0{{0,4}}{code}|#x0{{0,4}}{code:x}" + (f"|{name}" if name else "")
    html = rf"(?:&|\\{{1,8}}u0026)(?:amp;){{0,2}}(?i:{number});"
    return rf"(?:\\{{0,8}}{re.escape(character)}|{json}|{html}|(?i:{percent}))"


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Yields the base64 digits that follow from the secret alone, for each place at which it can begin in a text."""
    for before in range(3):
        digits = base64.b64encode(bytes(before) + secret)[
            -(-before * 8 // 6) : (before + len(secret)) * 8 // 6
        ].decode()
        yield digits
        yield digits.translate(str.maketrans("+/", "-_"))
