"""The judge of temporal grounding: how well an interval of a video agrees with the intervals that were asked for."""

from __future__ import annotations

import json

from o3gym.geometry import is_number, span_iou
from o3gym.judges.base import Judgement, decided, failed, has_truth
from o3gym.types import Box, Span, Task

CORRECT_SPAN_IOU = 0.5
"""Minimum temporal IoU for a correct verdict: the middle one of the thresholds 0.3, 0.5 and 0.7 of Charades-STA."""


def span(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Temporal grounding: the score is the temporal IoU with all target intervals together, correct from 0.5.

    The answer is the interval as JSON, as `locate_span` records it.
    """
    truths = true_spans(task)
    if not truths or not has_truth(task):
        return failed(f"task {task.id} has no interval as its target")
    given = read_span(answer)
    if given is None:
        return decided(False, "no interval")
    score = span_iou([given], truths)
    return Judgement("correct" if score >= CORRECT_SPAN_IOU else "wrong", score, f"temporal IoU {score:.3f}")


def true_spans(task: Task) -> list[Span]:
    """The intervals of the targets in the first video, which is where intervals are located."""
    first = next((index for index, source in enumerate(task.sources) if source.duration is not None), -1)
    return [target.time for target in task.targets if target.source == first and target.time is not None]


def read_span(answer: str) -> Span | None:
    """The interval that an answer is, as JSON; None for any other text."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        return None
    return float(value[0]), float(value[1])
