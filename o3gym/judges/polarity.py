"""Reads a plain text as yes or no.

"yes" and its synonyms always mean yes. "no" is an answer ("No, it is not", "so no") or a determiner ("no one is
there"), and only the former outweighs a "yes". The function is pure, accepts any text and takes time linear in its
length.
"""

from __future__ import annotations

import re

_YES_WORDS = r"yes|yess|yeah|yea|yah|yep|yup|affirmative|indeed"
_NO_WORDS = r"nope|nah|nay|negative"
_TRUE, _FALSE = r"true|correct", r"false|incorrect|untrue"
_NEGATED = (
    r"(?:absolutely|certainly|definitely|of course|surely|probably|apparently|clearly) not\b|not at all\b|not really\b"
)
_AFTER_NO = r"(?:it|there|they|he|she|i|we|you|this|that|these|those|the|because|since|as|but|not|is|was|and|or)\b"
_NO = rf"(?<![\w'’-])no(?![\w'’/-])(?!\.? ?\d)(?=\s*(?:$|[^\w\s])|\s+{_AFTER_NO})"
"""Matches a "no" that is an answer and not a determiner: at the end, before punctuation or before a new clause."""

_STATED = re.compile(
    rf"(?P<yes>(?<![\w'’-])(?:{_YES_WORDS})(?![\w'’-]))|(?P<no>(?<![\w'’-])(?:{_NO_WORDS}|{_NEGATED})(?![\w'’-])|{_NO})"
)
_LEAD = re.compile(
    rf"(?P<yes>(?:{_TRUE})\b|y(?=[).,;:!]+(?:\s|$)))|(?P<no>(?:{_FALSE})\b|not (?:{_TRUE})\b|n(?=[).,;:!]+(?:\s|$)))"
)
_WHOLE = {
    **dict.fromkeys(("y", "absolutely", "certainly", "definitely", "of course", "sure", "surely", "not false"), "yes"),
    **dict.fromkeys(("n", "no way", "never", "not"), "no"),
}
"""Texts that are an answer only if there is nothing else."""
_JUDGED = re.compile(
    rf"\b(?:that|this|it|which|statement|claim|answer|sentence|assertion|assumption)(?: is|'s| was| would be)"
    rf"(?P<not>(?: not|n't)?) (?:(?P<yes>{_TRUE})|(?P<no>{_FALSE}))\b(?! that\b)"
)
_CONCLUSION = re.compile(
    r"\b(?:so|therefore|thus|hence|consequently|conclusion|conclude|overall|finally|then|verdict|answer|"
    r"wait|actually|sorry|correction|rather|i mean)\b"
    r"[\s,.:;=>\"'(*-]*(?:(?:(?:the|my|final|correct|short|it|that|this|answer|is|was|would|should|must|be|a|an)\b|'s)"
    r"[\s,.:;=>\"'(*-]*){0,6}$"
)
_CONCLUDED = 60
"""Number of characters before a "yes" or "no" that are searched for words such as "so" and "the answer is"."""
_JOIN = r"\s*(?:/|,?\s*or\b|,?\s*and\b|,)\s*"
_BOTH = re.compile(rf"\b(?:yes{_JOIN}no|no{_JOIN}yes|y/n)\b(?=\s*(?:$|[^\w\s]))")
_DETERMINER = re.compile(
    r"(?<![\w'’\"“(-])no(?:-one\b|\s+(?!(?:idea|doubt|clue|way|information|answer|opinion|question|wonder|matter|reason)\b"
    r"|one (?:knows|can|could)\b)[^\W\d_])"
)
_OPENING = " \t\n\"'“”‘’([{<>*#-"


def polarity(text: str) -> str:
    """The "yes" or "no" that `text` means; "" if it means neither or both.

    The following forms are tried in this order: the text as a whole ("y", "of course"); a conclusion ("so yes", "the
    answer is no"); the start ("Yeah, …", "False."); the only one of "yes" and "no" that is stated; a judgement ("that
    is not true"); a "no" that denies something ("there is no dog"). "N/A", "no idea" and "yes or no" mean nothing.
    """
    plain = _BOTH.sub(" ", " ".join(text.casefold().split()))
    bare = plain.strip(" .,;:!?\"'()[]{}<>*")
    if bare in _WHOLE:
        return _WHOLE[bare]
    stated = [(match.start(), _side(match)) for match in _STATED.finditer(plain)]
    concluded = {side for at, side in stated if _CONCLUSION.search(plain[max(0, at - _CONCLUDED) : at])}
    judged = {_other(_side(match)) if match["not"] else _side(match) for match in _JUDGED.finditer(plain)}
    for found in (concluded, _lead(plain, stated), {side for _, side in stated}, judged):
        if found:
            return found.pop() if len(found) == 1 else ""
    return "no" if _DETERMINER.search(plain) else ""


def _lead(plain: str, stated: list[tuple[int, str]]) -> set[str]:
    """What the text begins with, apart from quotes and brackets."""
    start = len(plain) - len(plain.lstrip(_OPENING))
    match = _LEAD.match(plain, start)
    return {_side(match)} if match else {side for at, side in stated[:1] if at == start}


def _side(match: re.Match[str]) -> str:
    return "yes" if match["yes"] else "no"


def _other(side: str) -> str:
    return "no" if side == "yes" else "yes"
