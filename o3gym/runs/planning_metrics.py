"""The metrics of visual planning: exact match and progress, by the side of the grid and by the length of the path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from o3gym.runs.suite_metrics import Measure, Numbers, percent
from o3gym.types import Trajectory
from o3gym.worlds.records import newest_standing, planned, task_world

LENGTH_BANDS = ((1, "1-3"), (4, "4-6"), (7, "7-9"), (10, "10+"))
"""The least optimal length of each band, and the band's name."""


class PlanOutcome(NamedTuple):
    """What the measure needs of an episode.

    `moves` is the number of moves of its plan, `invalid` the number of those that are invalid, and `length` the
    optimal number of moves. The other fields are as in `o3gym.worlds.PlanScore` and `o3gym.worlds.World`.
    """

    exact: bool
    progress: float
    reached: bool
    invalid: int
    moves: int
    level: int
    length: int


def _planning_read(trajectory: Trajectory) -> PlanOutcome | None:
    """Scores the plan that the episode answered with, or else the moves that it made; None for other tasks.

    Of an episode that made moves, these are counted, also if it answered with another plan in the end.
    """
    world, written, now = task_world(trajectory.task), planned(trajectory), newest_standing(trajectory.sources)
    if world is None or written is None or now is None:
        return None
    score = world.score_plan(written.moves)
    made = now.plan or written.moves
    # An answer that is no plan counts as one invalid move, as in the reward; an episode without an answer has none.
    unreadable = int(bool(written.error) and trajectory.stop == "answered")
    invalid, moves = world.score_plan(made).invalid + unreadable, len(made) + unreadable
    return PlanOutcome(score.exact, score.progress, score.reached, invalid, moves, world.level, world.optimal_length)


def _planning(read: Sequence[PlanOutcome | None]) -> Numbers:
    """Exact match, progress, episodes that reached the goal, and the share of all moves that are invalid.

    A plan matches exactly if it reaches the goal in the optimal number of moves and none is invalid. Progress is the
    share of the optimal path that it covers before its first move that does not come closer to the goal, mean over
    episodes. Both are also given per level and per band of optimal lengths. Source: VPRL, arXiv 2505.11409, which
    reports exact match and progress; the bands are ours.
    """
    known = [outcome for outcome in read if outcome is not None]
    moves = sum(outcome.moves for outcome in known)
    numbers: Numbers = {
        "exact match %": percent(outcome.exact for outcome in known),
        "progress %": percent(outcome.progress for outcome in known),
        "goal reached %": percent(outcome.reached for outcome in known),
        "invalid moves %": 100 * sum(outcome.invalid for outcome in known) / moves if moves else None,
    }
    levels = [(level, f"level {level}") for level in sorted({outcome.level for outcome in known})]
    numbers |= _by_part(known, levels, lambda outcome: outcome.level)
    return numbers | _by_part(known, [(least, f"{band} moves") for least, band in LENGTH_BANDS], _band)


def _by_part(
    known: Sequence[PlanOutcome], parts: Iterable[tuple[int, str]], part_of: Callable[[PlanOutcome], int]
) -> Numbers:
    """Exact match and progress of each part that has episodes."""
    numbers: Numbers = {}
    for key, name in parts:
        part = [outcome for outcome in known if part_of(outcome) == key]
        if part:
            numbers[f"exact match, {name} %"] = percent(outcome.exact for outcome in part)
            numbers[f"progress, {name} %"] = percent(outcome.progress for outcome in part)
    return numbers


def _band(outcome: PlanOutcome) -> int:
    return max(least for least, _ in LENGTH_BANDS if least <= outcome.length)


planning = Measure(_planning_read, _planning)
