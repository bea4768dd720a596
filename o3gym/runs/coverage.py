"""The regions that an agent looked at, in the frame of the task's own pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from o3gym.geometry import area, intersection, to_root
from o3gym.types import FULL, Box, Target, Trajectory, View

FULL_TOLERANCE = 1e-9
"""Tolerance for comparing a region with the whole picture, because affine maps introduce rounding errors."""


def place_in_picture(trajectory: Trajectory, view: View) -> tuple[int, Box] | None:
    """Maps a view to the task picture that it shows a part of.

    Derived sources are followed back through their affine maps to one of the task's sources. A rotated region is
    replaced by its axis-aligned bounding box, which is larger than the region unless it was rotated by quarter turns.

    Returns:
        The index into `task.sources` and the region in unit xyxy of that picture; None if no chain of affine maps leads
        to a task picture.
    """
    pictures = trajectory.task.sources
    root = to_root(trajectory.sources[view.source], view.box, pictures)
    return None if root is None or root[0] not in pictures else (pictures.index(root[0]), root[1])


def looks(trajectory: Trajectory) -> list[tuple[View, int, Box]]:
    """The views that the agent requested, each as (view, index of the task's picture, region in unit xyxy).

    Views of a whole picture are left out, because they show no more than the views at reset, and so are views that
    cannot be mapped to a task picture.
    """
    placed = [(view, place_in_picture(trajectory, view)) for view in trajectory.views if view.parent >= 0]
    return [(view, *at) for view, at in placed if at is not None and not _whole(at[1])]


def target_coverage(trajectory: Trajectory) -> float | None:
    """The share of the targets' area that the requested views cover together; None for a task without targets."""
    targets = [target for target in trajectory.task.targets if area(target.box) > 0]
    total = sum(area(target.box) for target in targets)
    seen = looks(trajectory)
    covered = 0.0
    for target in targets:
        boxes = [box for view, source, box in seen if source == target.source and _same_time(view, target)]
        covered += union_area([intersection(box, target.box) for box in boxes])
    return covered / total if targets else None


def union_area(boxes: Sequence[Box]) -> float:
    """The exact area of the union of boxes, summed over the vertical strips between their edges."""
    xs = sorted({x for box in boxes for x in (box[0], box[2])})
    total = 0.0
    for x0, x1 in itertools.pairwise(xs):
        spans = sorted((box[1], box[3]) for box in boxes if box[0] <= x0 and x1 <= box[2])
        reached, height = float("-inf"), 0.0
        for y0, y1 in spans:
            height += max(0.0, y1 - max(y0, reached))
            reached = max(reached, y1)
        total += (x1 - x0) * height
    return total


def _whole(box: Box) -> bool:
    return all(abs(edge - full) <= FULL_TOLERANCE for edge, full in zip(box, FULL, strict=True))


def _same_time(view: View, target: Target) -> bool:
    if view.time is None or target.time is None:
        return True
    return view.time[0] <= target.time[1] and target.time[0] <= view.time[1]
