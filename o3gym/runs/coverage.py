"""The regions and times that an agent looked at, in the frame of the task's own pictures and videos."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from o3gym.geometry import area, coverage, disjoint, intersection, overlap, to_root
from o3gym.types import FULL, Box, Span, Target, Trajectory, View

FULL_TOLERANCE = 1e-9
"""Tolerance for comparing a region with the whole picture, because affine maps introduce rounding errors."""
FRAME_REACH = 0.5
"""Least time in seconds that a frame of a video stands for: the distance of frames in a clip of the default rule."""
FRAME_SHARE = 0.5
"""Share of a target's area that a part of a frame must cover to show the target."""


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

    Views of a whole picture are left out, because they show no more than the views at reset, and so are whole frames of
    videos, see `time_coverage`, and views that cannot be mapped to a task picture.
    """
    placed = [(view, place_in_picture(trajectory, view)) for view in trajectory.views if view.parent >= 0]
    return [(view, *at) for view, at in placed if at is not None and not _whole(at[1])]


def target_coverage(trajectory: Trajectory) -> float | None:
    """The share of the targets that the requested views cover together; None for a task without targets.

    Targets in pictures are covered by area and those in videos by time. If a task has both, the two shares are averaged
    by the numbers of targets.
    """
    task = trajectory.task
    targets = [target for target in task.targets if area(target.box) > 0]
    timed = [target for target in targets if task.sources[target.source].duration is not None]
    shares = [
        (_area_seen(trajectory, [target for target in targets if target not in timed]), len(targets) - len(timed)),
        (_time_seen(trajectory, timed), len(timed)),
    ]
    return sum(share * count for share, count in shares) / len(targets) if targets else None


def time_coverage(trajectory: Trajectory) -> float | None:
    """The share of the targets' time that the requested frames lie in; None for a task without targets in videos.

    A frame counts if it shows at least `FRAME_SHARE` of the target, and stands for `FRAME_REACH` seconds, or for the
    time in which it is shown if that is longer. The frames that are shown at reset do not count.
    """
    sources = trajectory.task.sources
    timed = [target for target in trajectory.task.targets if sources[target.source].duration is not None]
    return _time_seen(trajectory, timed) if timed else None


def _area_seen(trajectory: Trajectory, targets: Sequence[Target]) -> float:
    """The share of the area of targets in pictures."""
    total = sum(area(target.box) for target in targets)
    seen = looks(trajectory) if targets else []
    covered = 0.0
    for target in targets:
        boxes = [box for _, source, box in seen if source == target.source]
        covered += union_area([intersection(box, target.box) for box in boxes])
    return covered / total if total else 0.0


def _time_seen(trajectory: Trajectory, targets: Sequence[Target]) -> float:
    """The share of the time of targets in videos."""
    total = seen = 0.0
    for target in targets:
        duration = trajectory.task.sources[target.source].duration or 0.0
        time = target.time or (0.0, duration)
        total += time[1] - time[0]
        seen += sum(overlap(part, time) for part in disjoint(_frames_of(trajectory, target)))
    return seen / total if total else 0.0


def _frames_of(trajectory: Trajectory, target: Target) -> list[Span]:
    """The intervals for which the requested frames that show a target stand."""
    spans = []
    for view in trajectory.views:
        if view.parent >= 0 and view.time is not None and view.video == target.source:
            place = place_in_picture(trajectory, view)
            if place is not None and coverage(place[1], target.box) >= FRAME_SHARE:
                start, end = view.time
                spans.append((start, max(end, start + FRAME_REACH)))
    return spans


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
