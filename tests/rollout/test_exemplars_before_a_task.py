"""Exemplars in a rollout: part of every request, of no trajectory, and never cut by a window memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from o3gym.calls import answer, crop
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message, Picture
from o3gym.rollout.loop import rollout
from o3gym.rollout.performing import Act, Script, perform
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory
from tests.rollout.test_inline_rollout import Inline
from tests.rollout.test_performing import ENV, LEFT, RIGHT, TASK
from tests.rollout.test_window_rollout import Caller

CALLS = [crop((x, 0.25, x + 0.4, 0.75)) for x in (0.0, 0.2, 0.4)] + [answer("A")]


def exemplar(dialect: Dialect) -> tuple[Message, ...]:
    """A dialogue without its system prompt."""
    dialogues: dict[tuple[str, int], tuple[Message, ...]] = {}
    script = Script(TASK, (Act(LEFT, "left"), Act(RIGHT, "right"), Act(answer("B"), "so")), "g")
    list(perform([script], Arm("", ENV), dialect, dialogues=dialogues))
    return dialogues["g", 0][1:]


def played(policy: Policy, dialect: Dialect, messages: Sequence[Message] = (), **arm: Any) -> Trajectory:
    jobs = [Job(1, "g", seed=1)]
    (trajectory,) = rollout(jobs, policy, dialect, Arm("arm", ENV, "p", "d", **arm), exemplars=messages)
    return trajectory


def pictures(messages: Sequence[Message]) -> list[Picture]:
    return [part for message in messages for part in message.parts if isinstance(part, Picture)]


@pytest.mark.parametrize("dialect", [make_dialect("mini_o3"), make_dialect("openai"), Inline()], ids=lambda d: d.name)
@pytest.mark.parametrize("window", [None, 1])
def test_they_stand_between_system_prompt_and_task_and_change_nothing_else(
    dialect: Dialect, window: int | None
) -> None:
    shown, bare = Caller(CALLS, "look"), Caller(CALLS, "look")
    before = exemplar(dialect)
    trajectory = played(shown, dialect, before, window=window)
    assert trajectory == played(bare, dialect, window=window)
    assert trajectory.stop == "answered"
    for read, own in zip(shown.read, bare.read, strict=True):
        assert read[0] == own[0]
        assert all(one is other for one, other in zip(read[1 : 1 + len(before)], before, strict=True))
        assert read[1 + len(before) :] == own[1:]


def test_a_window_cuts_the_views_of_the_task_and_not_those_of_the_exemplars() -> None:
    dialect, policy = make_dialect("mini_o3"), Caller(CALLS, "look")
    before = exemplar(dialect)
    trajectory = played(policy, dialect, before, window=1)
    assert len(pictures(before)) == 3
    assert [len(pictures(read)) - 3 for read in policy.read] == [1, 2, 2, 2]
    assert [segment.views for segment in trajectory.segments] == [(0, 1), (0, 2), (0, 3)]
    assert [segment.dropped for segment in trajectory.segments] == [(), (1,), (2,)]


def test_their_pixels_can_be_loaded_long_after_they_were_performed() -> None:
    (first, *others) = pictures(exemplar(make_dialect("mini_o3")))
    assert first.load().shape[1::-1] == first.view.shown
    assert all((one.load() != first.load()).any() for one in others if one.view.shown == first.view.shown)
