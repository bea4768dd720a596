"""Judges of MathVista (Lu et al. 2023), whose answers are options, whole numbers, decimals and lists.

The published numbers come from a model that extracts the answer from the reply, and a rule that compares the extraction
with the right answer. Here the answer that the dialect extracted stands for the model's extraction.

A task states the form of its answer in `Task.origin`: `answer_type` ("text", "integer", "float" or "list") and, for a
decimal number, `precision`, the number of decimal places.
"""

from __future__ import annotations

import re

from o3gym.judges.answers import MAX_ANSWER, normalise, quantity, readings, unwrap
from o3gym.judges.base import Judgement, decided, failed, has_truth, references
from o3gym.judges.rules import choice, edit_distance, exact, numeric
from o3gym.types import Box, Task

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_SEPARATOR = re.compile(r",|;|\band\b")
_LETTER = re.compile(r"\(([a-zA-Z])\)")


def mathvista(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Compares options by letter, texts as `exact` does, numbers as `numeric` does, and lists item by item.

    A decimal number may also equal the right one after rounding to the task's precision. A list may stand without
    brackets; its items must be in order.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    if task.kind == "choice":
        return choice(task, answer)
    verdict = exact(task, answer)
    if verdict.verdict == "correct":
        return verdict
    form = task.origin.get("answer_type")
    if form == "list":
        return decided(any(_items(text) == _items(task.answer) for text in readings(answer)))
    if form == "float" and _rounded(task.answer, task) in {_rounded(text, task) for text in readings(answer)} - {None}:
        return decided(True, "equal after rounding")
    return numeric(task, answer) if form in ("integer", "float") else verdict


def _items(text: str) -> list[str]:
    """The items of the last list in brackets, or of the whole text; numbers in one notation."""
    found = _BRACKETS.findall(text)
    items = [item.strip(" '\"") for item in _SEPARATOR.split(found[-1] if found else text)]
    numbers = [quantity(item) for item in items]
    return [
        normalise(item) if number is None else repr(number.value) for item, number in zip(items, numbers, strict=True)
    ]


def _rounded(text: str, task: Task) -> float | None:
    number = quantity(unwrap(text))
    return None if number is None else round(number.value, _precision(task))


def _precision(task: Task) -> int:
    precision = task.origin.get("precision")
    return int(precision) if isinstance(precision, (int, float)) else 0


def mathvista_released(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Compares as MathVista's code does after the extraction: the extraction must be the bare answer.

    A choice is the first letter in parentheses, a lone capital letter, or else the option with the smallest edit
    distance to the answer, so that no answer is without an option: "" is the shortest option. A number must be one that
    Python reads, so "3 apples" is wrong, and a whole number is cut off, so "3.9" is 3. A list must be written as the
    right one is, including its spaces.

    Source: lupantech/MathVista@2a249bb, evaluation/calculate_score.py, `normalize_extracted_answer`.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    text = answer[-MAX_ANSWER:].strip()
    if task.kind == "choice":
        letter = _closest_option(text, task)
        return decided(letter == task.answer, f"option {letter}")
    form = task.origin.get("answer_type")
    try:
        if form == "integer":
            text = str(int(float(text)))
        elif form == "float":
            text = str(round(float(text), _precision(task)))
    except (ValueError, OverflowError):
        return decided(False, "not a number")
    return decided(text == task.answer.strip())


def _closest_option(text: str, task: Task) -> str:
    if text in task.choices:
        return task.letters[task.choices.index(text)]
    found = _LETTER.search(text)
    text = found[1].upper() if found else text
    if len(text) == 1 and text in task.letters:
        return text
    distances = [edit_distance(text, option) for option in task.choices]
    return task.letters[distances.index(min(distances))] if distances else ""
