"""Policies without a model for visual planning: one plans optimally, the other walks at random."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NoReturn

import numpy as np

from o3gym.calls import answer
from o3gym.dialects.next_state import picture_url
from o3gym.policies.dialogue import Privileged
from o3gym.policies.scripted import Scripted
from o3gym.types import Call
from o3gym.worlds.base import BLOCKED, World
from o3gym.worlds.plans import write_plan
from o3gym.worlds.records import Standing, newest_standing

PLANNING_CALLS = ("draw_state", "move", "answer")
"""The tools of visual planning, in the order in which scripted policies prefer them."""


class ScriptedPlanner(Scripted):
    """Base class of the scripted policies for visual planning, which choose one move at a time.

    Among the enabled tools that the dialect can express, they prefer `draw_state`, with which they draw the world's own
    picture of the next state, then `move`, and then `answer`, which takes the whole plan at once.

    Raises:
        ValueError: the task is not one of visual planning, or no such tool is enabled.
    """

    trial_suite: ClassVar[str] = "planning-maze"

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns the next move, or the whole plan as an answer."""
        standing = newest_standing(privileged.sources)
        if standing is None:
            self._refuse(privileged)
        known = set(privileged.tools) & set(privileged.dialect.tools)
        tool = next((name for name in PLANNING_CALLS if name in known), "")
        if tool == "answer":
            return answer(write_plan(self.plan(standing.world, rng), standing.world.moves)), "This is the whole plan."
        if not tool:
            tools, dialect = ", ".join(PLANNING_CALLS), privileged.dialect.name
            raise ValueError(f"{self._name}: expected one of the tools {tools} that dialect {dialect} can express")
        move = self.next_move(standing.world, standing.state, rng)
        return _carry_out(tool, standing, move), f"The next move is {standing.world.moves[move]}."

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _refuse(self, privileged: Privileged) -> NoReturn:
        task = privileged.task
        raise ValueError(
            f"{self._name}: expected a task of visual planning, got task {task.id} of kind {task.kind} of the suite "
            f'"{task.origin.get("suite", "")}"; the suites are planning-frozenlake, planning-maze and '
            "planning-minibehaviour"
        )

    @abstractmethod
    def next_move(self, world: World, state: int, rng: np.random.Generator) -> int:
        """Returns a valid move in a state that is not the goal."""

    def plan(self, world: World, rng: np.random.Generator) -> list[int]:
        """Returns a plan from the start that has as many moves as an optimal one, or fewer if it reaches the goal."""
        state, moves = world.start, list[int]()
        while len(moves) < world.optimal_length and not world.goal(state):
            moves.append(self.next_move(world, state, rng))
            state = world.graph[state][moves[-1]]
        return moves


class Optimal(ScriptedPlanner):
    """Takes the shortest way to the goal: an upper bound, and a source of demonstrations for visual planning.

    From a state with several optimal moves it takes the first one, in the order of the world's moves.
    """

    def next_move(self, world: World, state: int, rng: np.random.Generator) -> int:
        """Returns the first optimal move."""
        return world.optimal_moves(state)[0]


class RandomWalk(ScriptedPlanner):
    """Makes random valid moves, all with the same probability: the walks on which stage 1 of VPRL trains.

    With `answer`, it gives a random walk of as many moves as an optimal plan has.
    """

    def next_move(self, world: World, state: int, rng: np.random.Generator) -> int:
        """Returns a random valid move."""
        valid = [move for move, following in enumerate(world.graph[state]) if following != BLOCKED]
        return valid[int(rng.integers(len(valid)))]


def _carry_out(tool: str, standing: Standing, move: int) -> Call:
    """The call of a tool that makes a valid move."""
    world = standing.world
    if tool == "move":
        return Call("move", {"moves": world.moves[move]})
    return Call("draw_state", {"picture": picture_url(world.render(world.graph[standing.state][move]))})
