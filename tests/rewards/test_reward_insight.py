from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.calls import answer, crop, noop
from o3gym.rewards import insight
from o3gym.types import Parsed, Reply, Source, Turn
from tests.rewards.reward_episodes import FULL, PICTURE, episode, look, search, task

LEFT, TOP_LEFT = (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.5, 0.5)
RIGHT = (0.5, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("box", "value"),
    [(LEFT, 1.0), (TOP_LEFT, 1 / 3), (FULL, 1 / 3), ((0.0, 0.0, 0.25, 0.5), 0.0), (RIGHT, 0.0), (None, 0.0)],
)
def test_shaped_iou(box, value):
    assert insight.shaped_iou(search(box, targets=[LEFT])) == pytest.approx(value)


def test_absence_in_insight_terms():
    assert insight.shaped_iou(search(None)) == insight.covering_iou(search(None)) == 1.0
    assert insight.shaped_iou(search(LEFT)) == insight.covering_iou(search(LEFT)) == 0.0


def test_covering_iou_counts_only_boxes_that_cover():
    assert insight.covering_iou(search(LEFT, targets=[LEFT])) == pytest.approx(1.0)
    # covers half of the target only; what is left is the full picture with IoU 0.5
    assert insight.covering_iou(search(TOP_LEFT, targets=[LEFT])) == pytest.approx((0.5 - 0.25) / 0.75)
    # IoU 0.25 / 0.5 with a covering box, better than the full picture's 0.25
    assert insight.covering_iou(search(LEFT, targets=[TOP_LEFT])) == pytest.approx(1 / 3)
    # the full picture alone: 0.25 is exactly the floor
    assert insight.covering_iou(search(RIGHT, targets=[TOP_LEFT])) == 0.0


def test_covering_iou_is_the_worst_over_targets():
    assert insight.covering_iou(search(LEFT, targets=[LEFT, RIGHT])) == pytest.approx((0.5 - 0.25) / 0.75)
    tiny = (0.9, 0.9, 1.0, 1.0)
    assert insight.covering_iou(search(LEFT, targets=[LEFT, tiny])) == 0.0


@pytest.mark.parametrize(
    ("boxes", "value"),
    [
        ([LEFT], 1.0),
        ([], 0.0),
        ([FULL], 0.0),
        ([(0.0, 0.0, 1.0, 0.7)], 0.0),
        ([(0.0, 0.0, 1.0, 0.6)], 1.0),
        ([LEFT, LEFT], 0.0),
        ([LEFT, RIGHT], 1.0),
        ([LEFT, RIGHT, LEFT], 1.0),
        ([LEFT, (0.0, 0.0, 0.5, 0.65)], 0.0),
    ],
)
def test_fresh_looks(boxes, value):
    assert insight.fresh_looks(search(LEFT, *map(look, boxes), targets=[LEFT])) == value


def test_fresh_looks_follow_derived_sources_and_tell_pictures_apart():
    turned = Source.derived(PICTURE, "rotate", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    base = search(LEFT, look(LEFT), look(LEFT), targets=[LEFT])
    second = replace(base.turns[1], parsed=Parsed(crop(LEFT, view=1), True))
    views = (base.views[0], replace(base.views[1], source=1, box=FULL), base.views[2])
    base = replace(base, views=views, turns=(base.turns[0], second, base.turns[2]))
    assert insight.fresh_looks(replace(base, sources=(PICTURE, turned))) == 0.0
    other = Source.generated("synthetic", seed=8)
    assert insight.fresh_looks(replace(base, sources=(PICTURE, other))) == 1.0


def refused(box, error="too_small"):
    """A turn with a crop that was refused."""
    return replace(look(box), error=error)


def test_a_refused_call_counts_in_the_tool_condition_as_it_is_written():
    assert insight.fresh_looks(search(LEFT, refused(LEFT), targets=[LEFT])) == 1.0
    assert insight.fresh_looks(search(LEFT, look(LEFT), refused(LEFT), targets=[LEFT])) == 0.0
    assert insight.fresh_looks(search(LEFT, refused(FULL, "aspect"), targets=[LEFT])) == 0.0
    unreadable = Turn(Reply("?"), Parsed(noop("parse", "?")), "parse")
    assert insight.fresh_looks(search(LEFT, unreadable, targets=[LEFT])) == 0.0


def test_a_small_box_counts_as_asked_for_and_not_as_enlarged():
    first, second = (0.5, 0.5, 0.52, 0.52), (0.53, 0.5, 0.55, 0.52)
    base = search(LEFT, look(first), look(second), targets=[LEFT])
    views = (base.views[0], *(replace(view, box=(0.4, 0.4, 0.7, 0.7)) for view in base.views[1:]))
    assert insight.fresh_looks(replace(base, views=views)) == 1.0


def test_covering_iou_rounds_the_box_to_native_pixels():
    box = (0.0, 0.0, 0.504, 1.0)  # 50.4 of 100 pixels
    assert insight.covering_iou(search(box, targets=[LEFT])) == pytest.approx(1.0)


def family(feedback, verdict, extra_turn=True):
    """A parent that delegated one search in its first turn and rated it in its second."""
    child = search(LEFT, look(LEFT), group="q", agent="searcher-0")
    asking = replace(look(LEFT), children=(0,))
    rating = Turn(Reply("…"), Parsed(answer("B"), True, extras={"feedback": feedback}))
    turns = (asking, rating) if extra_turn else (asking,)
    parent = episode(task(), *turns, group="q", children=(child,), verdict=verdict)
    return child, parent


@pytest.mark.parametrize(
    ("feedback", "verdict", "value"),
    [("helpful", "correct", 1.0), ("helpful", "wrong", 0.0), ("unhelpful", "correct", 0.0), ("NA", "correct", 0.0)],
)
def test_pseudo_iou_needs_both(feedback, verdict, value):
    assert insight.pseudo_iou(*family(feedback, verdict)) == value


def test_a_rating_may_come_after_a_reply_that_was_refused_but_not_after_the_next_search():
    child, parent = family("helpful", "correct")
    asking, rated = parent.turns
    broken = Turn(Reply("…"), Parsed(noop("parse", "no rating")), "parse")
    assert insight.pseudo_iou(child, replace(parent, turns=(asking, broken, rated))) == 1.0
    other = replace(child, agent="searcher-1")
    again = replace(parent, turns=(asking, replace(asking, children=(1,)), rated), children=(child, other))
    assert (insight.pseudo_iou(child, again), insight.pseudo_iou(other, again)) == (0.0, 1.0)


def test_pseudo_iou_without_a_rating():
    assert insight.pseudo_iou(*family("helpful", "correct", extra_turn=False)) == 0.0
    child, parent = family("helpful", "correct")
    assert insight.pseudo_iou(replace(child, agent="searcher-1"), parent) == 0.0
