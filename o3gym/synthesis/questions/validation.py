"""Flaws of a proposal that rules can find: pure functions of text.

The rules make those of InSight-o3's prompts exact (arXiv 2512.18745, appendix E.2). In the paper the prompts asked the
writer to keep them, and people looked for violations.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from decimal import Decimal

from o3gym.synthesis.questions.notes import PAGE, Note
from o3gym.synthesis.questions.proposals import OPTION_LETTERS, Proposal

NO_RIGHT_CHOICE = "No right choice"
"""Option F (paper)."""
FEWEST = 2
"""Minimum number of layouts that a question needs (paper)."""
LONGEST_QUESTION, LONGEST_OPTION, LONGEST_EXPLANATION = 1_500, 300, 6_000
"""Maximum characters (ours): several times what is needed."""

_NUMBER = re.compile(r"\d{1,30}(?:,\d{3}){0,9}(?:\.\d{1,30})?")
_QUOTED = re.compile('["“„«]([^"“”„«»]{1,300})["”“»]')
_META = re.compile(r"(all|none|both|neither|either|any) of (the )?(above|options|other|others|these|choices)\b.*")
_OF_LAYOUTS = re.compile(r"\b(layout(?:s|_id)?|regions?|crop(?:s|ped)?|panels?|box(?:es)?)\b")


def normal(text: str) -> str:
    """Normalises a text for comparison: case, white space, dashes, outer punctuation and the format of numbers.

    "1,200.0 km." equals "1200 KM", "38.9%" equals "38.90 %", and "5" differs from "-5".
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_PLAIN)
    numbers = _NUMBER.sub(lambda found: _number(found[0]), folded)
    words = re.sub(r"\s+(?=%)", "", " ".join(numbers.split()))
    return words.strip(" .,;:!?\"'()[]")


_PLAIN = str.maketrans({"–": "-", "—": "-", "−": "-", "‐": "-", "’": "'", "‘": "'", "“": '"', "”": '"'})


def _number(text: str) -> str:
    return f"{Decimal(text.replace(',', '')).normalize():f}"


def structural_flaw(proposal: Proposal, ids: Collection[str]) -> str:
    """Returns the first flaw in the form of a question as a short text, by which flaws are counted; "" if it has none.

    Args:
        proposal: the question.
        ids: ids of the layouts that it may cite.
    """
    options = tuple(map(normal, proposal.options))
    if not proposal.question:
        return "no question"
    if len(options) != len(OPTION_LETTERS) or not all(options):
        return "not six options"
    if options[-1] != normal(NO_RIGHT_CHOICE):
        return 'F is not "No right choice"'
    if len(set(options)) < len(options):
        return "options that are alike"
    if any(map(_META.fullmatch, options)):
        return "an option about other options"
    if len(proposal.answer) != 1 or proposal.answer not in OPTION_LETTERS:
        return "not exactly one right option"
    if _too_long(proposal):
        return "too long"
    return _citing_flaw(proposal, ids)


def _too_long(proposal: Proposal) -> bool:
    return (
        len(proposal.question) > LONGEST_QUESTION
        or max(map(len, proposal.options)) > LONGEST_OPTION
        or len(proposal.explanation) > LONGEST_EXPLANATION
    )


def _citing_flaw(proposal: Proposal, ids: Collection[str]) -> str:
    if any(one not in ids for one in proposal.layouts):
        return "cites a layout that is not there"
    return "" if len(proposal.layouts) >= FEWEST else "fewer than two layouts cited"


def wording_flaw(proposal: Proposal, notes: Mapping[str, Note]) -> str:
    """Returns the first label of a question that is not in its picture as a flaw, or "". Its form must have no flaw.

    A label in double quotes in the question must occur letter for letter, up to white space, in the note of a cited
    layout or of the whole picture. A label in quotes in an option, and a whole option without quotes and digits, must
    occur in the note of any layout or of the whole picture, because wrong options come from elsewhere in it. Options
    with digits may be calculated.

    Args:
        proposal: the question.
        notes: the notes by layout id; the note of the whole picture is under `PAGE`.
    """
    near = _joined(notes, (PAGE, *proposal.layouts))
    anywhere = _joined(notes, notes)
    if any(_spaced(label) not in near for label in _QUOTED.findall(proposal.question)):
        return "a label of the question that is not in the notes of what it cites"
    if any(_spaced(label) not in anywhere for option in proposal.options[:-1] for label in _labels(option)):
        return "a label of an option that is not in the notes"
    return _layout_words(proposal, notes)


def _labels(option: str) -> list[str]:
    quoted: list[str] = _QUOTED.findall(option)
    return quoted or ([] if any(map(str.isdigit, option)) else [option.rstrip(".")])


def _layout_words(proposal: Proposal, notes: Mapping[str, Note]) -> str:
    """Finds words for layouts, which solvers cannot know of, unless the picture itself has those words."""
    in_picture = _layout_stems("\n".join(note.text for note in notes.values()))
    in_question = _layout_stems("\n".join((proposal.question, *proposal.options)))
    return "speaks of layouts" if in_question - in_picture else ""


def _layout_stems(text: str) -> set[str]:
    """Returns the words for layouts in a text by their first three letters, so that "box" equals "boxes"."""
    return {found[:3] for found in _OF_LAYOUTS.findall(text.casefold())}


def _joined(notes: Mapping[str, Note], ids: Collection[str]) -> str:
    return "\n\n".join(_spaced(notes[one].words) for one in ids)


def _spaced(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
