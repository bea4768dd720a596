"""A dialect brings the rules and tools of its system into a benchmark's environment."""

from __future__ import annotations

import pytest

from o3gym.bench.definition import Bench
from o3gym.rollout.loop import rollout
from o3gym.train.data.sources import PolicySource


def films(family: str, dialect: str, policy: str = "oracle") -> Bench:
    args = {"family": family, "difficulty": "easy", "seconds": 12}
    small = {"overview_frames": 4, "min_pixels": 400, "max_pixels": 1600}
    return Bench("synthetic_video", suite_args=args, policies=(policy,), dialect=dialect, episodes=2, env=small)


@pytest.mark.parametrize(
    ("dialect", "rule", "tools"),
    [
        ("qwen3_vl", "o3gym", ["clip", "frames", "crop", "zoom", "reuse", "locate_span"]),
        ("pixel_reasoner", "pixel_reasoner", ["frames", "crop", "locate_span"]),
        ("vital", "vital", ["clip", "locate_span"]),
        ("longvt", "longvt", ["clip", "locate_span"]),
        ("vr_thinker", "vr_thinker", ["locate_span", "sampled_frames"]),
        ("frame_thinker", "frame_thinker", ["frames", "locate_span", "frame_at"]),
    ],
)
def test_the_time_rule_and_the_tools_follow_the_dialect(dialect: str, rule: str, tools: list[str]) -> None:
    (arm,) = films("event", dialect).arms()
    assert (arm.env["time_rule"], arm.env["tools"]) == (rule, tools)


def test_a_suite_of_pictures_needs_no_time_rule() -> None:
    (arm,) = Bench(policies=("oracle",), dialect="pixel_reasoner", episodes=1).arms()
    assert arm.env["size_rule"] == "pixel_reasoner"
    assert "time_rule" not in arm.env
    (own,) = Bench("synthetic_video", dialect="vital", episodes=1, env={"time_rule": "o3gym"}).arms()
    assert own.env["time_rule"] == "o3gym"


@pytest.mark.parametrize(("dialect", "on_void"), [("thyme", None), ("pyvision", "continue"), ("deepeyes_v2", None)])
def test_systems_that_write_code_bring_their_code_rule_and_the_tool(dialect: str, on_void: str | None) -> None:
    (arm,) = Bench(policies=("oracle",), dialect=dialect, episodes=1).arms()
    assert (arm.env["code_rule"], arm.env.get("on_void"), arm.env["tools"][-1]) == (dialect, on_void, "code")
    assert not {"crop", "zoom"} & set(arm.env["tools"])
    (own,) = Bench(policies=("oracle",), dialect=dialect, episodes=1, env={"code_rule": "o3gym"}).arms()
    assert own.env["code_rule"] == "o3gym"
    (other,) = Bench(policies=("oracle",), dialect="qwen3_vl", episodes=1).arms()
    assert not {"code_rule", "on_void"} & set(other.env)
    assert "code" not in other.env["tools"]


@pytest.mark.parametrize(
    "dialect", ["qwen3_vl", "openai", "pixel_reasoner", "vital", "longvt", "vr_thinker", "frame_thinker"]
)
def test_the_oracle_speaks_every_dialect_for_videos(dialect: str) -> None:
    bench = films("event", dialect)
    (arm,) = bench.arms()
    for episode in rollout(bench.jobs(), bench.open_policy("oracle"), bench.open_dialect(dialect), arm):
        assert (episode.stop, [turn.error for turn in episode.turns]) == ("located", ["", ""])
        assert all(turn.parsed.well_formed for turn in episode.turns)
        (truth,) = {target.time for target in episode.task.targets}
        assert episode.span == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize("dialect", ["vital", "vr_thinker", "frame_thinker"])
def test_demonstrations_follow_the_rules_of_the_dialect(dialect: str) -> None:
    args = {"family": "glimpse", "difficulty": "easy", "seconds": 12}
    small = {"overview_frames": 4, "min_pixels": 400, "max_pixels": 1600}
    source = PolicySource("oracle", "synthetic_video", suite_args=args, dialect=dialect, env=small)
    assert source.arm.env["time_rule"] == dialect
    episode = source.episode(0, 0)
    assert [turn.error for turn in episode.turns] == ["", ""]
    messages = source.example(0, 0)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user", "assistant"]
