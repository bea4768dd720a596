"""The scripted policies for visual planning, in each world and dialect."""

from __future__ import annotations

import numpy as np
import pytest

from o3gym.bench.definition import Bench
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory
from o3gym.worlds.base import World
from o3gym.worlds.plans import read_plan
from o3gym.worlds.records import planned, task_world

SUITES = ("planning-frozenlake", "planning-maze", "planning-minibehaviour")
WHOLE, STEPWISE = ("plan", "mgsd", "deepeyes"), ("vagen", "next_state", "openai", "qwen3_vl")


def play(
    policy: str, suite: str, dialect: str, count: int = 2, level: int = 5, seed: int = 0, turns: int = 32
) -> list[Trajectory]:
    """Episodes on the first layouts of a level, settled with the reward of VPRL."""
    options = {"suite_args": {"level": level}, "episodes": count, "reward": "vprl", "turns": (turns,)}
    (arm,) = Bench(suite, policies=(policy,), dialect=dialect, **options).arms()
    jobs = [Job(index, f"{index}", seed=seed) for index in range(count)]
    ended = sorted(rollout(jobs, make_policy(policy), make_dialect(dialect), arm), key=lambda one: int(one.group))
    return [one for group in settle([[one] for one in ended], "vprl") for one in group]


def layout(trajectory: Trajectory) -> World:
    world = task_world(trajectory.task)
    assert world is not None
    return world


@pytest.mark.parametrize("dialect", [*WHOLE, *STEPWISE])
@pytest.mark.parametrize("suite", SUITES)
def test_optimal_reaches_the_goal_on_the_shortest_way(suite: str, dialect: str) -> None:
    for trajectory in play("optimal", suite, dialect):
        length = layout(trajectory).optimal_length
        assert (trajectory.stop, trajectory.verdict, trajectory.score) == ("answered", "correct", 1.0)
        assert trajectory.reward == length
        assert len(trajectory.turns) == (1 if dialect in WHOLE else length)
        assert all(turn.parsed.well_formed and not turn.error for turn in trajectory.turns)


@pytest.mark.parametrize("dialect", [*WHOLE, *STEPWISE])
@pytest.mark.parametrize("suite", SUITES)
def test_a_random_walk_makes_valid_moves_alone(suite: str, dialect: str) -> None:
    for trajectory in play("random_walk", suite, dialect, turns=5):
        plan, world = planned(trajectory), layout(trajectory)
        assert plan is not None
        assert not plan.error
        assert world.score_plan(plan.moves).invalid == 0
        assert not any(turn.error for turn in trajectory.turns)
        assert trajectory.reward >= 0
        if dialect in WHOLE:
            reached = world.goal(world.after(plan.moves))
            assert len(plan.moves) == world.optimal_length or reached
        else:
            assert len(plan.moves) == len(trajectory.turns)


def test_a_random_walk_depends_on_its_seed_alone() -> None:
    def walk(seed: int, dialect: str = "plan") -> list[str]:
        return [one.answer for one in play("random_walk", "planning-minibehaviour", dialect, count=4, seed=seed)]

    assert walk(1) == walk(1) == walk(1, "mgsd")
    assert walk(1) != walk(2)


def test_every_valid_move_is_as_likely() -> None:
    (one,) = play("optimal", "planning-maze", "plan", count=1)
    world, policy = layout(one), make_policy("random_walk")
    rng = np.random.default_rng(0)
    state = max(world.graph, key=lambda state: sum(to >= 0 for to in world.graph[state]))
    moves = [policy.next_move(world, state, rng) for _ in range(600)]  # type: ignore[attr-defined]
    valid = [move for move, to in enumerate(world.graph[state]) if to >= 0]
    assert set(moves) == set(valid)
    assert all(abs(moves.count(move) - 600 / len(valid)) < 60 for move in valid)


def test_a_walk_that_reaches_the_goal_ends_there() -> None:
    for trajectory in play("random_walk", "planning-frozenlake", "plan", count=30, level=3):
        world = layout(trajectory)
        moves = read_plan(trajectory.answer, world.moves).moves
        assert not any(world.goal(world.after(moves[:i])) for i in range(len(moves)))


@pytest.mark.parametrize("policy", ["optimal", "random_walk"])
def test_a_task_of_another_kind_is_an_error_that_names_the_suites(policy: str) -> None:
    (arm,) = Bench(
        "synthetic", policies=(policy,), suite_args={"family": "hidden", "pixels": 60_000}, episodes=1
    ).arms()
    (trajectory,) = rollout([Job(0, "g", seed=0)], make_policy(policy), make_dialect(arm.dialect), arm)
    assert trajectory.stop == "error"
    message = trajectory.turns[-1].reply.error
    assert message.startswith("ValueError")
    assert 'of kind choice of the suite "synthetic"; the suites are planning-frozenlake' in message


def test_without_a_tool_for_moves_there_is_an_error() -> None:
    arm = Arm("arm", {"suite": "planning-maze", "tools": ["move"]}, "optimal", "plan")
    (trajectory,) = rollout([Job(0, "g", seed=0)], make_policy("optimal"), make_dialect("plan"), arm)
    assert "expected one of the tools draw_state, move, answer that dialect plan" in trajectory.turns[-1].reply.error
