"""Proposals: what a writer makes of the notes, read as text of a stranger's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from o3gym.synthesis.questions.asking import Inquiry, Shown
from o3gym.synthesis.questions.notes import PAGE, Note
from o3gym.synthesis.questions.prompts import HOPS, filled
from o3gym.synthesis.questions.sheets import LayoutSheet
from o3gym.types import FULL

MAX_OBJECTS = 500
"""Opening braces of a reply at which an object is looked for (ours), so that reading takes bounded time."""
OPTION_LETTERS = "ABCDEF"
_OPTION = re.compile(r"\(?([A-F])[.):]\s*(.*)")
_CITED = re.compile(r"\[\s{0,9}layouts?\s{0,9}([^\[\]\n]{1,200})\]", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_PARTED = re.compile(r"[,;&\s]+(?:and\s+)?(?:layouts?\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Proposal:
    """A question as it was proposed, fields as text; nothing is checked.

    Attributes:
        question: in words, without options.
        options: in the order given, without their letters.
        answer: what stands there for the letter.
        explanation: the steps, with their "[layout ID]".
        layouts: ids of the layouts that it needs, each once.
    """

    question: str = ""
    options: tuple[str, ...] = ()
    answer: str = ""
    explanation: str = ""
    layouts: tuple[str, ...] = ()


def writer_ask(sheet: LayoutSheet, notes: Mapping[str, Note], template: str, count: int, *, picture: bool) -> Inquiry:
    """What to ask for `count` questions about a picture, from its notes; with its picture only where that is wanted."""
    labels = {layout.id: layout.label for layout in sheet.layouts}
    layouts = [
        {"id": one, "kind": labels[one], "caption": note.caption, "text": note.text}
        for one, note in notes.items()
        if one != PAGE
    ]
    page = {"caption": notes[PAGE].caption, "text": notes[PAGE].text}
    values = {"count": str(count), "page": page, "layouts": layouts, "hops": HOPS[sheet.subset]}
    return Inquiry(writer_name(sheet), filled(template, values), Shown(sheet.image, FULL) if picture else None)


def writer_name(sheet: LayoutSheet) -> tuple[str, ...]:
    """What the reply with a picture's proposals is found by."""
    return ("questions", sheet.image.key)


def read_proposals(reply: str, most: int) -> list[Proposal]:
    """The first `most` questions of a reply: JSON objects with a "question", wherever they are in it. Raises nothing.

    So prose and fences around the array do no harm, and one that was cut off keeps its whole objects.
    """
    found: list[Proposal] = []
    for value in _objects(reply.rpartition("</think>")[2]):
        if len(found) == most:
            break
        found.append(_proposal(value))
    return found


def _objects(said: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    for _ in range(MAX_OBJECTS):
        at = said.find("{", at)
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(said, at)
        except (ValueError, RecursionError):
            value, end = None, at + 1
        if isinstance(value, dict) and "question" in value:
            yield value
            at = end
        else:
            at += 1


def _proposal(value: Mapping[str, Any]) -> Proposal:
    explanation = _text(value.get("explanation"))
    return Proposal(
        one_line(_text(value.get("question"))),
        _options(value.get("options")),
        bare_letter(_text(value.get("answer"))),
        explanation,
        cited(" ".join(_CITED.findall(explanation))),
    )


def cited(text: str) -> tuple[str, ...]:
    """Ids of a list, "1, 2 and 5" or "1; 2", each once, in order."""
    return tuple(dict.fromkeys(one for one in _PARTED.split(text.strip()) if one))


def bare_letter(text: str) -> str:
    """A letter without what may stand around it; a longer text as it is."""
    return text.strip("().:* ").upper()


def one_line(text: str) -> str:
    """A text with single spaces, as options must be: files of rows have one a line."""
    return " ".join(text.split())


def _text(value: object) -> str:
    """A text without control characters and halves of surrogate pairs, which no file holds; "" for anything else."""
    return _UNFIT.sub(" ", value).strip() if isinstance(value, str) else ""


def _options(value: object) -> tuple[str, ...]:
    """Options given as a list, as an object by letters, or as one text with a line for each."""
    if isinstance(value, dict):
        value = (
            [value[letter] for letter in OPTION_LETTERS if letter in value] if len(value) == len(OPTION_LETTERS) else []
        )
    lines = [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(one, str | int | float) for one in lines):
        return ()
    texts = [one_line(_text(str(one))) for one in lines]
    lettered = [_OPTION.fullmatch(one) for one in texts]
    if [match[1] for match in lettered if match] == list(OPTION_LETTERS) == list(OPTION_LETTERS[: len(texts)]):
        return tuple(match[2] for match in lettered if match)
    return tuple(texts)
