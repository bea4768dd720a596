"""Judges that reproduce released scoring code, flaws included; a suite uses them with `scoring=official`.

A published number can only be reproduced with the rule that produced it. None of these judges is a default. Each one
gets the answer that the dialect extracted, whereas most released code scores the whole reply.
"""

from __future__ import annotations

import re

from o3gym.judges.base import Judgement, decided, failed, has_truth, references
from o3gym.types import Box, Task

PREFIXES = ("The best answer is", "The correct answer is", "The answer is", "The answer")
"""Phrases that are removed wherever they occur.

The released list has four more entries, which missing commas join pairwise into two strings.
"""


def first_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the first character A to E anywhere in the answer: "A man …", "" and "a" are all A, and "Blue" is B.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme_realworld/utils.py, `extract_characters_regex`.
    """
    if not task.answer or not has_truth(task):
        return failed(f"task {task.id} has no right option")
    text = answer.strip()
    for prefix in PREFIXES:
        text = text.replace(prefix, "")
    found = re.search("[ABCDE]", text)
    if found:
        return decided(found[0] == task.answer, f"option {found[0]}")
    # The released code tests whether the answer is a substring of "(a)", so an empty answer is read as A.
    within = next((letter for letter in "ABCDE" if text.lower() in f"({letter.lower()})"), "")
    letter = within if len(text.split()) <= 10 else ""
    return decided(letter == task.answer, f"option {letter}" if letter else "no letter")


def leading_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the first letter, optionally after "(", "option " or "the answer is ": "Bananas" is B, "Answer: B" is A.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mmstar/utils.py, `exact_match`, taken from MMStar's own code.
    """
    if not task.answer or not has_truth(task):
        return failed(f"task {task.id} has no right option")
    text, right = answer.lower().strip().replace("\n", " "), task.answer.lower()
    starts = [len(lead) for lead in ("", "(", "option ", "the answer is ") if text.startswith(lead)]
    return decided(any(text[at : at + 1] == right for at in starts))


def yes_no_prefix(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads a "yes", or else a "no", within the first four characters: "Not sure" is no, "I say yes" is neither.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, `parse_pred_ans`.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    text = answer.lower().strip().replace(".", "")
    if len(text) == 1:
        found = {"y": "yes", "n": "no"}.get(text, "")
    else:
        found = next((word for word in ("yes", "no") if word in text[:4]), "")
    return decided(found == task.answer.lower(), found or "neither yes nor no")


def verbatim(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Correct if the answer equals an accepted one up to case and outer space: "Yes, there is." and "(B)" are wrong.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/pope/utils.py; Haochen-Wang409/TreeVGR, the letter of TreeBench.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    return decided(answer.strip().lower() in {reference.strip().lower() for reference in references(task)})
