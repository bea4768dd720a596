"""Terms and formulas that raise or give no finite number: named with their episode, and the others are settled."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import pytest

from o3gym.calls import answer
from o3gym.policies.base import make_policy
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardError, RewardRecipe, Term
from o3gym.rewards.faults import RewardFault
from o3gym.rewards.settle import AsyncJudge, settle
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory

ENV = {"suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 60_000}}


@pytest.fixture(scope="module")
def group() -> list[Trajectory]:
    """Three siblings."""
    from o3gym.dialects.base import make_dialect

    jobs = [Job(0, "g", sample, seed=sample) for sample in range(3)]
    (played,) = collect(rollout(jobs, make_policy("oracle"), make_dialect("qwen3_vl"), Arm("train", ENV)))
    return played


def at(sample: int, fault: Any) -> Any:
    """A term that has the fault in one sibling only."""

    def compute(trajectory: Trajectory, parent: Trajectory | None = None) -> Any:
        return fault() if trajectory.sample == sample else 1.0

    return compute


def raises() -> Any:
    raise ZeroDivisionError("a bug")


def together(fault: Any) -> Any:
    def compute(siblings: Sequence[Trajectory]) -> Any:
        values: list[Any] = [1.0 for _ in siblings]
        return fault(values)

    return compute


def recipe(*terms: Term, combine: Any = lambda terms: sum(terms.values())) -> RewardRecipe:
    return RewardRecipe("mine", (Term("fine", "trajectory", lambda t: 0.5, "test"), *terms), combine, "test")


FAULTS = {"raised ZeroDivisionError: a bug": raises, "is nan": lambda: math.nan, "is -inf": lambda: -math.inf}


@pytest.mark.parametrize("scope", ["step", "end", "trajectory", "parent"])
@pytest.mark.parametrize("said", FAULTS)
def test_one_episode_has_no_reward_and_is_named(group: Any, scope: Any, said: str, caplog: Any) -> None:
    made = recipe(Term("mad", scope, at(1, FAULTS[said]), "test"))
    above = {t.key: replace(group[0], verdict="correct", children=(t,)) for t in group}
    (settled,) = settle([group], made, parents=above)
    assert [t.reward is None for t in settled] == [False, True, False]
    assert settled[1].terms == {"fine": 0.5}
    assert [t.verdict for t in settled] == ["correct"] * 3
    assert f'episode {group[1].key}: reward term "mad" {said}' in caplog.text


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda values: raises(), "raised ZeroDivisionError"),
        (lambda values: values[1:], "has 2 values for 3 siblings"),
        (lambda values: [*values[1:], math.nan], "is nan"),
        (lambda values: None, "raised TypeError"),
    ],
)
def test_a_group_term_costs_its_group(group: Any, fault: Any, said: str, caplog: Any) -> None:
    other = [replace(t, group="other") for t in group]
    made = recipe(Term("mad", "group", lambda s: together(fault)(s) if s[0].group == "g" else [0.0] * len(s), "test"))
    settled = settle([group, other], made)
    assert [[t.reward for t in siblings] for siblings in settled] == [[None] * 3, [0.5] * 3]
    assert "group g with episode" in caplog.text
    assert f'reward term "mad" {said}' in caplog.text


@pytest.mark.parametrize("combine", [lambda terms: terms["missing"], lambda terms: math.inf])
def test_a_formula_that_fails_is_named(group: Any, combine: Any, caplog: Any) -> None:
    (settled,) = settle([group], recipe(combine=combine))
    assert [t.reward for t in settled] == [None] * 3
    assert 'reward "mine"' in caplog.text
    assert 'reward "mine" 3): episode' in caplog.text
    assert "3 reward values could not be computed" in caplog.text


def test_one_line_counts_faults_by_term_and_names_the_first(group: Any, caplog: Any) -> None:
    made = recipe(Term("mad", "end", at(1, raises), "t"), Term("nan", "end", lambda t: math.nan, "t"))
    settle([group], made)
    (record,) = caplog.records
    assert record.message.startswith(
        '4 reward values could not be computed (reward term "nan" 3, reward term "mad" 1): '
    )
    assert record.message.count("episode (") == 3
    assert record.message.endswith("; and 1 more")


def test_a_single_fault_is_in_the_singular(group: Any, caplog: Any) -> None:
    settle([group], recipe(Term("mad", "end", at(1, raises), "t")))
    (record,) = caplog.records
    assert record.message == (
        '1 reward value could not be computed (reward term "mad" 1): '
        f'episode {group[1].key}: reward term "mad" raised ZeroDivisionError: a bug'
    )


def test_a_run_says_it_once(group: Any, caplog: Any) -> None:
    kept: list[Trajectory] = []
    with (
        caplog.at_level(logging.WARNING),
        AsyncJudge(recipe(Term("mad", "end", at(1, raises), "t")), None, kept.append) as judge,
    ):
        for trajectory in [*group, *group]:
            judge.put(trajectory)
    assert [t.reward is None for t in kept] == [False, True, False] * 2
    first, summary = (record.message for record in caplog.records)
    assert first.startswith(f"an episode has no reward: episode {group[1].key}: ")
    assert summary.startswith('2 reward values could not be computed (reward term "mad" 2): episode ')


def test_a_group_term_in_a_run_is_reported_for_whole_groups_only(group: Any, caplog: Any) -> None:
    kept: list[Trajectory] = []
    made = recipe(Term("mad", "group", lambda siblings: 1 / 0, "t"))
    with AsyncJudge(made, None, kept.append) as judge:
        judge.put(group[0])
    assert (kept[0].reward, caplog.text) == (None, "")
    faults: list[RewardFault] = []
    settle([group], made, faults=faults)
    assert ([fault.group for fault in faults], caplog.text) == (["g"], "")


def test_an_environment_names_the_term(register: Any) -> None:
    made = recipe(Term("mad", "step", lambda t: math.nan, "test"))
    register(REWARDS, "mad reward", made)
    env = gym.make("o3gym/VisualSearch-v0", **ENV, reward="mad reward")
    env.reset(seed=0)
    with pytest.raises(RewardError, match='reward term "mad" is nan'):
        env.step(answer("A"))
    env.close()
