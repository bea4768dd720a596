"""Rollouts with a window memory: what the policy reads in each turn, in every dialect, and what is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from PIL import Image

from o3gym.calls import answer, clip, crop
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import Message, Picture, Request
from o3gym.registry import DIALECTS, GENERATED_SIZES, GENERATORS, Registry
from o3gym.rollout.delegation import delegates
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Call, Reply, Segment, Source, Task, Trajectory

ENV: Mapping[str, Any] = {
    "suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 60_000},
    "min_pixels": 1024,
    "max_pixels": 4096,
    "max_turns": 6,
}
LOOKS = [crop((x, 0.25, x + 0.4, 0.75)) for x in (0.0, 0.2, 0.4, 0.6)]
LOOKING = sorted(name for name in DIALECTS if {"crop", "answer"} <= set(DIALECTS[name].tools))


class Caller(Policy):
    """Makes the given calls, one per turn, and keeps what it read."""

    privileged = True

    def __init__(self, calls: Sequence[Call | str], thought: str = "") -> None:
        super().__init__()
        self.calls, self.thought, self.read = calls, thought, list[list[Message]]()

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        self.read.append(list(request.dialogue.messages))
        call, about = self.calls[len(self.read) - 1], request.privileged
        assert about is not None
        return Reply(call if isinstance(call, str) else about.dialect.format(call, about.views, self.thought))


def shown(messages: Sequence[Message]) -> list[int]:
    return [part.view.index for message in messages for part in message.parts if isinstance(part, Picture)]


def played(policy: Policy, dialect: str, window: int | None, task: int | Task = 0, **env: Any) -> Trajectory:
    arm = Arm("arm", {**ENV, "tools": ["crop", "answer"], **env}, "p", dialect, window=window)
    (trajectory,) = rollout([Job(task, "g", seed=1)], policy, make_dialect(dialect), arm)
    return trajectory


@pytest.mark.parametrize("dialect", LOOKING)
def test_the_pictures_of_the_last_rounds_and_of_the_opening_stay(dialect: str) -> None:
    policy = Caller([*LOOKS, answer("A")])
    trajectory = played(policy, dialect, 2)
    assert trajectory.stop == "answered"
    assert [shown(messages) for messages in policy.read] == [[0], [0, 1], [0, 1, 2], [0, 2, 3], [0, 3, 4]]
    assert [turn.segment for turn in trajectory.turns] == [0, 0, 0, 1, 2]
    assert trajectory.segments == (
        Segment((0, 1, 2), (0, 1, 2)),
        Segment((3,), (0, 2, 3), (1,)),
        Segment((4,), (0, 3, 4), (2,)),
    )
    # only the messages that lost their pictures differ from those of an episode that keeps everything
    free = Caller([*LOOKS, answer("A")])
    assert played(free, dialect, None).segments == ()
    for cut, whole in zip(policy.read, free.read, strict=True):
        assert all(
            one == other or "[no longer shown: 1 picture]" in one.text for one, other in zip(cut, whole, strict=True)
        )


def test_without_a_window_or_with_a_wide_one_everything_is_as_before() -> None:
    records = []
    for window in (None, 4, 9):
        policy = Caller([*LOOKS, answer("A")])
        trajectory = played(policy, "qwen3_vl", window)
        assert [shown(messages) for messages in policy.read][-1] == [0, 1, 2, 3, 4]
        assert all(turn.segment == 0 for turn in trajectory.turns)
        records.append(json.dumps(trajectory.to_json()))
    assert len(set(records)) == 1


def test_a_snapshot_stays_and_the_pictures_leave_without_a_note() -> None:
    policy = Caller([*LOOKS[:3], answer("A")], "<Snapshot>nothing but grey</Snapshot>")
    played(policy, "qwen3_vl", 1)
    reply, lost, after = policy.read[2][2:5]
    assert (reply.role, lost.role, after.role) == ("assistant", "user", "assistant")
    assert lost.text
    assert "<image>" not in lost.text
    assert "no longer shown" not in lost.text
    assert "nothing but grey" in after.text


def test_a_refused_call_takes_no_place_in_the_window() -> None:
    policy = Caller([LOOKS[0], "I do not know.", LOOKS[1], answer("A")])
    trajectory = played(policy, "qwen3_vl", 1, on_void="continue")
    assert [shown(messages) for messages in policy.read] == [[0], [0, 1], [0, 1], [0, 2]]
    assert [turn.segment for turn in trajectory.turns] == [0, 0, 0, 1]


def test_frames_of_a_video_leave_with_their_times(register: Callable[[Registry, str, Any], str]) -> None:
    register(GENERATED_SIZES, "plain", lambda fps: (64, 48))
    name = register(GENERATORS, "plain", lambda time, fps: Image.new("RGB", (64, 48)))
    video = Source("generated", name, {"fps": 4.0}, duration=20.0)
    task = Task("t", (video,), "Which?", "A", ("x", "y"), kind="choice")
    policy = Caller([clip(2.0, 4.0), clip(4.0, 6.0), clip(6.0, 8.0), answer("A")])
    env = {"tools": ["clip", "answer"], "overview_frames": 2, "max_pixels": 5000}
    trajectory = played(policy, "qwen3_vl", 1, task, **env)
    assert trajectory.stop == "answered"
    opening, rounds = [view.index for view in trajectory.views if view.parent < 0], [t.views for t in trajectory.turns]
    assert shown(policy.read[3]) == [*opening, *rounds[2]]
    assert [segment.dropped for segment in trajectory.segments] == [(), rounds[0], rounds[1]]
    assert "no longer shown: frames at 2 s, " in policy.read[2][3].text


@pytest.mark.parametrize("policy", ["oracle", "sweep", "random"])
def test_scripted_policies_do_not_notice_the_window(policy: str) -> None:
    with_window, without = (played(make_policy(policy), "qwen3_vl", window) for window in (1, None))
    assert [turn.parsed for turn in with_window.turns] == [turn.parsed for turn in without.turns]
    assert with_window.views == without.views


def test_a_reply_that_fails_belongs_to_no_further_segment() -> None:
    policy = Caller([*LOOKS[:2]])  # the third request raises
    trajectory = played(policy, "qwen3_vl", 1)
    assert trajectory.stop == "error"
    assert trajectory.segments == ()
    assert [turn.segment for turn in trajectory.turns] == [0, 0, 0]


def test_a_window_keeps_at_least_one_round_and_delegates_have_the_same() -> None:
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="window: expected a whole number from 1 up"):
            Arm(window=wrong)  # type: ignore[arg-type]
    pair = "two_agent(reasoner=oracle, searcher=oracle)"
    arm = Arm("pair", {**ENV, "tools": ["search", "answer"]}, pair, "insight_o3_reasoner", window=3)
    assert [other.window for other in delegates(arm).values()] == [3]
