"""MiniBehaviour's rules: the printer blocks until it is picked up, and any best pair of cells is optimal."""

from __future__ import annotations

from typing import Any

import pytest

from o3gym.worlds import LayoutError, MiniBehaviour, draw_world
from o3gym.worlds.mini_behaviour import DROP, PICK

#   . . . . .     the printer P in the middle of the second row, the table T below it
#   . . P . .
#   . . . . .
#   . T T T .
#   S T T T .
TABLE = (16, 17, 18, 21, 22, 23)
ROOM = MiniBehaviour(5, TABLE, printer=7, start=20)
UP, DOWN, LEFT, RIGHT = range(4)


def test_the_printer_is_picked_up_carried_and_dropped() -> None:
    plan = ROOM.optimal_plan()
    # Three steps to the cell left of the printer or below it, pick, at most one step to the table, drop.
    assert len(plan) == ROOM.optimal_length == 6
    assert (plan.count(PICK), plan[-1]) == (1, DROP)
    assert ROOM.score_plan(plan).exact


def test_the_printer_blocks_until_it_is_picked_up() -> None:
    beside = ROOM.state(6, carrying=False)
    assert ROOM.step(beside, RIGHT) == (beside, False)
    carrying, valid = ROOM.step(beside, PICK)
    assert valid
    assert ROOM.step(carrying, RIGHT) == (ROOM.state(7, carrying=True), True)
    assert ROOM.step(carrying, PICK) == (carrying, False)


def test_pick_and_drop_work_beside_printer_and_table_only() -> None:
    assert ROOM.step(ROOM.start, PICK) == (ROOM.start, False)
    assert ROOM.step(ROOM.start, DROP) == (ROOM.start, False)
    far = ROOM.state(0, carrying=True)
    assert ROOM.step(far, DROP) == (far, False)
    done, valid = ROOM.step(ROOM.state(12, carrying=True), DROP)
    assert valid
    assert ROOM.goal(done)
    assert ROOM.graph[done] == (-1,) * 6


@pytest.mark.parametrize("level", [5, 6])
def test_every_valid_pick_and_drop_earns_one(level: int) -> None:
    for seed in range(20):
        room = draw_world("minibehaviour", seed, level)
        handled = [(state, move) for state in room.graph for move in (PICK, DROP) if room.graph[state][move] != -1]
        assert {move for _, move in handled} == {PICK, DROP}
        assert all(room.reward(state, move) == 1 for state, move in handled)
    assert ROOM.reward(ROOM.start, PICK) == -5


def pair_reward(state: int, to: int) -> float:
    """The released rule: a move earns 1 if it comes closer to the first cell of any best pair."""
    cell, after, carrying = ROOM.cell(state), ROOM.cell(to), ROOM.phase(state) == 1
    steps = {side: ROOM.walking_distances(side, carrying) for side in ROOM.table_sides | ROOM.printer_sides}
    if carrying:
        totals = {side: steps[side][cell] for side in ROOM.table_sides}
    else:
        onward = {
            side: min(ROOM.walking_distances(end, True)[side] for end in ROOM.table_sides)
            for side in ROOM.printer_sides
        }
        totals = {side: steps[side][cell] + onward[side] for side in ROOM.printer_sides}
    best = [side for side, total in totals.items() if total == min(totals.values())]
    return float(any(steps[side][after] == steps[side][cell] - 1 for side in best))


def test_moves_are_rewarded_by_any_best_pair() -> None:
    moves = [(state, move) for state in ROOM.graph for move in range(4) if ROOM.graph[state][move] != -1]
    assert len(moves) > 90
    assert all(ROOM.reward(state, move) == pair_reward(state, ROOM.graph[state][move]) for state, move in moves)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 2}, "level: expected a whole number from 3 to 14"),
        ({"table": ()}, "table: expected a rectangle"),
        ({"table": TABLE[:5]}, "table: expected a rectangle"),
        ({"table": (3, 4, 5, 8, 9, 10)}, "table: expected a rectangle"),
        ({"table": (*TABLE[:5], 25)}, "table: expected a cell from 0 to 24"),
        ({"printer": 16}, "overlap"),
        ({"start": 7}, "overlap"),
        ({"start": 22}, "overlap"),
        ({"direction": 4}, "direction: expected 0, 1, 2 or 3"),
        ({"table": (1, 2, 6, 7, 11, 12), "printer": 5, "start": 24}, None),
        ({"table": (5, 6, 7, 10, 11, 12), "printer": 3, "start": 0}, None),
        ({"level": 3, "table": (3, 4, 5, 6, 7, 8), "printer": 1, "start": 0}, None),
        ({"level": 3, "table": (1, 2, 4, 5, 7, 8), "printer": 3, "start": 0}, None),
    ],
)
def test_malformed_layouts_are_refused_and_both_shapes_of_tables_accepted(
    change: dict[str, Any], message: str | None
) -> None:
    arguments = {"level": 5, "table": TABLE, "printer": 7, "start": 20, **change}
    if message is None:
        assert MiniBehaviour(**arguments).optimal_length >= 2
        return
    with pytest.raises(LayoutError, match=message):
        MiniBehaviour(**arguments)
