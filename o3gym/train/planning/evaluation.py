"""Scores a planner's plans for many layouts at once, without environments: fast enough for curves of a training."""

from __future__ import annotations

from collections.abc import Sequence

from o3gym.policies.planner.model import Planner
from o3gym.registry import require
from o3gym.train.planning.data import StateTokens
from o3gym.train.planning.reinforcement import CandidateReader
from o3gym.train.planning.supervised import by_length
from o3gym.worlds.base import BLOCKED, PlanScore, World

torch = require("torch", "train")


def evaluate_planner(
    planner: Planner, worlds: Sequence[World], moves: int = 0, strict: bool = True, tokens: StateTokens | None = None
) -> list[PlanScore]:
    """Scores the plan that a planner has for each layout, decoded greedily.

    An answer in words that cannot be read counts as one invalid move.

    Args:
        planner: the planner.
        worlds: the layouts.
        moves: the maximum number of moves that a planner of pictures may make; 0 for the length of the optimal plan,
            as in VPRL's evaluation. The goal ends a plan.
        strict: see `o3gym.worlds.interpreter.read_move`.
        tokens: tokens of states that are known already.
    """
    known = tokens or StateTokens(planner.tokenizer)
    if planner.layout.form == "words":
        plans = _written_plans(planner, worlds, known)
    else:
        plans = _drawn_plans(planner, worlds, known, moves, strict)
    return [world.score_plan(plan) for world, plan in zip(worlds, plans, strict=True)]


def planner_measures(scores: Sequence[PlanScore], worlds: Sequence[World]) -> dict[str, float]:
    """Returns the means over layouts: "exact", "progress", "reached", and "invalid", the share of invalid moves.

    The share is of as many moves as the optimal plans have.
    """
    count = len(scores)
    return {
        "exact": sum(score.exact for score in scores) / count,
        "progress": sum(score.progress for score in scores) / count,
        "reached": sum(score.reached for score in scores) / count,
        "invalid": sum(score.invalid for score in scores) / sum(world.optimal_length for world in worlds),
    }


def _written_plans(planner: Planner, worlds: Sequence[World], tokens: StateTokens) -> list[list[int]]:
    plans = []
    for world, written in zip(worlds, _greedy(planner, [(w, w.start) for w in worlds], tokens), strict=True):
        names = planner.moves_of(written)
        # A planner of all worlds may write a move that another world has.
        readable = bool(names) and all(name in world.moves for name in names or ())
        plans.append([world.moves.index(name) for name in names or ()] if readable else [BLOCKED])
    return plans


def _drawn_plans(
    planner: Planner, worlds: Sequence[World], tokens: StateTokens, moves: int, strict: bool
) -> list[list[int]]:
    reader = CandidateReader(planner, tokens, strict)
    # Greedy decoding draws the same picture whenever an episode is in the same state.
    decided: dict[tuple[World, int], int] = {}
    states, plans = [world.start for world in worlds], [list[int]() for _ in worlds]
    playing = list(range(len(worlds)))
    while playing:
        new = list(dict.fromkeys((worlds[i], states[i]) for i in playing if (worlds[i], states[i]) not in decided))
        for (world, state), written in zip(new, _greedy(planner, new, tokens), strict=True):
            decided[world, state] = reader.move(world, state, written)
        for i in playing:
            plans[i].append(decided[worlds[i], states[i]])
            states[i] = worlds[i].step(states[i], plans[i][-1])[0]
        playing = [
            i for i in playing if len(plans[i]) < (moves or worlds[i].optimal_length) and not worlds[i].goal(states[i])
        ]
    return plans


def _greedy(planner: Planner, places: Sequence[tuple[World, int]], tokens: StateTokens) -> list[list[int]]:
    """What the planner writes after each state, without padding."""
    planner.model.eval()
    states = [tokens(world, state) for world, state in places]
    written: list[list[int]] = [[] for _ in places]
    for group in by_length([len(state) for state in states]):
        drawn = planner.sample(torch.tensor([states[i] for i in group], device=planner.model.device))
        for i, ids, length in zip(group, drawn.tokens.tolist(), drawn.mask.sum(1).tolist(), strict=True):
            written[i] = ids[:length]
    return written
