"""Judges of ChartQAPro (Masry et al. 2025): relaxed accuracy over numbers, years, texts and lists.

A task states in `Task.origin` how its answer is compared: `exact` (a choice or the check of a fact) and `years`, a list
of "YES" or "NO" for each item of the answer, where "YES" marks a year. Scores are graded: a list scores the mean over
its items, and a text its similarity. An answer with at least half of the score is correct; the suite's measure reports
the mean score, which is the published metric.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from o3gym.judges.answers import MAX_ANSWER, normalise, quantity, read_letter, readings
from o3gym.judges.base import Judgement, failed, has_truth, references
from o3gym.judges.rules import similarity
from o3gym.types import LETTERS, Box, Task

TOLERANCE = 0.05
"""Relative tolerance of numbers."""
CORRECT_SCORE = 0.5
"""Minimum score of a correct answer. Ours; the published metric is the mean score."""
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_UNQUOTED = re.compile(r"(?<!['\w])(\w[^,]*?)(?!['\w])")


def chartqapro(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Scores each item of the answer: 1 or 0 for a number within 5%, a year or an exact answer, else ANLS.

    The best reading of the answer counts. A missing or superfluous item of a list scores 0. Per cent signs are ignored.
    If the right answer is a list in brackets, the answer is read as one, with or without brackets.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    if task.origin.get("exact") and len(task.answer) == 1 and task.answer.upper() in LETTERS:
        return _graded(float(read_letter(answer, LETTERS)[0] == task.answer.upper()))
    listed = _BRACKETS.fullmatch(task.answer.strip()) is not None
    truths = _items(task.answer, listed)
    compare = _same if task.origin.get("exact") else _relaxed_item
    scores = [_mean(truths, _items(text, listed), _flags(task), _same, compare) for text in readings(answer)]
    return _graded(max(scores))


def chartqapro_released(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Scores as ChartQAPro's code does: the whole answer is compared, so "The answer is 7" is not 7.

    Only an answer that is a Python list is a list: "[a, b]" without quotes is a text, and a right answer without quotes
    loses the spaces in its items. Choices and the checks of facts are compared like any text, so "Flase" scores 0.6 for
    "False"; the code means to compare them exactly, but does not pass that on.

    Source: vis-nlp/ChartQAPro@8911d1b, evaluate_predictions.py; the package anls 0.0.2.
    """
    return _by_released_code(task, answer, _relaxed_text)


def chartqapro_harness(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Scores as `chartqapro_released` does, but compares choices and the checks of facts exactly, up to case.

    Source: EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/chartqapro/utils.py.
    """
    return _by_released_code(task, answer.strip(), _same_text if task.origin.get("exact") else _relaxed_text)


def _by_released_code(task: Task, answer: str, compare: Callable[[str, str], float]) -> Judgement:
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    truth, said = (text.strip(".").strip("\n") for text in (task.answer, answer[-MAX_ANSWER:]))
    truths = _python_list(str(_quoted_items(truth))) or [truth]
    return _graded(_mean(truths, _python_list(said) or [said], _flags(task), _same_text, compare))


def _graded(score: float) -> Judgement:
    return Judgement("correct" if score >= CORRECT_SCORE else "wrong", score)


def _flags(task: Task) -> list[str]:
    years = task.origin.get("years")
    return [str(flag) for flag in years] if isinstance(years, (list, tuple)) else []


def _mean(
    truths: Sequence[str],
    found: Sequence[str],
    flags: Sequence[str],
    year: Callable[[str, str], float],
    other: Callable[[str, str], float],
) -> float:
    """The mean score of the items; `year` compares those that are years. Flags are repeated for a longer list."""
    flags = list(flags) * len(truths) if len(flags) < len(truths) else flags
    scores = []
    for number, (truth, item) in enumerate(zip_longest(truths, found)):
        is_year = number < len(flags) and flags[number].upper() == "YES"
        known = truth is not None and item is not None
        scores.append((year if is_year else other)(truth, item) if known else 0.0)
    return sum(scores) / len(scores)


# ── the default rule ────────────────────────────────────────────────────────────────────────────────────────────────


def _items(text: str, listed: bool) -> list[str]:
    """The items of the last list in brackets, or of the text at its commas; the whole text if it is not `listed`."""
    found = _BRACKETS.findall(text)
    items = (found[-1] if found else text).split(",") if listed else [text.strip().strip("[]")]
    return [item.strip().strip("'\"").strip() for item in items]


def _same(truth: str, item: str) -> float:
    return float(normalise(truth) == normalise(item))


def _relaxed_item(truth: str, item: str) -> float:
    a, b = quantity(truth), quantity(item)
    if a is None or b is None:
        return similarity(normalise(truth), normalise(item), None)
    return float(abs(b.value - a.value) <= TOLERANCE * abs(a.value) * (1 + 1e-9))


# ── the released rule ───────────────────────────────────────────────────────────────────────────────────────────────


def _quoted_items(text: str) -> Any:
    """A list without quotes as a list: words are quoted one by one, and Python joins those without a comma between."""
    match = re.match(r"^\[(.*)\]$", text.strip())
    if match is None:
        return text
    value = _literal("[" + _UNQUOTED.sub(r"'\1'", match[1]) + "]")
    return text if value is None else value


def _python_list(text: str) -> list[str]:
    """The items of a Python list; empty for any other text."""
    value = _literal(text)
    return [str(item).strip(" '") for item in value] if isinstance(value, list) else []


def _literal(text: str) -> Any:
    # Only lists matter. Other texts are not parsed, and none with a backslash, because Python warns of unknown escapes.
    if not text.lstrip(" \t").startswith("[") or "\\" in text:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _same_text(truth: str, item: str) -> float:
    return float(truth.strip().lower() == item.strip().lower())


def _relaxed_text(truth: str, item: str) -> float:
    a, b = (text.strip().strip("%").strip() for text in (truth, item))
    try:
        right, said = (float(text.strip("%")) for text in (a, b))
    except ValueError:
        a, b = (" ".join(text.lower().split()) for text in (a, b))
        return similarity(a, b, None)
    if right == 0:
        return float(said == 0)
    return float(abs(said - right) / abs(right) <= TOLERANCE)
