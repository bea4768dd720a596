"""The judge of visual planning: whether a plan that was written as text solves the layout of the task."""

from __future__ import annotations

from o3gym.judges.base import Judgement, decided, failed, has_truth
from o3gym.types import Box, Task
from o3gym.worlds.base import LayoutError, PlanScore
from o3gym.worlds.plans import read_plan
from o3gym.worlds.records import PLANNING_GENERATOR, task_world


def plan(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Correct if the plan reaches the goal in the optimal number of moves, none of which is invalid: exact match.

    The score is the progress: the share of the optimal path that the plan covers before its first move that does not
    come closer to the goal. Every optimal plan is correct, whichever of them the task states as its answer. An answer
    that is no plan is wrong.
    """
    try:
        world = task_world(task)
    except LayoutError as error:
        return failed(f"task {task.id}: {error}")
    if world is None or not has_truth(task):
        return failed(f"task {task.id} has no layout to plan in")
    written = read_plan(answer, world.moves)
    if written.error:
        return decided(False, written.error)
    score = world.score_plan(written.moves)
    reason = "" if score.exact else _fault(score, len(written.moves), world.optimal_length)
    return Judgement("correct" if score.exact else "wrong", score.progress, reason)


def asks_for_plan(task: Task) -> bool:
    """Whether a picture of the task is a state of a world of visual planning."""
    return any(source.kind == "generated" and source.ref == PLANNING_GENERATOR for source in task.sources)


def _fault(score: PlanScore, moves: int, optimal: int) -> str:
    end = f"the goal is reached in {moves} moves" if score.reached else "the goal is not reached"
    invalid = f"; invalid moves: {score.invalid}" if score.invalid else ""
    return f"{round(score.progress * optimal)} of {optimal} optimal moves; {end}{invalid}"
