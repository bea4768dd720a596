"""The reward of visual planning: what VPRL's training pays for each move in its three worlds.

The environment computes the term for each turn. The plans of the newest state before the turn and of the newest state
that it shows differ in the moves that the turn made.
"""

from __future__ import annotations

from collections.abc import Iterable

from o3gym.rewards.base import Term
from o3gym.types import Trajectory
from o3gym.worlds.base import INVALID_REWARD, World
from o3gym.worlds.plans import read_plan
from o3gym.worlds.records import newest_standing

VPRL_RELEASED = (
    "Visual Planning (VPRL), arXiv 2505.11409, progress reward; its numbers from yix8/VisualPlanning at cce9dd6, "
    "train_rl_frozen.py, train_rl_maze.py and train_rl_mini.py"
)


def move_reward(trajectory: Trajectory) -> float:
    """The released rewards of the moves of the last turn: 1 for a move closer to the goal, −5 if invalid, otherwise 0.

    A plan that is answered as a whole earns them for its moves up to and including the first invalid one, and a plan
    that cannot be read is one invalid move. Nothing is earned after the goal, nor by an answer that follows moves, as
    they are paid for already. It is 0 for tasks that are not of planning.
    """
    now = newest_standing(trajectory.sources)
    if now is None or not trajectory.turns:
        return 0.0
    last, world = trajectory.turns[-1], now.world
    if made := _made(trajectory):
        return _earned(world, *made)
    if last.error == "budget":  # Nobody knows whether the move is valid. Released training has no budgets.
        return 0.0
    # Released training gives −5 to an output that is no picture, because it holds a token beyond the picture codes. A
    # reply without a readable call is the same failure to name a move, and so is one that was cut off before its call.
    if last.error or last.parsed.call.tool == "noop":
        return INVALID_REWARD
    if trajectory.stop == "answered" and not now.plan:
        written = read_plan(trajectory.answer, world.moves)
        return INVALID_REWARD if written.error else _earned(world, world.start, written.moves)
    return 0.0


def _made(trajectory: Trajectory) -> tuple[int, tuple[int, ...]] | None:
    """The state before the last turn and the moves that the turn made; None if it showed no new state."""
    shown = trajectory.turns[-1].views
    earlier = trajectory.views[: min(shown, default=0)]
    known = max((view.source for view in earlier), default=-1)
    new = [trajectory.views[index].source for index in shown if trajectory.views[index].source > known]
    if not new:
        return None  # Views may show an older state again; sources are numbered in the order in which they came.
    # A source without a view lies in between if a turn's pictures exceeded a budget, so `known` may not be the newest.
    before = newest_standing(trajectory.sources[: min(new)])
    after = newest_standing(trajectory.sources[: max(new) + 1])
    if before is None or after is None or before.plan == after.plan:
        return None
    return before.state, after.plan[len(before.plan) :]


def _earned(world: World, state: int, moves: Iterable[int]) -> float:
    """The sum of the rewards of moves that start in a state, up to the goal or to the first invalid move."""
    total = 0.0
    for move in moves:
        if world.goal(state):
            break
        total += world.reward(state, move)
        state, valid = world.step(state, move)
        if not valid:
            break
    return total


MOVE_REWARD_TERM = Term("move_reward", "step", move_reward, VPRL_RELEASED)
