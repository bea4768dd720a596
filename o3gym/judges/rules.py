"""Rule-based judges: they work offline and never raise, whatever the answer.

`o3gym.judges.base` defines verdicts and accepted answers; `o3gym.judges.model` asks a model instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from o3gym.geometry import iou, union
from o3gym.judges.answers import Quantity, normalise, quantity, read_letter, read_yes_no, readings, unwrap
from o3gym.judges.base import Judgement, decided, failed, has_truth, make_judge, references
from o3gym.judges.plans import asks_for_plan, plan
from o3gym.judges.spans import span
from o3gym.types import Box, Task

CORRECT_IOU = 0.5
"""Minimum IoU of a located box with the target for a correct verdict, as in object detection (PASCAL VOC)."""
ANLS_THRESHOLD = 0.5
"""Threshold τ of ANLS: a similarity that is not above it counts as 0."""
ANLS_LENGTH = 500
"""Maximum number of characters compared by edit distance, whose cost is the product of both lengths."""
RELAXED_TOLERANCE = 0.05
"""Relative tolerance of ChartQA's relaxed accuracy."""
DRAWN_LETTERS = "ABCDEFGHIJK"
"""Option letters of a choice task whose options are drawn in the picture, so that `Task.choices` is empty."""
ABSENT_ANSWER = "null"
"""The answer of a region search that reports the target as absent; "" means that there is no answer."""


def auto(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Applies the judge named by the task (`Task.origin["judge"]`), or else the one that fits the task's kind.

    That is `choice`, `box` or `span`; for a free answer `plan` if a picture of the task is a state of a world of visual
    planning, otherwise `exact`, followed by `numeric` if an accepted answer is a number, and by `yes_no` if "yes" or
    "no" is the only accepted answer.
    """
    named = task.origin.get("judge")
    if isinstance(named, str) and named not in ("", "auto"):
        return make_judge(named)(task, answer, located)
    if task.kind == "choice":
        return choice(task, answer, located)
    if task.kind == "box":
        return box(task, answer, located)
    if task.kind == "span":
        return span(task, answer, located)
    if asks_for_plan(task):
        return plan(task, answer, located)
    verdict = exact(task, answer, located)
    if verdict.verdict != "wrong":
        return verdict
    if any(quantity(unwrap(reference)) for reference in references(task)):
        return numeric(task, answer, located)
    return yes_no(task, answer, located) if _only_yes_or_no(task) else verdict


def _only_yes_or_no(task: Task) -> bool:
    truths = {normalise(reference) for reference in references(task)}
    return len(truths) == 1 and truths <= {"yes", "no"}


def choice(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Multiple choice: compares the option named by the answer, see `o3gym.judges.answers.read_letter`."""
    letters = task.letters or DRAWN_LETTERS
    truths = {reference.strip().upper() for reference in references(task)} & set(letters)
    if not truths or not has_truth(task):
        return failed(f"task {task.id} has no right option among {letters}")
    letter, reason = read_letter(answer, letters, task.choices)
    return decided(letter in truths, reason or f"option {letter}")


def exact(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Correct if an accepted answer matches up to case, white space, outer punctuation, an article and Markdown."""
    return _against(task, answer, lambda text, reference: normalise(text) == normalise(unwrap(reference)))


def numeric(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Correct if the same number as an accepted answer; `o3gym.judges.answers.quantity` defines the number formats.

    A unit may be missing on either side, but two different units are wrong. "45%" equals both "45" and "0.45".
    """
    truths = [number for number in (quantity(unwrap(ref)) for ref in references(task)) if number is not None]
    if not truths or not has_truth(task):
        return failed(f"task {task.id} has no number as its answer")
    numbers = [number for number in map(quantity, readings(answer)) if number is not None]
    if not numbers:
        return decided(False, "not a number")
    return decided(any(_same(number, truth) for number in numbers for truth in truths))


def _same(a: Quantity, b: Quantity) -> bool:
    if a.unit and b.unit and a.unit.removesuffix("s") != b.unit.removesuffix("s"):
        return False
    scales = [1.0]
    if (a.unit == "%") != (b.unit == "%"):
        scales.append(0.01 if a.unit == "%" else 100.0)
    return any(math.isclose(a.value * scale, b.value, rel_tol=1e-6, abs_tol=1e-12) for scale in scales)


def yes_no(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Compares a yes or no, see `o3gym.judges.answers.read_yes_no`."""
    truths = {normalise(reference) for reference in references(task)} & {"yes", "no"}
    if len(truths) != 1 or not has_truth(task):
        return failed(f'task {task.id} has neither "yes" nor "no" as its answer')
    read = read_yes_no(answer)
    return decided(read in truths, read or "neither yes nor no")


def relaxed(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """ChartQA's relaxed accuracy: numbers may differ by 5% of the reference; everything else is judged as by `exact`.

    As in ChartQA, "12%" is 0.12, units are ignored, and a reference of zero allows no tolerance. A known weakness of
    the metric is that years lie within 5% of each other. Source: Masry et al. 2022, "ChartQA", section 5.1.
    """
    return _against(task, answer, _relaxed_equal)


def _relaxed_equal(text: str, reference: str) -> bool:
    a, b = quantity(text), quantity(unwrap(reference))
    if a is None or b is None:
        return normalise(text) == normalise(unwrap(reference))
    guess, truth = (number.value / 100 if number.unit == "%" else number.value for number in (a, b))
    return abs(guess - truth) <= RELAXED_TOLERANCE * abs(truth) * (1 + 1e-9)


def anls(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Average normalised Levenshtein similarity (DocVQA, InfographicVQA) of one answer: graded, correct from 0.5.

    The score for one accepted answer is `1 − NL` if `NL < 0.5`, else 0, with `NL = distance / longer length`, ignoring
    case; the best score counts. Source: Biten et al. 2019, "Scene Text Visual Question Answering", equation 1.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    truths = [_folded(unwrap(reference)) for reference in references(task)]
    score = max(similarity(_folded(text), truth) for text in readings(answer) for truth in truths)
    return Judgement("correct" if score >= ANLS_THRESHOLD else "wrong", score)


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def similarity(a: str, b: str, length: int | None = ANLS_LENGTH) -> float:
    """`1 − NL` of the first `length` characters of two texts (None for all), or 0 if that is not above 0.5."""
    longer = max(len(a), len(b))
    if longer == 0:
        return 1.0
    if abs(len(a) - len(b)) >= ANLS_THRESHOLD * longer:
        return 0.0
    a, b = a[:length], b[:length]
    share = edit_distance(a, b) / max(len(a), len(b))
    return 1.0 - share if share < ANLS_THRESHOLD else 0.0


def edit_distance(a: str, b: str) -> int:
    """The Levenshtein distance, in time O(len(a) · len(b)) and memory O(len(b))."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (letter != other))
    return row[-1]


def box(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Region search: the score is the IoU with the target, correct from 0.5.

    Several targets are replaced by the box around all of them. A task without targets asks for something that is not
    in the picture; it is answered correctly if and only if the agent says so (the answer is "null").
    """
    if task.kind != "box" and not task.targets:
        return failed(f"task {task.id} has no target")
    if not has_truth(task):
        return failed(f"task {task.id} has no ground truth")
    if not task.targets:
        return decided(located is None and answer.strip() == ABSENT_ANSWER, "the target is not in the picture")
    truths = [target.box for target in task.targets if target.source == 0]
    if not truths:
        return failed(f"the target of task {task.id} is not in its first picture, where boxes are located")
    if located is None:
        return decided(False, "no box")
    score = min(1.0, iou(located, union(truths)))
    return Judgement("correct" if score >= CORRECT_IOU else "wrong", score, f"IoU {score:.3f}")


def _against(task: Task, answer: str, equal: Callable[[str, str], bool]) -> Judgement:
    """Whether a reading of `answer` equals an accepted answer."""
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    texts = [text for text in readings(answer) if text]
    if not texts:
        return decided(False, "no answer")
    return decided(any(equal(text, reference) for text in texts for reference in references(task)))
