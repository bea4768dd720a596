from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.rewards import exploration
from o3gym.types import Source
from tests.rewards.reward_episodes import FULL, PICTURE, episode, look, mistake, task

LEFT, TOP_LEFT = (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.5, 0.5)


def values(term, *episodes):
    return [term.compute(each) for each in episodes]


# ── Pixel Reasoner ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_pixel_accuracy():
    episodes = [
        episode(task(), said="B"),
        episode(task(), said="A"),
        episode(task()),
        episode(task(), look(LEFT), mistake(), said="B"),
        episode(task(), mistake(), look(LEFT), said="B"),
        episode(task(), mistake("parse"), said="B"),
        episode(task(), mistake(), said="A"),
        episode(task(), look(LEFT), mistake("budget"), said="B"),
    ]
    assert values(exploration.PIXEL_ACCURACY, *episodes) == [1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 1.0]


def siblings(*calls, asked=None):
    return [episode(asked or task(), *[look(LEFT)] * n, said="A") for n in calls]


def test_curiosity_of_eight():
    assert exploration.curiosity(siblings(1, *[0] * 7)) == pytest.approx([0.175] + [0.0] * 7)
    assert exploration.curiosity(siblings(1, 1, *[0] * 6)) == pytest.approx([0.025] * 2 + [0.0] * 6)
    assert exploration.curiosity(siblings(1, 1, 1, *[0] * 5)) == pytest.approx([0.0] * 8)
    assert exploration.curiosity(siblings(3, *[0] * 7)) == pytest.approx([0.175 - 0.1] + [0.0] * 7)
    assert exploration.curiosity(siblings(2, 2, 1, *[0] * 5)) == pytest.approx([-0.05, -0.05] + [0.0] * 6)
    assert exploration.curiosity(siblings(*[0] * 8)) == [0.0] * 8
    assert exploration.curiosity([]) == []


def test_curiosity_on_video():
    video = replace(task(), sources=(replace(PICTURE, duration=10.0),))
    assert exploration.curiosity(siblings(1, *[0] * 7, asked=video))[0] == pytest.approx(0.7 / 3)
    assert exploration.curiosity(siblings(1, 1, *[0] * 6, asked=video))[0] == pytest.approx(0.1 / 3)


def test_curiosity_counts_failed_calls():
    users = [episode(task(), mistake(), mistake(), said="A"), *siblings(*[0] * 7)]
    assert exploration.curiosity(users)[0] == pytest.approx(0.125)


def test_curiosity_as_printed():
    assert exploration.curiosity_paper(siblings(1, *[0] * 7))[0] == pytest.approx(0.0875)
    assert exploration.curiosity_paper(siblings(2, 1, *[0] * 6)) == pytest.approx([0.025 - 0.05, 0.025] + [0.0] * 6)
    assert exploration.curiosity_paper([]) == []


# ── VPRL ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = (0.4, 0.4, 0.6, 0.6)


def stepwise(trajectory):
    return [
        exploration.progress(replace(trajectory, turns=trajectory.turns[:n]))
        for n in range(1, len(trajectory.turns) + 1)
    ]


def test_progress():
    asked = task(targets=[SMALL])
    closer, closest = (0.25, 0.25, 0.75, 0.75), (0.4, 0.4, 0.6, 0.61)
    walk = episode(asked, look(closer), mistake(), look(LEFT), look(closer), look(closest), look(SMALL), said="B")
    assert stepwise(walk) == [1.0, -5.0, 0.0, 0.0, 1.0, 0.0, 0.0]


def test_progress_does_not_pay_for_nibbling():
    asked = task(targets=[SMALL])
    walk = episode(asked, look((0.0, 0.0, 1.0, 0.95)), look((0.0, 0.0, 1.0, 0.9)), said="B")
    assert stepwise(walk) == [0.0, 0.0, 0.0]
    assert stepwise(episode(asked, look((0.0, 0.0, 1.0, 0.9)))) == [1.0]  # a ninth above the full picture


def test_progress_with_two_targets():
    far = (0.0, 0.0, 0.1, 0.1)
    walk = episode(task(targets=[SMALL, far]), look(SMALL), look(TOP_LEFT), look(far))
    assert stepwise(walk) == [1.0, 1.0, 1.0]


def test_progress_of_odd_turns():
    asked = task(targets=[SMALL])
    assert exploration.progress(episode(asked, mistake("void"))) == -5.0
    assert exploration.progress(episode(asked, mistake("budget"))) == 0.0
    assert exploration.progress(episode(task(), look(LEFT))) == 0.0
    assert exploration.progress(episode(asked, said="B")) == 0.0


def test_progress_in_a_derived_picture():
    zoomed = Source.derived(PICTURE, "part", (0.5, 0.0, 0.25, 0.0, 0.5, 0.25))
    unknown = Source.derived(PICTURE, "warp", None)
    base = episode(task(targets=[SMALL]), look(FULL))
    for source, value in ((zoomed, 1.0), (unknown, 0.0)):
        views = (base.views[0], replace(base.views[1], source=1))
        assert exploration.progress(replace(base, views=views, sources=(PICTURE, source))) == value
