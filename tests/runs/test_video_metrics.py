"""Temporal grounding in reports: recall at IoU thresholds, the mean IoU, and the share of time that was viewed."""

from __future__ import annotations

import dataclasses

import pytest

from o3gym.runs import coverage
from o3gym.types import FULL, Box, Source, Span, TaskKind, Trajectory, View
from o3gym.types import Target as Aim
from tests.runs.sample_run import episode
from tests.runs.test_suite_metrics import numbers

VIDEO = Source("generated", "synthetic_video", {"fps": 2.0}, duration=60.0)


def watched(
    *shown: Span,
    span: Span | None = None,
    aims: tuple[Aim, ...] = (Aim(FULL, time=(10.0, 14.0)),),
    kind: TaskKind = "span",
    box: Box = FULL,
    grounded: bool = False,
    verdict: str = "correct",
) -> Trajectory:
    """An episode that asked for frames shown at these times, after an overview of one frame."""
    base = episode(0, verdict=verdict)
    origin = {"grounded": True} if grounded else {}
    task = dataclasses.replace(base.task, sources=(VIDEO,), targets=aims, kind=kind, origin=origin, choices=())
    frames = [Source.derived(VIDEO, "frame", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), number=i) for i in range(len(shown) + 1)]
    views = [View(0, 1, FULL, (9, 9), (9, 9), -1, (12.0, 12.5), video=0, frame=0)]
    views += [View(i, i + 1, box, (9, 9), (9, 9), 0, time, video=0, frame=i) for i, time in enumerate(shown, start=1)]
    return dataclasses.replace(base, task=task, sources=(VIDEO, *frames), views=tuple(views), span=span)


def test_grounding_is_recall_at_thresholds_and_the_mean_iou() -> None:
    spans = [(10.0, 14.0), (10.0, 18.0), (10.0, 12.2), (11.0, 14.0), None]
    found = numbers("grounding", *(watched(span=span) for span in spans))
    assert found == {
        "R@0.3 %": 80.0,
        "R@0.5 %": 80.0,
        "R@0.7 %": 40.0,
        "mIoU %": pytest.approx(100 * (1 + 0.5 + 0.55 + 0.75 + 0) / 5),
        "target time seen %": 0.0,
    }


def test_several_intervals_count_together_and_those_of_other_videos_do_not() -> None:
    aims = (Aim(FULL, time=(0.0, 2.0)), Aim(FULL, time=(4.0, 6.0)))
    assert numbers("grounding", watched(span=(0.0, 6.0), aims=aims))["mIoU %"] == pytest.approx(200 / 3)


def test_grounded_questions_count_and_others_do_not() -> None:
    answered = watched(span=(10.0, 14.0), kind="free")
    silent = watched(kind="free", grounded=True)
    assert numbers("grounding", answered, silent)["mIoU %"] == 50.0
    assert numbers("grounding", watched(kind="free")) == {"target time seen %": 0.0}
    assert numbers("grounding", watched(kind="free", aims=())) == {}
    assert numbers("grounding") == {}


def test_time_coverage_is_the_share_that_requested_frames_lie_in() -> None:
    assert coverage.time_coverage(watched()) == 0.0  # the overview does not count
    assert coverage.time_coverage(watched((10.0, 10.5), (12.0, 12.5), (30.0, 30.5))) == pytest.approx(1 / 4)
    assert coverage.time_coverage(watched((10.0, 10.5), (10.0, 10.5))) == pytest.approx(1 / 8)
    assert coverage.time_coverage(watched((9.75, 10.25), (13.75, 14.25))) == pytest.approx(1 / 8)
    # a frame of a fast film stands for half a second, and one of a slow film for its own time
    assert coverage.time_coverage(watched((10.0, 10.04))) == pytest.approx(1 / 8)
    assert coverage.time_coverage(watched((10.0, 13.0))) == pytest.approx(3 / 4)
    assert coverage.time_coverage(episode(0)) is None


def test_parts_of_frames_count_if_they_show_the_target() -> None:
    aims = (Aim((0.0, 0.0, 0.5, 0.5), time=(10.0, 11.0)),)
    assert coverage.time_coverage(watched((10.0, 10.5), aims=aims, box=(0.0, 0.0, 0.5, 0.3))) == pytest.approx(0.5)
    assert coverage.time_coverage(watched((10.0, 10.5), aims=aims, box=(0.5, 0.5, 1.0, 1.0))) == 0.0


def test_a_target_without_a_time_is_there_all_the_time() -> None:
    assert coverage.time_coverage(watched((10.0, 16.0), aims=(Aim(FULL),))) == pytest.approx(0.1)


def test_coverage_of_pictures_and_videos_is_averaged_by_targets() -> None:
    one = watched((10.0, 12.0), aims=(Aim(FULL, time=(10.0, 14.0)), Aim((0.0, 0.0, 0.5, 0.5), 1)))
    picture = Source.generated("synthetic", family="hidden", difficulty="easy", seed=0)
    task = dataclasses.replace(one.task, sources=(VIDEO, picture))
    looked = View(2, 1, (0.0, 0.0, 0.5, 0.5), (9, 9), (9, 9), 0)
    both = dataclasses.replace(one, task=task, sources=(VIDEO, picture, *one.sources[1:]))
    views = [dataclasses.replace(view, source=view.source + 1) for view in one.views]
    both = dataclasses.replace(both, views=(*views, looked))
    assert coverage.target_coverage(both) == pytest.approx((0.5 + 1.0) / 2)
