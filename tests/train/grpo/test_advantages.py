"""Advantages, over-turn masking and weights: against hand-computed cases and the papers' formulas written out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.calls import crop, noop
from o3gym.train.grpo.advantages import (
    Denominator,
    Mean,
    Norm,
    advantages,
    difficulty_weights,
    kept,
    masking_stop,
    uniform,
    weights,
)
from o3gym.train.grpo.experience import EpisodeStats, _stats, compute_advantages
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.recipe import RecipeError
from o3gym.types import FULL, OVER_TURN, Call, Parsed, Reply, Source, Stop, Task, Trajectory, Turn

STOPS = get_args(Stop)


def test_one_group_by_hand() -> None:
    rewards, groups = [1.0, 0.0, 0.0, 1.0], ["a"] * 4  # mean 1/2, unbiased std sqrt(1/3)
    assert advantages(rewards, groups, std=False) == pytest.approx([0.5, -0.5, -0.5, 0.5])
    assert advantages(rewards, groups) == pytest.approx([0.8660239, -0.8660239, -0.8660239, 0.8660239])
    assert advantages(rewards, groups, norm="leave_one_out", std=False) == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3])


def test_masked_rows_in_and_out_of_the_statistics_by_hand() -> None:
    rewards, groups = [1.0, 0.0, 0.0, 0.0], ["a"] * 4
    counted = kept(["answered", "answered", "over_turn", "over_turn"], over_turn_masking=True)
    assert advantages(rewards, groups, std=False) == pytest.approx([0.75, -0.25, -0.25, -0.25])
    assert advantages(rewards, groups, std=False, counted=counted) == pytest.approx([0.5, -0.5, 0, 0])


def test_global_statistics_go_over_all_groups() -> None:
    rewards, groups = [1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]
    assert not advantages(rewards, groups).any()
    assert advantages(rewards, groups, norm="global", std=False) == pytest.approx([0.5, 0.5, -0.5, -0.5])
    # the deviation of the population: 0.5
    assert advantages(rewards, groups, norm="global") == pytest.approx([1, 1, -1, -1], abs=1e-5)


def test_difficulty_weights_by_hand() -> None:
    """VITAL's: format 1 and an answer 1 make a full reward of 2, and a group's difficulty is its distance to it."""
    rewards, groups = [2.0, 1.0, 2.0, 2.0, 0.0, 1.0, 0.0, 0.0, 2.5, 2.5, 2.5, 2.0], ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    # Means 1.75, 0.25 and 2.375 → difficulties 0.25, 1 (clipped from 1.75) and 0 (clipped from −0.375).
    weighed = [0.625] * 4 + [1.0] * 4 + [0.5] * 4
    assert difficulty_weights(rewards, groups, 2.0) == pytest.approx(weighed)
    plain, full = advantages(rewards, groups), advantages(rewards, groups, full_reward=2.0)
    assert full == pytest.approx(plain * weighed)
    # The deviation of one in four is 1/2: 0.25 / 0.5 and −0.75 / 0.5, times 0.625.
    assert full[:4] == pytest.approx([0.3125, -0.9375, 0.3125, 0.3125], abs=1e-5)
    assert advantages(rewards, groups, std=False, full_reward=2.0)[:2] == pytest.approx([0.15625, -0.46875])
    assert advantages(rewards, groups, full_reward=0.0) == pytest.approx(plain)


def test_the_difficulty_of_a_group_is_that_of_its_counted_rollouts() -> None:
    counted = np.array([True, True, False, True])
    rewards, groups = [2.0, 1.0, 0.0, 2.0], ["a", "a", "a", "b"]
    assert difficulty_weights(rewards, groups, 2.0, counted) == pytest.approx([0.75, 0.75, 0.75, 0.5])
    weighed = advantages(rewards, groups, std=False, counted=counted, full_reward=2.0)
    assert weighed == pytest.approx([0.375, -0.375, 0.0, 0.0])


def test_difficulty_weights_go_by_groups_whatever_the_mean_is_taken_over() -> None:
    rewards, groups = [2.0, 2.0, 0.0, 0.0], ["a", "a", "b", "b"]
    assert advantages(rewards, groups, norm="global", std=False, full_reward=2.0) == pytest.approx([0.5, 0.5, -1, -1])


def test_a_recipe_turns_difficulty_weights_on_for_its_own_episodes_only() -> None:
    def stats(in_loop: bool) -> list[EpisodeStats]:
        return [EpisodeStats("g", reward, "answered", 3, 0, in_loop) for reward in (2.0, 1.0)]

    settings = ["std=false", "updates=1", "in_loop.norm=group"]
    weighed = load_grpo("mini_o3", [*settings, "difficulty_weights=true"])
    assert compute_advantages(stats(False), weighed)[0] == pytest.approx([0.375, -0.375])
    assert compute_advantages(stats(True), weighed)[0] == pytest.approx([0.5, -0.5])
    assert compute_advantages(stats(False), replace(weighed, full_reward=1.5))[0] == pytest.approx([0.25, -0.25])
    assert compute_advantages(stats(False), load_grpo("mini_o3", settings))[0] == pytest.approx([0.5, -0.5])
    with pytest.raises(RecipeError, match=r"full_reward: expected at least 0, got -1"):
        load_grpo("mini_o3", ["full_reward=-1"])


@pytest.mark.parametrize("stop", STOPS)
def test_only_who_still_wanted_to_look_is_masked(stop: str) -> None:
    assert kept([stop], over_turn_masking=False).all()
    assert kept([stop], over_turn_masking=True).all() == (stop not in ("over_turn", "over_views", "over_context"))
    assert kept([stop], over_turn_masking=False, void="mask").all() == (stop != "void")


def ended(stop: str, error: str = "", tool: str = "crop") -> Trajectory:
    call = noop("parse", "?") if error in ("parse", "void") else Call(tool, {})
    turns = (Turn(Reply("x"), Parsed(crop(FULL)), ""), Turn(Reply("x"), Parsed(call), error))
    task = Task("t", (Source.file("a.png"),), "?")
    return Trajectory(task, task.sources, (), turns, stop=stop)


@pytest.mark.parametrize(
    ("trajectory", "attempted"),
    [
        (ended("over_turn", "budget"), "over_turn"),
        (ended("malformed", "parse"), "over_turn"),
        (ended("malformed", "bad_box"), "over_turn"),
        (ended("malformed", "void"), "malformed"),
        (ended("malformed", "bad_args", "answer"), "malformed"),
        (ended("answered"), "answered"),
        (ended("void", "void"), "void"),
        (replace(ended("malformed"), turns=()), "malformed"),
    ],
)
def test_attempted_calls_in_the_last_turn_are_masked_on_request(trajectory: Trajectory, attempted: str) -> None:
    assert masking_stop(trajectory) == trajectory.stop
    assert masking_stop(trajectory, "attempted") == attempted


BLOCK = '{"bbox_2d": [0, 0, 0.5, 0.5], "source": "original_image"}'


@pytest.mark.parametrize(
    ("dialect", "text", "stop", "attempted"),
    [
        ("mini_o3", f"<think>t</think><grounding>{BLOCK}</grounding>", "over_turn", "over_turn"),
        ("mini_o3", "<think>t</think><grounding>?</grounding>", "malformed", "over_turn"),
        ("mini_o3", "<grounding>?\n?</grounding> then <grounding>{", "malformed", "over_turn"),
        ("mini_o3", "<think>t</think><grounding>{", "malformed", "malformed"),
        ("mini_o3", f"<think>t</think><grounding>{BLOCK}", "over_turn", "malformed"),  # our parser completes it
        ("mini_o3", f"<think>t</think><grounding>{BLOCK}", "over_views", "malformed"),
        ("mini_o3", f"<think>t</think><grounding>{BLOCK}</grounding>", "over_views", "over_views"),
        ("mini_o3", '<think>t</think><answer>{"bbox_2d": "?"}</answer>', "malformed", "malformed"),
        ("deepeyes?frame=native", "<tool_call>{</tool_call>", "malformed", "over_turn"),
        ("deepeyes", "<tool_call>{", "malformed", "malformed"),
        ("grid", "look 4x4 z9", "malformed", "over_turn"),  # calls without tags
    ],
)
def test_attempted_calls_are_closed_blocks_readable_or_not(dialect: str, text: str, stop: str, attempted: str) -> None:
    turn = Turn(Reply(text), Parsed(noop("parse", "?"), False), "parse")
    trajectory = replace(ended(stop, "parse"), turns=(turn,), dialect=dialect)
    assert masking_stop(trajectory) == stop
    assert masking_stop(trajectory, "attempted") == attempted


@pytest.mark.parametrize(("over_turn", "stop"), [("valid", "malformed"), ("attempted", "over_turn")])
def test_a_recipe_chooses_whether_attempted_calls_are_masked(over_turn: str, stop: str) -> None:
    recipe = load_grpo("mini_o3", [f"over_turn={over_turn}"])
    assert _stats(ended("malformed", "bad_box"), 0, 0, False, recipe).stop == stop


def test_gibberish_to_the_limit_is_punished_with_masking_on() -> None:
    stops = ["answered", "malformed", "over_turn", "answered"]
    counted = kept(stops, over_turn_masking=True)
    for stats in (None, counted):
        given_to = advantages([1, 0, 0, 1], ["a"] * 4, counted=stats)
        assert given_to[1] < 0
        assert weights([5] * 4, counted)[1] > 0
        assert weights([5] * 4, counted)[2] == 0


def test_a_lone_rollout_and_a_uniform_group_have_no_advantage() -> None:
    assert advantages([1.0], ["a"]) == pytest.approx([0])
    assert advantages([1.0, 0.0], ["a", "a"], counted=np.array([True, False])) == pytest.approx([0, 0])
    assert uniform([1, 1, 0, 1, 3], ["a", "a", "b", "b", "c"]).tolist() == [True, True, False, False, True]


def test_weights_by_hand() -> None:
    tokens, counted = [2, 6, 4], np.array([True, True, False])
    assert weights(tokens, counted) == pytest.approx([1 / 8, 1 / 8, 0])
    assert weights(tokens, counted, denominator="all") == pytest.approx([1 / 12, 1 / 12, 0])
    assert weights(tokens, counted, mean="sequence") == pytest.approx([1 / 4, 1 / 12, 0])
    assert weights(tokens, counted, mean="sequence", denominator="all") == pytest.approx([1 / 6, 1 / 18, 0])
    assert not weights(tokens, np.zeros(3, bool)).any()


rollouts = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from(STOPS), st.floats(0, 1).map(lambda r: round(r, 2)), st.integers(1, 9)
    ),
    min_size=1,
    max_size=12,
)


@given(rollouts)
def test_they_are_the_formula_of_the_paper(batch: list[tuple[str, str, float, int]]) -> None:
    """Mini-o3's objective at ratio 1, 1/ΣM Σ_i M_i A_i with A_i = (r_i − mean)/(std + 1e-6), term by term."""
    groups, stops, rewards, tokens = (list(column) for column in zip(*batch, strict=True))
    literal = 0.0
    m = [0 if s in OVER_TURN else 1 for s in stops]
    for i in range(len(batch)):
        siblings = [rewards[j] for j in range(len(batch)) if groups[j] == groups[i]]
        mean = sum(siblings) / len(siblings)
        if len(siblings) > 1:
            std = math.sqrt(sum((r - mean) ** 2 for r in siblings) / (len(siblings) - 1))
            literal += m[i] * (rewards[i] - mean) / (std + 1e-6)
    literal /= max(sum(m), 1)
    counted = kept(stops, over_turn_masking=True)
    ours = advantages(rewards, groups) * weights(tokens, counted, mean="sequence") * tokens
    assert ours.sum() == pytest.approx(literal, abs=1e-9)


@given(rollouts, st.sampled_from(get_args(Norm)), st.booleans())
def test_advantages_of_those_counted_add_up_to_nothing(batch: Any, norm: Norm, std: bool) -> None:
    groups, stops, rewards, _ = (list(column) for column in zip(*batch, strict=True))
    counted = kept(stops, over_turn_masking=True)
    given_to = advantages(rewards, groups, norm=norm, std=std, counted=counted)
    assert given_to.sum() == pytest.approx(0, abs=1e-6)
    assert not given_to[~counted].any()


@given(rollouts, st.sampled_from(get_args(Mean)), st.sampled_from(get_args(Denominator)))
def test_weights_of_the_whole_batch_add_up_to_one(batch: Any, mean: Mean, denominator: Denominator) -> None:
    _, stops, _, tokens = (list(column) for column in zip(*batch, strict=True))
    counted = kept(stops, over_turn_masking=True)
    whole = (weights(tokens, counted, mean=mean, denominator=denominator) * tokens).sum()
    share = np.array(tokens)[counted].sum() / sum(tokens) if mean == "token" else counted.mean()
    assert whole == pytest.approx(float(counted.any()) if denominator == "kept" else share)


def test_a_failed_judge_and_uneven_columns_are_errors() -> None:
    with pytest.raises(ValueError, match="not a number"):
        advantages([math.nan, 1.0], ["a", "a"])
    with pytest.raises(ValueError, match="2 rewards, 1 groups"):
        advantages([0.0, 1.0], ["a"])
