"""A teacher's words for corrections: it sees the wrong view, and says why it is wrong and what to do next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from o3gym.synthesis.asking import Inquiry, Name, Shown
from o3gym.synthesis.questions.prompts import filled
from o3gym.types import Reply

MAX_WORDS = 400
"""Maximum number of characters of each of the two texts of a reply (ours): about three sentences."""
MOST_CHARACTERS = 20_000
"""A reply with more characters, apart from its own reasoning, is not read (ours)."""
FIELDS = ("wrong", "next")
"""The keys of a reply's JSON object."""
PROMPT_NAMES = ("question", "kind", "what", "where", "next")
"""Names in braces that a prompt may contain; a user's prompt must contain "next"."""
CORRECTION_PROMPT = """\
Somebody answers a question about a picture or a video by looking at parts of it, one after the other. The picture \
above is what the last look showed, and that look was a mistake: {kind}.

Question: {question}
Looked for: {what}
Last look: {where}
Next look: {next}

Write what this person thinks now, in the first person and in plain words. Reply with one JSON object and nothing else:
{"wrong": "what this view shows and why it does not help", "next": "what to do next, and where"}
Each text has one or two sentences and at most 400 characters. Do not answer the question. Do not number pictures."""
"""The prompt to the teacher."""
MISTAKE_WORDS: Mapping[str, str] = {
    "wrong region": "it shows a wrong region of the picture",
    "too large region": "the region is too large to make out details",
    "wrong time": "it shows a wrong time of the video",
}
"""What was wrong with a look, by the kind of the mistake."""
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>{}`\\]")
"""Characters that could end or begin a part of a reply, or that no file can hold."""
_FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)


class UnusableWordsError(ValueError):
    """A teacher's reply that is not used; the message says why, in words that do not depend on the reply."""


def correction_inquiry(name: Name, view: Shown, values: Mapping[str, str], prompt: str) -> Inquiry:
    """Builds the inquiry about a wrong look.

    Args:
        name: identifies the mistake.
        view: what the wrong look showed.
        values: a text for each of `PROMPT_NAMES`.
        prompt: the template.
    """
    return Inquiry(name, filled(prompt, values), view)


def read_words(reply: Reply) -> str:
    """Reads a teacher's reply strictly: one JSON object with two short texts, perhaps in a fence. Returns its words.

    Raises:
        UnusableWordsError: the reply failed, was cut, or is anything else.
    """
    if reply.finish == "error" or reply.error:
        raise UnusableWordsError("the teacher failed")
    if reply.finish == "length":
        raise UnusableWordsError("the reply was cut")
    texts = _object(reply.text.rpartition("</think>")[2].strip())
    for text in texts:
        if not text:
            raise UnusableWordsError("an empty text")
        if len(text) > MAX_WORDS:
            raise UnusableWordsError(f"a text of more than {MAX_WORDS} characters")
        if _UNFIT.search(text):
            raise UnusableWordsError("a text with tags or control characters")
    return " ".join(texts)


def check_prompt(text: str, where: str) -> str:
    """Returns a user's prompt. Raises ValueError if it does not say what comes next."""
    if "{next}" not in text:
        known = ", ".join(f"{{{name}}}" for name in PROMPT_NAMES)
        raise ValueError(f"{where}: expected {{next}} somewhere in the text (it may have: {known})")
    return text


def _object(text: str) -> list[str]:
    """Returns the two texts of a reply's object, without outer white space."""
    if len(text) > MOST_CHARACTERS:
        raise UnusableWordsError(f"a reply of more than {MOST_CHARACTERS} characters")
    fenced = _FENCED.match(text)
    try:
        value = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError) as error:
        raise UnusableWordsError("not a JSON object") from error
    if not isinstance(value, dict):
        raise UnusableWordsError("not a JSON object")
    if set(value) != set(FIELDS) or not all(isinstance(value[field], str) for field in FIELDS):
        raise UnusableWordsError("other fields than the two texts")
    return [value[field].strip() for field in FIELDS]
