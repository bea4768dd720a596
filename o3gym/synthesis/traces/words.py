"""Reads what thoughts in English say about looks, by rule: what was seen, and where the agent means to look next.

The rules are ours. They know common phrases and prefer to say nothing over guessing, so a thought in unusual words, or
in another language, says nothing to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from o3gym.types import Box, Target

Pattern = re.Pattern[str]


def _pattern(text: str) -> Pattern:
    return re.compile(text, re.IGNORECASE)


_PICTURE = r"(?:picture|image|photo|scene|chart|map)"
_BREAKS: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_CLAUSES: Final = re.compile("[,;:–—]")
_NEXT: Final = _pattern(
    r"\blet me\b|\blet's\b|\bI(?:'ll| will| should| must| want to| am going to|'m going to| shall| try)\b"
    r"|\bI need (?:to (?:look|see|zoom|check|go|get)|an? (?:closer )?(?:look|view)|more detail)"
    r"|\bworth (?:a look|checking)|^(?:now,? )?(?:zooming|looking|going|checking)\b|\bnext (?:is|I|comes)\b"
)
_ANSWER: Final = _pattern(
    r"\bcan (?:now )?answer|\bsettles it|\bseen (?:what|all|everything) I need|\b(?:the|my|final) answer\b"
    r"|\bI(?:'ll| will) (?:answer|guess)|\blet me answer|\benough to answer"
)
_CLOSER: Final = _pattern(r"\bclos(?:er|ely|e-up)|\bzoom|\bmagnif|\benlarg|\bfocus|\bcrop|\bnarrow|\bin detail")
_WHOLE: Final = _pattern(
    rf"\b(?:whole|entire|full|original|complete) {_PICTURE}|\bthe (?:original|overview)\b|\beverything\b"
)
_AGAIN: Final = _pattern(r"\bback\b|\bagain\b|\bonce more\b|\breturn\b|\breuse\b|\bshow me\b")
_INSIDE: Final = _pattern(
    r"\bfurther (?:here|in\b)|\bin further|\bcloser here"
    r"|\b(?:with)?in(?:side)? this (?:view|crop|part|region|area|detail)"
)
_DOUBT: Final = _pattern(r"\b(?:maybe|perhaps|possibly|probably|might|may|could|whether|if|or|guess)\b|\?")
_UNSURE: Final = _pattern(
    r"[,;]? ?\b(?:though|although|but|yet)\b.*\b(?:sure|small|clear|sharp|tiny|blurr\w*|read|details?)\b.*"
)
_SEEN: Final = _pattern(
    r"\bshows?\b|\bI (?:can |now |can now )?(?:see|make out|read|recogni[sz]e|find|found)\b|\bthere (?:is|it is|are)\b"
    r"|\bvisible\b|\bthis (?:is|must be)\b|\bhere (?:is|are)\b|\bseems to be\b|\bis here\b"
)
_NO_DOUBT: Final = _pattern(r"\b(?:without|no)(?: an?y?)? doubt\b")
_NOT: Final = _pattern(r"\b(?:not|no|nothing|cannot|neither|nor|nowhere|expected|without|missing)\b|n't\b")
_HERE: Final = _pattern(r"\b(?:this|here|now|it)\b")
_CLEAR: Final = _pattern(r"\bclear(?:ly)?\b|\bmake out\b|\bread\b|\bcan (?:now )?see\b|\brecogni[sz]e\b")
_NOWHERE: Final = _pattern(
    r"\bnothing (?:that|useful|relevant|of interest|here)\b|\bwrong (?:place|part|area|region)\b|\bnot here\b"
)
_REFUSED: Final = _pattern(r"\b(?:was|were|been|got) (?:refused|rejected)|\bdid(?: not|n't) work|\b(?:an|the) error\b")
_LOOKED: Final = _pattern(
    r"\bnow I (?:can|see)|\bI (?:have )?(?:zoomed|cropped|looked)|\bback at\b|\bagain\b"
    r"|\bcloser (?:view|look) (?:shows|reveals)"
)
_SIDES: Final = r"(?:top|upper|bottom|lower|left|right|middle|cent(?:re|er)|central)"
_NOUNS: Final = r"(?:half|side|corner|edge|third|quarter|quadrant|end|hand)"
_PLACE: Final = _pattern(
    r"\bthe (?:far |very )?"
    rf"(?P<words>{_SIDES}(?:[ -](?:hand )?{_SIDES})*)(?P<noun>[ -]{_NOUNS})?"
    rf"(?! (?:of|from) (?!the (?:{_PICTURE}|view|whole)\b|it\b))(?![\w-])"
)
_RELATIVE: Final = _pattern(
    r"\b(?:from|above|below|over|under|beside|(?:left|right|top|bottom) of) the (?:far |very )?$"
)
"""Words before a place that make a direction from it: "left of the middle", "the third row from the top"."""
_RIGHT_ONE: Final = _pattern(r" (?:area|place|part|region|spot|one|answer|option|thing|way|row|shelf)\b")
LONGEST = (10_000, 500)
"""Characters that are read of a thought and of a sentence (ours), so that no text takes long."""
SHORT = 8
"""Words of the longest sentence that is about the view as a whole (ours): longer ones also recall what was seen."""
SLACK = 1 / 6
"""How far outside its third of the picture the middle of a region may lie, as a share of the picture (ours).

So "left" is anything in the left half, and "middle" leaves out the outer sixths.
"""


@dataclass(frozen=True)
class NamedPlace:
    """A part of the picture that words name, such as "upper left".

    Attributes:
        words: the words.
        columns: the interval in which the middle of the region lies, from left to right.
        rows: the interval in which it lies, from top to bottom.
    """

    words: str
    columns: tuple[float, float] = (0.0, 1.0)
    rows: tuple[float, float] = (0.0, 1.0)

    def fits(self, box: Box) -> bool:
        """Whether the middle of a region, in the units of the picture, lies in the named part."""
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return self.columns[0] <= x <= self.columns[1] and self.rows[0] <= y <= self.rows[1]


@dataclass(frozen=True)
class Intent:
    """What a sentence says about the next call.

    Attributes:
        whole: the whole picture is meant.
        closer: a closer look is meant.
        inside: a part of the last view is meant.
        doubtful: the sentence only supposes where something is.
        places: the places that are named.
        names: labels of targets that are named.
    """

    whole: bool = False
    closer: bool = False
    inside: bool = False
    doubtful: bool = False
    places: tuple[NamedPlace, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def vague(self) -> bool:
        """Whether the sentence says nothing that a region could be compared with."""
        return not (self.whole or self.inside or self.places or (self.names and not self.doubtful))


@dataclass(frozen=True)
class Sighting:
    """What a sentence says about earlier views.

    Attributes:
        text: the sentence.
        names: labels of the targets that it speaks of.
        denied: it says that they, or anything useful, are not there.
        clear: it says that they are clearly seen.
        last: it speaks of the last view.
        whole: it says that the last view is the whole picture.
        refused: it says that the last call was refused.
        looked: it speaks as if there had been a look.
    """

    text: str
    names: tuple[str, ...] = ()
    denied: bool = False
    clear: bool = False
    last: bool = False
    whole: bool = False
    refused: bool = False
    looked: bool = False


def sentences(thought: str) -> list[str]:
    """Splits the end of a thought into sentences, and keeps the beginning of each (`LONGEST`)."""
    thought_end, beginning = LONGEST
    return [part.strip()[:beginning] for part in _BREAKS.split(thought[-thought_end:]) if part.strip()]


def announces(sentence: str) -> bool:
    """Whether a sentence announces a look, rather than an answer or a sight."""
    return bool(_NEXT.search(sentence)) and not _ANSWER.search(sentence)


def concludes(thought: str) -> bool:
    """Whether a thought announces the answer."""
    return any(_ANSWER.search(sentence) for sentence in sentences(thought))


def supposes(sentence: str) -> bool:
    """Whether a sentence only considers something: it asks, or says maybe."""
    return bool(_DOUBT.search(sentence))


def negates(sentence: str) -> bool:
    """Whether a sentence denies something."""
    return bool(_NOT.search(_NO_DOUBT.sub("", sentence)))


def plans(thought: str, targets: Iterable[Target]) -> list[Intent]:
    """Returns what the sentences of a thought that announce a look say about it."""
    labels = [target.label for target in targets]
    return [_plan(sentence, labels) for sentence in sentences(thought) if announces(sentence)]


def sightings(thought: str, targets: Iterable[Target]) -> list[Sighting]:
    """Returns what the other sentences of a thought say about earlier views."""
    labels = [target.label for target in targets]
    others = [sentence for sentence in sentences(thought) if not announces(sentence)]
    found = [_sighting(sentence, labels) for sentence in others]
    return [each for each in found if each is not None]


def labels_in(sentence: str, labels: Iterable[str]) -> tuple[str, ...]:
    """Returns the labels that a sentence names as whole words, without those that only occur inside a longer one.

    Labels of one or two characters must be written with the same capitals; "A" and "I" are words of their own and are
    never found.
    """
    found: list[str] = []
    for label in sorted(set(labels) - {"", "A", "I"}, key=len, reverse=True):
        flags = 0 if len(label) <= 2 else re.IGNORECASE
        rest = re.sub(rf"(?<![\w-]){re.escape(label)}s?(?![\w-])", " ", sentence, flags=flags)
        if rest != sentence:
            found.append(label)
            sentence = rest
    return tuple(found)


def places(sentence: str) -> tuple[NamedPlace, ...]:
    """Returns the places that a sentence names. Directions from a thing, such as "left of the hat", are none."""
    return tuple(place for found in _PLACE.finditer(sentence) if (place := _place(sentence, found)) is not None)


def _place(sentence: str, found: re.Match[str]) -> NamedPlace | None:
    words, noun = found["words"].lower(), found["noun"] or ""
    relative = _RELATIVE.search(sentence, 0, found.start("words"))
    right_one = words == "right" and not noun and _RIGHT_ONE.match(sentence, found.end())
    if relative or right_one:
        return None
    columns = _third(words, "left", "right")
    rows = _third(words.replace("upper", "top").replace("lower", "bottom"), "top", "bottom")
    middle = re.search(r"middle|cent", words) is not None
    between = (1 / 3 - SLACK, 2 / 3 + SLACK)
    if middle:
        columns, rows = columns or between, rows or between
    return NamedPlace(found["words"], columns or (0.0, 1.0), rows or (0.0, 1.0))


def _third(words: str, low: str, high: str) -> tuple[float, float] | None:
    if low in words and high not in words:
        return (0.0, 1 / 3 + SLACK)
    return (2 / 3 - SLACK, 1.0) if high in words and low not in words else None


def _plan(sentence: str, labels: list[str]) -> Intent:
    closer = bool(_CLOSER.search(sentence))
    whole, named_places = bool(_WHOLE.search(sentence) and _AGAIN.search(sentence)) and not closer, places(sentence)
    return Intent(
        whole=whole and not named_places,
        closer=closer,
        inside=bool(_INSIDE.search(sentence)),
        doubtful=supposes(sentence),
        places=named_places,
        names=labels_in(sentence, labels),
    )


def _sighting(sentence: str, labels: list[str]) -> Sighting | None:
    if supposes(sentence) or _ANSWER.search(sentence):
        return None
    certain = _UNSURE.sub("", _NO_DOUBT.sub("", sentence))
    clauses = [clause for clause in _CLAUSES.split(certain) if labels_in(clause, labels)]
    denials = {negates(clause) for clause in clauses}
    names = labels_in(certain, labels) if len(denials) == 1 else ()
    denied = denials == {True}
    nowhere = bool(_NOWHERE.search(certain))
    seen = bool(_SEEN.search(certain)) or denied
    sight = Sighting(
        text=sentence,
        names=names if seen else (),
        denied=(denied and bool(names)) or nowhere,
        clear=not _UNSURE.search(sentence) and bool(_CLEAR.search(certain)),
        last=bool(_HERE.search(certain)) or nowhere,
        whole=bool(_WHOLE.search(sentence) and _AGAIN.search(sentence)) and len(sentence.split()) <= SHORT,
        refused=bool(_REFUSED.search(sentence)),
        looked=bool(_LOOKED.search(sentence)) or nowhere,
    )
    says = sight.names or sight.denied or sight.whole or sight.refused or sight.looked
    return sight if says else None


def placed(thought: str, box: Box) -> str:
    """Returns a thought in which the places of announced looks are replaced by that of a box, such as "upper left".

    What `sentences` does not read stays as it is.
    """
    thought_end, beginning = LONGEST
    unread, read = thought[:-thought_end], thought[-thought_end:]
    parts = _BREAKS.split(read)
    spaces = [*_BREAKS.findall(read), ""]
    return unread + "".join(
        (_renamed(part[:beginning], place_of(box)) + part[beginning:] if announces(part[:beginning]) else part) + space
        for part, space in zip(parts, spaces, strict=True)
    )


def place_of(box: Box) -> str:
    """Names the ninth of the picture in which the middle of a box lies: "upper left", "middle", "right"."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    row, column = ("upper", "", "lower")[min(int(y * 3), 2)], ("left", "", "right")[min(int(x * 3), 2)]
    alone = {"upper": "top", "lower": "bottom"}
    return f"{row} {column}" if row and column else alone.get(row, row) or column or "middle"


def _renamed(sentence: str, words: str) -> str:
    """Replaces each place in a sentence, from the last to the first, so that positions stay valid."""
    for found in reversed(list(_PLACE.finditer(sentence))):
        if _place(sentence, found) is not None:
            start, end = found.span("words")
            sentence = sentence[:start] + words + sentence[end:]
    return sentence
