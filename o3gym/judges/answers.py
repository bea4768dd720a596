"""Reads answers: reduces free text to a plain text, a number, yes or no, or an option letter.

All functions are pure, accept any text, never raise, and take bounded time. `o3gym.judges.rules` compares their
results.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from o3gym.judges.polarity import polarity
from o3gym.latex import last_boxed

MAX_ANSWER = 10_000
"""Maximum number of characters read, taken from the end of an answer, where the final answer stands."""

_DASHES = str.maketrans(dict.fromkeys("−–—‒‐‑﹣－", "-"))
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
_TAGGED = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|bf)\s*\{([^{}]*)\}")
_STATEMENT = re.compile(r"\banswer\b\s*(?:is\b|:|=)\s*:?\s*", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:a|an|the) +(?=\S)")


def unwrap(answer: str) -> str:
    r"""The content of the last `<answer>` or `\boxed{}`, or of the whole text, without Markdown, LaTeX or outer space.

    Characters are normalised to their compatibility form (NFKC), so that full-width letters and digits are recognised.
    """
    # NFKC turns "1½" into "11⁄2" and "m²" into "m2", so both are rewritten first.
    text = re.sub(r"(\d)([¼-¾⅐-⅞])", r"\1 \2", answer[-MAX_ANSWER:])
    text = unicodedata.normalize("NFKC", text.replace("²", "^2").replace("³", "^3"))[-MAX_ANSWER:]
    tagged = _TAGGED.findall(text)
    text = tagged[-1] if tagged else text
    boxed = last_boxed(text)
    text = boxed.body if boxed else text
    text = _LATEX.sub(r"\1", text).translate(_QUOTES)
    text = re.sub(r"[*`]|(?<!\w)_+|_+(?!\w)", "", text).strip()
    return text[1:-1].strip() if len(text) > 2 and text[0] == text[-1] == "$" else text


def normalise(text: str) -> str:
    """`text` for comparison: case-folded, with single spaces and plain dashes, no outer punctuation or leading article.

    Text that consists of punctuation only keeps it.
    """
    plain = " ".join(text.casefold().translate(_DASHES).split())
    bare = plain.strip(" .,;:!?\"'()[]{}<>")
    return _ARTICLE.sub("", bare) or plain


def readings(answer: str) -> tuple[str, ...]:
    """The possible readings of `answer`: the unwrapped text, then the text after its last "answer is" or "answer:".

    That text comes twice: in full, and up to its first line break, full stop or semicolon.
    """
    whole = unwrap(answer)
    statements = list(_STATEMENT.finditer(whole))
    if not statements:
        return (whole,)
    tail = whole[statements[-1].end() :]
    return (whole, tail, re.split(r"\n|[.;] ", tail, maxsplit=1)[0])


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, such as "%", "$" or "kg"; "" if no unit was written."""

    value: float
    unit: str = ""


_MAX_NUMBER = 100
"""Maximum length of a number with its unit. Longer text is no number; the limit also bounds `_NUMBER`, which is
quadratic in digits."""
_SPELLED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_WORDS = {word: float(value) for value, word in enumerate(_SPELLED.split())}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "bn": 1e9, "mn": 1e6}
_LETTER_SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}
_UNITS = {"percent": "%", "pct": "%", "dollar": "$", "usd": "$", "us$": "$", "euro": "€", "eur": "€", "gbp": "£"}
_NO_UNIT = re.compile(r"\b(?:or|and|to|of|out|plus|minus|times|not|but|a|an|per|than)\b|^[/-]| -", re.IGNORECASE)
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?) ?(?P<currency>(?:us)?[$€£¥₹₩]?) ?(?P<inner>[-+]?)"
    rf"(?:(?P<whole>\d+ )?(?P<over>\d+) ?[/⁄] ?(?P<under>\d+)|(?P<digits>{_DIGITS})(?P<power>e[-+]?\d{{1,3}})?)"
    rf"(?![\d,]*\d)(?P<unit>.*)",
    re.IGNORECASE,
)
_UNIT = re.compile(r"(?:[^\W\d_]|[%°'\"$€£¥₹₩/.^-]|(?<=[A-Za-z^])[23]| (?! ))*")


def quantity(text: str) -> Quantity | None:
    """Parses `text` as a single number; None if it is anything else (a sentence, a date, two numbers).

    Supported are thousands separators (comma or space), decimals, exponents, fractions ("3/4", "1 ½"), signs (including
    the Unicode minus), currencies, per cent, trailing units of at most two words, scales ("2.5 million", "5k") and the
    words "zero" to "twenty". A decimal comma is not supported, because "1,5" could be a list.
    """
    plain = " ".join(text.translate(_DASHES).split()).rstrip(".")
    if len(plain) > _MAX_NUMBER:
        return None
    spelled, _, rest = plain.partition(" ")
    if spelled.lower() in _WORDS:
        return _with_unit(_WORDS[spelled.lower()], rest)
    match = _NUMBER.fullmatch(plain)
    if match is None:
        return None
    unit = match["unit"] or match["currency"]
    return _with_unit(_value(match) * (-1 if "-" in (match["sign"], match["inner"]) else 1), unit, match["currency"])


def _value(match: re.Match[str]) -> float:
    if match["over"] is None:
        return float(match["digits"].replace(",", "").replace(" ", "") + (match["power"] or ""))
    under = float(match["under"])
    return float(match["whole"] or 0) + float(match["over"]) / under if under else math.nan


def _with_unit(value: float, unit: str, currency: str = "") -> Quantity | None:
    unit = unit.strip()
    words = unit.split()
    if words and words[0].lower() in _SCALES:
        value *= _SCALES[words.pop(0).lower()]
    elif words and words[0] in _LETTER_SCALES:
        value *= _LETTER_SCALES[words.pop(0)]
    bad = len(unit) > 24 or len(words) > 2 or _NO_UNIT.search(unit.replace("per cent", "%"))
    if bad or not _UNIT.fullmatch(unit) or not math.isfinite(value):
        return None
    name = " ".join(words).casefold().replace("per cent", "%").rstrip(".") or currency.casefold()
    return Quantity(value, _UNITS.get(name.removesuffix("s"), _UNITS.get(name, name)))


# ── yes or no ───────────────────────────────────────────────────────────────────────────────────────────────────────


def read_yes_no(answer: str) -> str:
    """The "yes" or "no" of the first reading that has one, see `o3gym.judges.polarity`; "" if there is none."""
    return next(filter(None, map(polarity, readings(answer))), "")


# ── option letters ──────────────────────────────────────────────────────────────────────────────────────────────────

_LONE = re.compile(r"[(\[{<\"' ]*([A-Za-z])[)\]}>\"'.:,;! ]*")
_MENTION = re.compile(
    r"(?<![A-Za-zÀ-ɏ0-9_'.°#@-])(?<!\w\\)(?P<open>[(\[{<\"']?)(?P<letter>[A-Za-z])"
    r"(?![A-Za-zÀ-ɏ0-9_#°@-]|'\w|\.[A-Za-z](?![A-Za-z])|\+\+|\+\s*$|:[\\/])"
)
_LABELLED = "(?:Option|Answer|Choice|Letter|Image|Picture|Photo|Figure|Panel|Diagram|Chart|Graph|Map)s?"
"""Capitalised words before the letter of an option."""
_NAMED_THING = re.compile(
    r"(?:\d|\b(?i:apartment|bay|block|building|bus|channel|chord|class|column|cup|deck|dock|drive|entrance|exhibit|exit|"
    r"flight|formula|gate|grade|group|hall|hepatitis|highway|lane|level|line|lot|model|note|pier|plan|platform|plot|point|"
    r"room|route|row|schedule|section|seat|serie|series|size|stage|street|tab|team|terminal|tower|track|train|type|unit|"
    rf"version|vitamin|wing|zone)s?|(?<=[a-z,] )(?!(?:{_LABELLED})\b)[A-Z][a-z]+)\s+$"
)
"""Matches the words before a letter that belongs to a name or a quantity: "vitamin C", "at Gate B", "about 5 A"."""
_DELIMITED = re.compile(r"[)\]}>\"']*\s*(?:$|[.,:;)!?/&+\n-])")
_LISTED = re.compile(r"[)\]}>\"']*\s+([A-Z])(?!\w)")
_AFTER_LETTER = re.compile(
    r"\s+(?:or|and|is|was|are|because|since|as|but|for|with|seems|looks|matches|appears|would|should|could|has)\b"
)
_DENIED_BEFORE = re.compile(
    r"(?:\bnot|\bcannot|n't|\bneither|\bnor|\bthan|\bexcept|\bexcludes?|\beliminates?|\brejects?|\brules? out)\s+"
    r"(?:be\s+)?(?:the\s+)?(?:option|choice|letter|answer)?\s*$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"[)\]}>\"']*\s+(?:isn't|(?:is|are|was|seems|looks)\s+(?:clearly\s+)?(?:not|wrong|incorrect|false))\b",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"\b(?:answers?|options?|choices?|letters?|pick|choose|select|go with)[\s:=\"'>-]*"
    r"(?:(?:is|are|was|would be|should be|must be|will be)\b[\s:=\"'>-]*)?"
    r"(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:(?:option|choice|letter|answer)\b)?[\s:=\"'>-]*$",
    re.IGNORECASE,
)
_CHAIN = re.compile(r"[)\]}>\"']*\s*(?:,|/|&|\+|,?\s*\bor\b|,?\s*\band\b)?\s*(?:option|choice)?\s*", re.IGNORECASE)
_ITEM = re.compile(r"[)\]}>\"']*[.:)]\s*\S|[)\]}]\s+\S")
_NEAR = 60
"""Number of characters around a letter that are searched for cues ("the answer is …") and denials ("… is wrong")."""


def read_letter(answer: str, letters: str, choices: Sequence[str] = ()) -> tuple[str, str]:
    """The option that `answer` names, as (letter, ""), or ("", reason) if it names none or several.

    The following forms are tried in this order: a lone letter; the text of exactly one option; a stated letter
    ("answer: B", "option C"); a letter at the start ("B. blue"); an option's text after "the answer is"; the only
    letter that is a word of its own. If two options are "yes" and "no", or "true" and "false", synonyms count before
    that last form. An "A" before prose is an article and an "I" a pronoun; "not B" and "B is wrong" name nothing. Two
    different letters at the same level are ambiguous, and so is "B. red" if red is option A. Letters inside words,
    abbreviations and names never count: "N/A", "R&D", "C++", "20 °C", "vitamin C".
    """
    texts = readings(answer)
    if not texts[0]:
        return "", "no answer"
    lone = _LONE.fullmatch(texts[0])
    if lone and lone[1].upper() in letters:
        return lone[1].upper(), ""
    named = mentions(texts[0], letters)
    stated, lead, loose = ({letter for letter, firm in named if firm >= level} for level in (2, 1, 0))
    if lead:
        lead |= _named([texts[0].partition(" ")[2]], letters, choices)
    exact, later = (_named(some, letters, choices) for some in (texts[:1], texts[1:]))
    for found in (exact, stated, lead, later, _agreed(answer, letters, choices), loose):
        if len(found) == 1:
            return found.pop(), ""
        if found:
            return "", f"ambiguous: names {', '.join(sorted(found))}"
    return "", f"names none of the options {letters}"


def _named(texts: Collection[str], letters: str, choices: Sequence[str]) -> set[str]:
    """The letters of all options whose whole text equals one of `texts`."""
    wanted = {normalise(text) for text in texts}
    return {letter for letter, choice in zip(letters, choices, strict=False) if normalise(unwrap(choice)) in wanted}


def _agreed(answer: str, letters: str, choices: Sequence[str]) -> set[str]:
    """The letter of the option "yes" or "true", or "no" or "false", whichever `answer` means, if both are options."""
    sides = {letter: normalise(unwrap(choice)) for letter, choice in zip(letters, choices, strict=False)}
    pair = next((pair for pair in (("yes", "no"), ("true", "false")) if set(pair) <= set(sides.values())), None)
    read = read_yes_no(answer)
    if pair is None or not read:
        return set()
    return {letter for letter, side in sides.items() if side == pair[read == "no"]}


def mentions(text: str, letters: str) -> list[tuple[str, int]]:
    """The letters that are words of their own, each with a level that says how clearly it is meant as the answer.

    Level 2 is a statement ("the answer is B"); level 1 is a letter at the start ("B. blue"), or a later item of a list
    that starts with one; level 0 is a letter anywhere else. A letter joined to another one ("B or C", "(B) (C)") has
    at least the level of that letter.
    """
    found: list[tuple[str, int]] = []
    end, firm, listed, name_end = 0, 0, False, -1
    for match in _MENTION.finditer(text):
        before, after = text[: match.start()], text[match.end() :][:_NEAR]
        start, near, delimited = not before.strip(), before[-_NEAR:], bool(_DELIMITED.match(after))
        cue = bool(_CUE.search(near))
        if match["letter"].upper() not in letters or not _is_letter(match, after, delimited, cue or start, letters):
            continue
        if _DENIED_BEFORE.search(near) or _DENIED_AFTER.match(after) or _is_abbreviation(near, after, letters):
            continue
        in_list = name_end >= 0 and bool(_CHAIN.fullmatch(text[name_end : match.start()]))
        if in_list or (not cue and _NAMED_THING.search(near)):
            name_end = match.end()
            continue
        listed = listed or (start and delimited)
        link = text[end : match.start()]
        joined = bool(found) and bool(_CHAIN.fullmatch(link.replace(".", "") if delimited else link))
        item = listed and (start or bool(_ITEM.match(after)))
        firm = max(2 * cue, firm * joined, int(item))
        found.append((match["letter"].upper(), firm))
        end = match.end()
    return found


_SIGN_BEFORE = re.compile(r"(?<!\w)(\w{1,2})\s?[/&]\s?$|\w[/&]$")
_SIGN_AFTER = re.compile(r"\s?[/&]\s?(\w)(?!\w)")


def _is_abbreviation(before: str, after: str, letters: str) -> bool:
    """Whether a letter is joined by "/" or "&" to something that is no option letter: "N/A", "R&D", "24/B"."""
    if not {"/", "&"} & set(before[-2:] + after[:2]):
        return False
    first, second = _SIGN_BEFORE.search(before), _SIGN_AFTER.match(after)
    others = [(match[1] or "").upper() for match in (first, second) if match]
    return any(other not in letters or not other for other in others)


def _is_letter(match: re.Match[str], after: str, delimited: bool, cue: bool, letters: str) -> bool:
    """Whether a single letter is meant as an option letter and not as an article, a pronoun or a lower-case word."""
    letter = match["letter"]
    closed = bool(match["open"]) and after[:1] in tuple(")]}>\"'")
    if closed or letter not in ("A", "I"):
        return letter.isupper() or closed or (cue and delimited)
    listed = _LISTED.match(after)
    follows = (listed is not None and listed[1] in letters) or (letter == "A" and bool(_AFTER_LETTER.match(after)))
    return delimited or follows
