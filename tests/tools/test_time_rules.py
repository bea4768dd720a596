"""Time rules of single systems, the tools that number frames in their own way, and the check of rules of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym import testing
from o3gym.dialects.base import make_dialect
from o3gym.envs import VisualSearchEnv
from o3gym.media.timeline import Timeline
from o3gym.registry import DIALECTS, GENERATED_SIZES, GENERATORS, TIME_RULES, Registry
from o3gym.tools.base import Invalid
from o3gym.tools.time_rules import FRAME_THINKER_TIMES, PIXEL_REASONER_TIMES, VR_THINKER_TIMES, TimeRule
from o3gym.types import Call, Source, Task


def timeline(frames: int, seconds: float) -> Timeline:
    return Timeline(np.arange(frames) * (seconds / frames), seconds, (64, 36))


def test_frame_thinker_shows_the_first_and_the_last_frame() -> None:
    assert FRAME_THINKER_TIMES.first_frames(timeline(80, 20.0)) == [0, 11, 22, 33, 45, 56, 67, 79]
    longer = FRAME_THINKER_TIMES.of(301.0)
    assert (len(longer.first_frames(timeline(3010, 301.0))), longer.most) == (12, 12)
    assert FRAME_THINKER_TIMES.first_frames(timeline(3, 0.3)) == [0, 1, 2]


def test_vr_thinker_shows_four_frames_of_each_video_and_eight_more_at_once() -> None:
    assert VR_THINKER_TIMES.first_frames(timeline(96, 12.0)) == [0, 24, 48, 72]
    assert VR_THINKER_TIMES.most == 8


def test_only_frames_of_the_overview_can_be_asked_for_in_pixel_reasoner() -> None:
    film = timeline(160, 40.0)
    assert PIXEL_REASONER_TIMES.numbered([150, 10, 10], film) == [10, 150]
    for numbers in ([11], [-1], [10**15], list(range(0, 90, 10))):
        with pytest.raises(Invalid) as refused:
            PIXEL_REASONER_TIMES.numbered(numbers, film)
        assert refused.value.kind == "bad_time"


@pytest.mark.parametrize("name", sorted(TIME_RULES))
def test_every_rule_conforms(name: str) -> None:
    testing.check_time_rule(TIME_RULES[name], name)
    assert dict(testing.check(f"time_rule:{name}")) == {f"time_rule:{name}": ""}


@dataclass(frozen=True)
class Beyond(TimeRule):
    def clip(self, span: Sequence[float], film: Timeline) -> list[int]:
        return [len(film)]


@dataclass(frozen=True)
class Unsorted(TimeRule):
    def first_frames(self, film: Timeline) -> list[int]:
        return [0, 0]


@dataclass(frozen=True)
class Refusing(TimeRule):
    def clip(self, span: Sequence[float], film: Timeline) -> list[int]:
        raise Invalid("bad_time", "never")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (Beyond(), "clip: frames 1 to 1 of a video with frames 0 to 0"),
        (Unsorted(), "not in the order of time"),
        (Refusing(), "clip refuses every request"),
        (TimeRule(overview=0), "expected 1 to 0 frames"),
        (7, "expected a o3gym.tools.time_rules.TimeRule"),
    ],
)
def test_rules_that_break_an_expectation_are_reported(rule: Any, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        testing.check_time_rule(rule, "rule")


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_dialects_bring_their_rule_for_suites_with_videos(name: str) -> None:
    dialect = make_dialect(name)
    pictures = dialect.rules(videos=False)
    assert pictures["size_rule"] == dialect.size_rule
    assert "time_rule" not in pictures
    assert dialect.rules(videos=True) == {**pictures, "time_rule": dialect.time_rule}
    assert dialect.time_rule in TIME_RULES


# ── frames by other numbers ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def film(register: Callable[[Registry, str, Any], str]) -> Source:
    register(GENERATED_SIZES, "grey", lambda fps: (40, 30))
    grey = register(GENERATORS, "grey", lambda time, fps: Image.new("RGB", (40, 30), (round(time * fps) % 256, 0, 0)))
    return Source("generated", grey, {"fps": 4.0}, duration=12.0)


def started(sources: Sequence[Source], tools: Sequence[str], **arguments: Any) -> VisualSearchEnv:
    env = VisualSearchEnv(tools=[*tools, "answer"], min_pixels=1, max_pixels=5000, **arguments)
    env.reset(options={"task": Task("t", tuple(sources), "Which?", "x")})
    return env


def step(env: VisualSearchEnv, tool: str, **arguments: Any) -> tuple[str, str]:
    observation, _, _, _, info = env.step(Call(tool, arguments))
    return info["error"], observation["text"]


def test_the_frames_of_the_overview_are_among_the_sampled_ones(film: Source) -> None:
    for duration in (12.0, 7.3, 0.7, 601.1):
        env = started(
            [replace(film, duration=duration, args={"fps": 29.97})], ["sampled_frames"], time_rule="vr_thinker"
        )
        first = [view.frame for view in env.views]
        assert step(env, "sampled_frames", numbers=[0, 12, 24, 36])[0] == ""
        assert [view.frame for view in env.views[4:]] == first


def test_several_numbers_of_a_short_video_are_one_frame(film: Source) -> None:
    env = started([replace(film, duration=1.0), film], ["sampled_frames"], time_rule="vr_thinker")
    assert step(env, "sampled_frames", numbers=[0, 1, 2, 13, 48]) == ("", "sampled frames 0, 13, 48")
    assert [(view.video, view.frame) for view in env.views[8:]] == [(0, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ([96], "there is no frame 96; frames are 0 to 95"),
        ([-1], "there is no frame -1; frames are 0 to 95"),
        (list(range(9)), "9 frames are too many; at most 8 are shown at once"),
    ],
)
def test_sampled_frames_that_are_refused(film: Source, numbers: list[int], reason: str) -> None:
    env = started([film, film], ["sampled_frames"], time_rule="vr_thinker")
    assert step(env, "sampled_frames", numbers=numbers) == ("bad_time", reason)


def test_the_frame_at_a_time(film: Source) -> None:
    env = started([film], ["frame_at"], overview_frames=1)
    assert step(env, "frame_at", time=3.3) == ("", "Frame number at time 3.30 s is: 13.")
    assert step(env, "frame_at", time=12.0) == ("bad_time", "12.00 s is after the end of the video, at 12.00 s")
    assert step(env, "frame_at", time=-1.0)[0] == "bad_args"
    assert len(env.views) == 1


def test_pictures_have_no_frames_to_number(make_source: Callable[..., Source]) -> None:
    env = started([make_source(40, 30)], ["sampled_frames", "frame_at"])
    assert step(env, "sampled_frames", numbers=[0]) == ("bad_view", "this task has no video")
    assert step(env, "frame_at", time=1.0)[0] == "bad_view"
