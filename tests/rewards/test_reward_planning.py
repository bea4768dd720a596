"""The reward of VPRL's own worlds: released step rewards of the moves that a turn made or answered with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.rewards.planning import move_reward
from o3gym.rewards.recipes import make_recipe
from o3gym.rewards.settle import settle, upto
from o3gym.types import FULL, Parsed, Reply, Trajectory, Turn, View
from tests.rewards.reward_episodes import EMPTY, episode, look, mistake, task
from tests.worlds.planning_episodes import DOWN, DROP, LAKE, LEFT, PICK, RIGHT, ROOM, UP, answered, walk


def stepwise(trajectory: Trajectory) -> list[float]:
    return [move_reward(upto(trajectory, count)) for count in range(1, len(trajectory.turns) + 1)]


def total(trajectory: Trajectory) -> float | None:
    return settle([[trajectory]], "vprl")[0][0].reward


@pytest.mark.parametrize("drawn", [False, True])
def test_a_move_earns_one_closer_nothing_otherwise_and_minus_five_if_invalid(drawn: bool) -> None:
    wander = walk(LAKE, [DOWN], [UP], [RIGHT], [-1], [DOWN], [RIGHT], [RIGHT], [UP], drawn=drawn)
    assert stepwise(wander) == [1, 0, -5, -5, 1, 1, 1, 1]
    assert total(wander) == -5.0


def test_moves_of_one_turn_add_up() -> None:
    assert stepwise(walk(LAKE, [DOWN, RIGHT], [LEFT, LEFT], [RIGHT, RIGHT, UP])) == [2, -5, 3]


def test_picking_up_and_dropping_the_printer_earn_one() -> None:
    made = walk(ROOM, [UP, RIGHT], [PICK], [LEFT], [RIGHT, RIGHT], [DROP])
    assert stepwise(made) == [2, 1, 0, 2, 1]
    assert stepwise(walk(ROOM, [PICK], [UP, DROP])) == [-5, -4]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("down right right up", 4.0),
        ("down up", 1.0),
        ("down right left", 2.0),
        ("down up right down right right up", -4.0),  # what follows the first invalid move is not made
        ("up up up up", -5.0),
        ("down invalid right", -4.0),
        ("down right right up up up", 4.0),  # nothing after the goal
        ("jump", -5.0),
        ("", -5.0),
        ("R" * 2000, -5.0),
    ],
)
def test_a_plan_that_is_answered_as_a_whole_earns_up_to_its_first_invalid_move(text: str, value: float) -> None:
    assert total(answered(LAKE, text)) == value


@pytest.mark.parametrize(
    ("error", "value"),
    [("parse", -5), ("void", -5), ("bad_args", -5), ("unknown_tool", -5), ("bad_move", -5), ("budget", 0)],
)
def test_a_turn_without_a_move_is_an_invalid_step_unless_a_budget_refused_it(error: str, value: float) -> None:
    made = walk(LAKE, [DOWN], error, [RIGHT])  # type: ignore[arg-type]
    assert stepwise(made) == [1, value, 1]


def test_a_reply_that_was_cut_off_is_an_invalid_step() -> None:
    made = walk(LAKE, [DOWN], "parse")
    cut = replace(made, turns=(made.turns[0], replace(made.turns[1], error="")), stop="length")
    assert stepwise(cut) == [1, -5]


def test_an_answer_after_moves_earns_nothing_more() -> None:
    assert stepwise(answered(LAKE, "down right right up", [DOWN], [RIGHT])) == [1, 1, 0]


def test_another_look_at_an_earlier_state_is_no_move() -> None:
    made = walk(LAKE, [DOWN], [RIGHT], [RIGHT])
    again = View(3, 1, FULL, (256, 256), (256, 256), parent=1)
    views = (*made.views[:3], again, replace(made.views[3], index=4))
    seen = Turn(Reply(""), Parsed(look(FULL).parsed.call, True), views=(3,))
    turns = (*made.turns[:2], seen, replace(made.turns[2], views=(4,)))
    assert stepwise(replace(made, views=views, turns=turns)) == [1, 1, 0, 1]


def test_invalid_moves_whose_picture_no_budget_allowed_are_paid_for_once() -> None:
    made = walk(LAKE, [DOWN], [UP, -1], [DOWN, RIGHT, RIGHT, UP])
    views = (*made.views[:2], replace(made.views[3], index=2))
    turns = (made.turns[0], replace(made.turns[1], views=()), replace(made.turns[2], views=(2,)))
    assert stepwise(replace(made, views=views, turns=turns)) == [1, -5, 4]


def test_tasks_without_a_world_earn_nothing() -> None:
    assert stepwise(episode(task(), look(FULL), mistake(), said="B")) == [0, 0, 0]
    assert move_reward(EMPTY) == 0.0
    assert move_reward(replace(walk(LAKE), turns=())) == 0.0


def test_the_recipe_is_the_sum_of_the_steps_without_an_outcome() -> None:
    recipe = make_recipe("vprl")
    assert [(term.name, term.scope) for term in recipe.terms] == [("move_reward", "step")]
    assert "2505.11409" in recipe.source
    assert "train_rl" in recipe.source
    assert not recipe.pending
    settled = settle([[walk(LAKE, [DOWN, RIGHT, RIGHT, UP])]], recipe)[0][0]
    assert (settled.verdict, settled.terms, settled.reward) == ("correct", {"move_reward": 4.0}, 4.0)
