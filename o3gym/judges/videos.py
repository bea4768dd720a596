"""Rules of suites about videos: VSI-Bench's graded numbers, and letters as lmms-eval reads them for Video-MME and MLVU.

The released rules are used with `scoring=OWNER`, flaws included, as those in `o3gym.judges.released`.
"""

from __future__ import annotations

import re

from o3gym.judges.answers import quantity, readings, unwrap
from o3gym.judges.base import Judgement, decided, failed, has_truth, references
from o3gym.judges.released import AUTHORS_PREFIXES
from o3gym.judges.rules import choice
from o3gym.types import Box, Task

MRA_STEPS = 10
"""Number of thresholds of the mean relative accuracy: 0.5, 0.55, …, 0.95."""
CORRECT_MRA = 0.5
"""Minimum mean relative accuracy for a correct verdict; ours, since the publication has graded scores only."""


def mra(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """VSI-Bench: options by letter, numbers by their mean relative accuracy, which is the score; correct from 0.5.

    The score of a number p with the true value t is the share of the thresholds θ = 0.5, 0.55, …, 0.95 for which
    |p − t| / t ≤ 1 − θ. Units are ignored, because the question states the unit. Source: Yang et al. 2024, "Thinking in
    Space", section 3.2 (arXiv 2412.14171).
    """
    if task.kind == "choice":
        return choice(task, answer)
    truth = quantity(unwrap(task.answer))
    if truth is None or not has_truth(task):
        return failed(f"task {task.id} has no number as its answer")
    numbers = [number.value for number in map(quantity, readings(answer)) if number is not None]
    if not numbers:
        return decided(False, "not a number")
    return _graded(max(mean_relative_accuracy(number, truth.value) for number in numbers))


def vsi_bench_released(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the answer up to its first space: "A." is option A, "(A)" and "Option A" are none, "about 3" is no number.

    Source: EvolvingLMMs-Lab/lmms-eval@0ae0b9f, lmms_eval/tasks/vsibench/utils.py, which is the authors' code
    (vision-x-nyu/thinking-in-space).
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    first = answer.split(" ")[0].rstrip(".").strip()
    if task.kind == "choice":
        return decided(first.lower() == task.answer.lower(), first)
    try:
        return _graded(mean_relative_accuracy(float(first), float(task.answer)))
    except ValueError:
        return decided(False, "not a number")


def mean_relative_accuracy(number: float, truth: float) -> float:
    """The share of the thresholds θ for which the relative error of a number is at most 1 − θ; 0 for NaN."""
    error = abs(number - truth)
    # 1 − θ is 0.5, 0.45, …, 0.05. Whole twentieths are compared, so that an error of exactly 0.45 is within 0.45.
    return sum(20 * error <= step * abs(truth) * (1 + 1e-9) for step in range(1, MRA_STEPS + 1)) / MRA_STEPS


def _graded(score: float) -> Judgement:
    return Judgement("correct" if score >= CORRECT_MRA else "wrong", score, f"mean relative accuracy {score:.1f}")


def first_capital(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads the first capital A to D anywhere in the answer, after some phrases are removed: "A man …" is A.

    Source: EvolvingLMMs-Lab/lmms-eval@0696573, lmms_eval/tasks/videomme/utils.py, `extract_characters_regex`; the same
    function is in lmms_eval/tasks/mlvu/utils.py.
    """
    if not task.answer or not has_truth(task):
        return failed(f"task {task.id} has no right option")
    text = answer.strip()
    for prefix in AUTHORS_PREFIXES:
        text = text.replace(prefix, "")
    found = re.search("[ABCD]", text)
    return decided(found is not None and found[0] == task.answer, f"option {found[0]}" if found else "no letter")
