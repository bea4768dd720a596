"""The options and answers of rows of `local`, which may be written in several ways."""

from __future__ import annotations

import math
import re
from typing import Any

from o3gym.suites.base import BadRow
from o3gym.suites.local_sources import is_absent
from o3gym.suites.released.options import OPTION, OPTION_LINE
from o3gym.types import LETTERS


def read_options(value: Any) -> tuple[str, ...]:
    """Option texts in letter order. If all options begin with letters, these must be A, B, C, … in order."""
    if is_absent(value) or value in ("", []):
        return ()
    lines = _option_lines(value) if isinstance(value, str) else value
    texts = isinstance(lines, list) and all(isinstance(line, str) and line.strip() for line in lines)
    if not texts or not 2 <= len(lines) <= 26:
        raise BadRow("options", '2 to 26 options, as a list or as lines "A. …"', value)
    found = [OPTION.match(line) for line in lines]
    if not all(found):
        return tuple(line.strip() for line in lines)
    letters = "".join(match.group(1) for match in found if match)
    if letters != LETTERS[: len(letters)]:
        raise BadRow("options", "letters A, B, C, … in order", letters)
    return tuple(match.group(2).strip() for match in found if match)


def _option_lines(value: str) -> list[str]:
    """The options of a text. Where options begin with letters, a line without one continues the option before it."""
    pieces = [piece for piece in OPTION_LINE.split(value) if piece.strip()]
    if len(pieces) > 1 and all(OPTION.match(piece) for piece in pieces):
        return pieces
    return [line for line in value.splitlines() if line.strip()]


def _same_text(answer: str, letter: str, choice: str) -> bool:
    """Whether an answer that is no letter of an option names that option all the same."""
    forms = (letter, choice, f"{letter}{choice}")
    return _without_punctuation(answer) in map(_without_punctuation, forms)


def _without_punctuation(text: str) -> str:
    return re.sub(r"[\s():]|\.(?!\d)", "", text.casefold()) or text.strip()


def read_answer(value: Any, choices: tuple[str, ...]) -> str:
    """The answer as text, or the letter of the right option; "" for none. Raises `BadRow` for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise BadRow("answer", "a text or number", value)
    answer = (value or "").strip()
    if value is not None and not answer:
        raise BadRow("answer", "a text or number (omit the field for a region search)", value)
    letters = LETTERS[: len(choices)]
    if choices and (len(answer) != 1 or answer not in letters):
        meant = [letter for letter, choice in zip(letters, choices, strict=True) if _same_text(answer, letter, choice)]
        hint = f' (did you mean "{meant[0]}"?)' if len(meant) == 1 else ""
        raise BadRow("answer", f"one of the letters {letters}{hint}", value)
    return answer
