"""Rules by which released code scores answers, with their flaws: what `scoring=official` of a suite uses.

A published number can only be met with the rule that made it. None of these is the default anywhere. Each sees the
answer that the dialect took from the reply, where most of the released code sees the whole reply.
"""

from __future__ import annotations

import re

from o3gym.judges.base import Judgement, decided, failed, has_truth, references
from o3gym.types import Box, Task

PREFIXES = ("The best answer is", "The correct answer is", "The answer is", "The answer")
"""Taken off wherever they stand. The released list has four more, which are two by two one text for want of a comma."""


def first_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """The first of the characters A to E anywhere, so that "A man …" is A; "" and "a" are A too, and "Blue" is B.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme_realworld/utils.py, `extract_characters_regex`.
    """
    if not task.answer or not has_truth(task):
        return failed(f"task {task.id} has no right option")
    said = answer.strip()
    for prefix in PREFIXES:
        said = said.replace(prefix, "")
    found = re.search("[ABCDE]", said)
    if found:
        return decided(found[0] == task.answer, f"option {found[0]}")
    within = next((letter for letter in "ABCDE" if said.lower() in f"({letter.lower()})"), "")
    read = within if len(said.split()) <= 10 else ""
    return decided(read == task.answer, f"option {read}" if read else "no letter")


def leading_letter(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """The letter at the very start, after "(", "option " or "the answer is ": "Bananas" is B, "Answer: B" is A.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mmstar/utils.py, `exact_match`, which is MMStar's own.
    """
    if not task.answer or not has_truth(task):
        return failed(f"task {task.id} has no right option")
    said, right = answer.lower().strip().replace("\n", " "), task.answer.lower()
    starts = [len(lead) for lead in ("", "(", "option ", "the answer is ") if said.startswith(lead)]
    return decided(any(said[at : at + 1] == right for at in starts))


def yes_no_prefix(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """A "yes", or else a "no", within the first four characters: "Not sure" is no, "I say yes" is neither.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, `parse_pred_ans`.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    said = answer.lower().strip().replace(".", "")
    if len(said) == 1:
        read = {"y": "yes", "n": "no"}.get(said, "")
    else:
        read = next((word for word in ("yes", "no") if word in said[:4]), "")
    return decided(read == task.answer.lower(), read or "neither yes nor no")


def verbatim(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Nothing but the right answer, up to case and outer space: "Yes, there is." and "(B)" are wrong.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/pope/utils.py; Haochen-Wang409/TreeVGR, the letter of TreeBench.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    return decided(answer.strip().lower() in {reference.strip().lower() for reference in references(task)})
