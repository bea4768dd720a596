"""Proposals: questions that a writer makes from the notes. Its reply is read as untrusted text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from o3gym.synthesis.asking import Inquiry, Shown
from o3gym.synthesis.questions.notes import PAGE, Note
from o3gym.synthesis.questions.prompts import HOPS, filled
from o3gym.synthesis.questions.sheets import LayoutSheet
from o3gym.types import FULL

MAX_OBJECTS = 500
"""Maximum number of opening braces of a reply that are tried as the start of an object (ours): bounds the time."""
OPTION_LETTERS = "ABCDEF"
_OPTION = re.compile(r"\(?([A-F])[.):]\s*(.*)")
_CITED = re.compile(r"\[\s{0,9}layouts?\s{0,9}([^\[\]\n]{1,200})\]", re.IGNORECASE)
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_PARTED = re.compile(r"[,;&\s]+(?:and\s+)?(?:layouts?\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Proposal:
    """A proposed question, with unchecked fields.

    Attributes:
        question: the question without its options.
        options: the options in the given order, without their letters.
        answer: the letter of the right option, or whatever the writer put in its place.
        explanation: the steps, with "[layout ID]" after each.
        layouts: ids of the layouts that the explanation cites, each once.
    """

    question: str = ""
    options: tuple[str, ...] = ()
    answer: str = ""
    explanation: str = ""
    layouts: tuple[str, ...] = ()


def writer_ask(sheet: LayoutSheet, notes: Mapping[str, Note], template: str, count: int, *, picture: bool) -> Inquiry:
    """Builds the inquiry for `count` questions about a picture from its notes, on request with the picture."""
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
    """The name of the inquiry for a picture's proposals."""
    return ("questions", sheet.image.key)


def read_proposals(reply: str, most: int) -> list[Proposal]:
    """Reads the first `most` questions of a reply: JSON objects with a "question", anywhere in it. Never raises.

    Prose and fences around the array therefore do no harm, and an array that was cut off keeps its complete objects.
    """
    found: list[Proposal] = []
    for value in _objects(reply.rpartition("</think>")[2]):
        if len(found) == most:
            break
        found.append(_proposal(value))
    return found


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    for _ in range(MAX_OBJECTS):
        at = text.find("{", at)
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(text, at)
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
    """Reads the ids of a list such as "1, 2 and 5" or "1; 2", each once, in order."""
    return tuple(dict.fromkeys(one for one in _PARTED.split(text.strip()) if one))


def bare_letter(text: str) -> str:
    """Strips punctuation around an option letter, and converts the text to upper case."""
    return text.strip("().:* ").upper()


def one_line(text: str) -> str:
    """Collapses white space to single spaces: files of rows have one option per line."""
    return " ".join(text.split())


def _text(value: object) -> str:
    """Replaces control characters and lone surrogates, which no file can hold; returns "" for what is not a text."""
    return _UNFIT.sub(" ", value).strip() if isinstance(value, str) else ""


def _options(value: object) -> tuple[str, ...]:
    """Reads options given as a list, as an object by letters, or as one text with a line for each."""
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
