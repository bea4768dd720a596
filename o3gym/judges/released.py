"""Judges that reproduce released scoring code, flaws included; a suite uses them with `scoring=OWNER`.

A published number can only be reproduced with the rule that produced it. None of these judges is a default. Each one
gets the answer that the dialect extracted, whereas most released code scores the whole reply. Each judge names the
owner, the version or commit and the file of the code that it reproduces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from o3gym.judges.base import Judgement, decided, failed, has_truth, references
from o3gym.judges.rules import ANLS_THRESHOLD, RELAXED_TOLERANCE, edit_distance
from o3gym.types import Box, Task

AUTHORS_PREFIXES = ("The best answer is", "The correct answer is", "The answer is", "The answer")
"""Phrases that MME-RealWorld's authors remove wherever they occur.

Their list has four more entries, which missing commas join pairwise into two strings that no answer contains.
"""
PREFIXES = (*AUTHORS_PREFIXES, "The best option is", "The correct option is", "Best answer:", "Best option:")
"""Phrases that lmms-eval removes, where the commas have been added."""
_NO_LETTER = 10
"""Maximum number of words of an answer without a capital from A to E that may still be read as an option."""

_PHRASES = (
    *("the answer is", "answer is", "the correct answer is", "correct answer is", "the best answer is"),
    *("best answer is", "the correct option is", "correct option is", "the best option is", "best option is"),
    *("the choice is", "choice is", "the correct choice is", "correct choice is", "i choose", "i select", "i pick"),
    *("my answer is", "my choice is", "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)
_FORMS = ((6, "({})"), (5, "{}."), (4, "{}:"), (3, "{})"), (2, "{} "))
_START, _END, _AFTER_PHRASE, _ANYWHERE = 10, 9, 7, 0
_LONGEST = 500
"""Maximum length of an accepted answer whose edit distance is computed; the cost is the product of both lengths."""


# ── option letters ──────────────────────────────────────────────────────────────────────────────────────────────────


def first_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the first character A to E anywhere in the answer: "A man …", "" and "a" are all A, and "Blue" is B.

    An answer of at most ten words without such a character is the first option that contains it, letter included.
    Source: yfzhang114/MME-RealWorld@11af66f, evaluation/eval_your_results.py, `extract_characters_regex`.
    """
    options = [f"({letter}) {choice}" for letter, choice in zip(task.letters, task.choices, strict=True)]
    return _letter(task, _first_capital(answer, AUTHORS_PREFIXES, options or _bare()))


def first_bare_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the first character A to E as `first_letter` does, but after more phrases, and never an option's text.

    An answer of at most ten words without such a character is A if it is part of "(a)", and so on. Source:
    EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/mme_realworld/utils.py, `extract_characters_regex`.
    """
    return _letter(task, _first_capital(answer, PREFIXES, _bare()))


def _bare() -> list[str]:
    return [f"({letter})" for letter in "ABCDE"]


def _first_capital(answer: str, prefixes: Sequence[str], options: Sequence[str]) -> str:
    text = answer.strip()
    for prefix in prefixes:
        text = text.replace(prefix, "")
    found = re.search("[ABCDE]", text)
    if found:
        return found[0]
    if len(text.split()) > _NO_LETTER:
        return ""
    # Whether the answer is part of an option; an empty answer is part of the first one.
    return next((option[1] for option in options if text.lower() in option.lower()), "")


def leading_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the first letter, optionally after "(", "option " or "the answer is ": "Bananas" is B, "Answer: B" is A.

    Source: MMStar-Benchmark/MMStar@79e6d1c, eval/vlmeval/evaluate/mmstar.py.
    """
    if not task.answer or not has_truth(task):
        return failed(f"task {task.id} has no right option")
    text, right = answer.lower().strip().replace("\n", " "), task.answer.lower()
    starts = [len(lead) for lead in ("", "(", "option ", "the answer is ") if text.startswith(lead)]
    return decided(any(text[at : at + 1] == right for at in starts))


def ranked_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the capital A to D in the best form: at the start, at the end, after a phrase, as "(A)", "A.", and so on.

    Of two letters in the same form, the later one counts. A letter at the start or the end only counts if no other
    letter touches it, but "A " and a letter after "the answer is" may belong to a word; if there is no form at all, any
    capital counts. "A man holds it, so (B)" is A, "Bananas" B, and "the answer is the Dog" D. Source:
    EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/_task_utils/mcq_extract.py, which MMStar uses with these letters.
    (Its repository has since replaced this rule by a stricter one, commit 00a12d4, which is in no release.)
    """
    found = list(_ranked(answer, "ABCD"))
    return _letter(task, max(found, key=lambda one: one[:2])[2] if found else "")


def _ranked(answer: str, letters: str) -> Iterator[tuple[int, int, str]]:
    """All readings of `answer` as (rank of the form, position, letter)."""
    bare = answer.strip()
    for mark in ",.!?;:'\"":
        bare = bare.strip(mark)
    text = f" {bare} "
    forms = [(rank, text.rfind(form.format(letter)), letter) for rank, form in _FORMS for letter in letters]
    forms += [
        (_AFTER_PHRASE, at, letter)
        for start in _after_phrases(text)
        for letter in letters
        for at in [text.find(letter, start)]
    ]
    forms += _at_the_ends(text.strip(), len(text) - 1, letters)
    forms = [form for form in forms if form[1] >= 0]
    yield from forms or [(_ANYWHERE, text.rfind(letter), letter) for letter in letters if letter in text]


def _after_phrases(text: str) -> list[int]:
    lowered = text.lower()
    places = [(lowered.find(phrase), phrase) for phrase in _PHRASES]
    return [at + len(phrase) for at, phrase in places if at >= 0]


def _at_the_ends(text: str, last: int, letters: str) -> list[tuple[int, int, str]]:
    found = []
    if text[:1] in letters and text and not text[1:2].isalpha():
        found.append((_START, 0, text[0]))
    if text[-1:] in letters and text and not text[-2:-1].isalpha():
        found.append((_END, last, text[-1]))
    return found


def _letter(task: Task, letter: str) -> Judgement:
    if not task.answer or not has_truth(task):
        return failed(f"task {task.id} has no right option")
    return decided(letter == task.answer, f"option {letter}" if letter else "no letter")


# ── yes or no ───────────────────────────────────────────────────────────────────────────────────────────────────────


def yes_no_prefix(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads a "yes", or else a "no", within the first four characters: "Not sure" is no, "I say yes" is neither.

    Source: EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/mme/utils.py, `parse_pred_ans`.
    """
    text = answer.lower().strip().replace(".", "")
    if len(text) == 1:
        found = {"y": "yes", "n": "no"}.get(text, "")
    else:
        found = next((word for word in ("yes", "no") if word in text[:4]), "")
    return _yes_or_no(task, found)


def yes_unless_no(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads no if the first sentence has the word "No", "no" or "not", and otherwise yes, even for an empty answer.

    Source: AoiDragon/POPE@f3ec604, evaluate.py.
    """
    return _yes_or_no(task, read_unless_no(answer))


def read_unless_no(answer: str) -> str:
    """The "yes" or "no" that POPE's authors read; only spaces end a word, so "No!" and "NO" are yes."""
    words = answer.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


def _yes_or_no(task: Task, read: str) -> Judgement:
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    return decided(read == task.answer.lower(), read or "neither yes nor no")


# ── texts and numbers ───────────────────────────────────────────────────────────────────────────────────────────────


def verbatim(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Correct if the answer equals an accepted one up to case and outer space: "Yes, there is." and "(B)" are wrong.

    Source: EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/pope/utils.py; and the letter of TreeBench in
    Haochen-Wang409/TreeVGR@4823ad8, inference_treebench.py.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    return decided(answer.strip().lower() in {reference.strip().lower() for reference in references(task)})


def relaxed_verbatim(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """ChartQA's relaxed accuracy of an answer that is nothing but a number; other answers must equal the right one.

    "5%" is 0.05. "$5", "5 people" and "1,000" are no numbers, and a text must be equal up to case alone, so "blue." is
    wrong. A right answer of 0 is compared as a text. Source: EvolvingLMMs-Lab/lmms-eval 0.7.3,
    lmms_eval/tasks/chartqa/utils.py, `relaxed_correctness`.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    return decided(any(_relaxed_match(answer, reference) for reference in references(task)))


def _relaxed_match(answer: str, reference: str) -> bool:
    guess, truth = _plain_number(answer), _plain_number(reference)
    if guess is None or not truth:
        return answer.lower() == reference.lower()
    return abs(guess - truth) / abs(truth) <= RELAXED_TOLERANCE


def _plain_number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def anls_verbatim(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """ANLS of the answer as it stands: a similarity of exactly 0.5 counts as 0.5, and nothing is unwrapped.

    Distances are between texts in lower case with single spaces, but lengths are those of the texts as written. An
    accepted answer of more than 500 characters must be equal. Sources: the script of the challenge on Infographics VQA,
    as copied in QwenLM/Qwen-VL@e6bbb9d, eval_mm/infographicsvqa_eval.py; EvolvingLMMs-Lab/lmms-eval 0.7.3,
    lmms_eval/api/metrics.py, `anls`.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    score = max(_likeness(answer, reference) for reference in references(task))
    score = score if score >= ANLS_THRESHOLD else 0.0
    return Judgement("correct" if score else "wrong", score)


def _likeness(answer: str, reference: str) -> float:
    said, right = (" ".join(text.lower().split()) for text in (answer, reference))
    longer = max(len(answer), len(reference))
    # The distance is at least the difference in length, so that an answer that is far too long costs nothing.
    if abs(len(said) - len(right)) > ANLS_THRESHOLD * longer or len(right) > _LONGEST:
        return float(said == right)
    return max(0.0, 1 - edit_distance(said, right) / longer)
