"""Episodes of planning written by hand: a world, what each turn did, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from o3gym.calls import answer, noop
from o3gym.types import FULL, Call, Error, Parsed, Reply, Source, Task, Trajectory, Turn, View
from o3gym.worlds import FrozenLake, MiniBehaviour
from o3gym.worlds.base import World
from o3gym.worlds.plans import write_plan
from o3gym.worlds.records import state_source

UP, DOWN, LEFT, RIGHT, PICK, DROP = range(6)
LAKE = FrozenLake(3, [1], 0, 2)
"""The agent in the upper left corner goes around a hole to the upper right one: down, right, right, up."""
ROOM = MiniBehaviour(5, [12, 13, 14, 17, 18, 19], 1, 10)
"""An optimal plan is up, right, pick, right, drop: the printer is above the agent by then, and the table below."""


def planning_task(world: World = LAKE, **fields: Any) -> Task:
    truth = write_plan(world.optimal_plan(), world.moves)
    return Task("plan", (state_source(world),), "Which moves reach the goal?", truth, **fields)


def walk(world: World, *turns: Sequence[int] | Error, drawn: bool = False, **fields: Any) -> Trajectory:
    """An episode that makes moves: in each turn those of a list, or none and an error.

    It ends at the goal, or else without an answer. `drawn` shows a picture of the model's own before each state.
    """
    sources, views = [state_source(world)], [View(0, 0, FULL, (256, 256), (256, 256))]
    plan: list[int] = []
    records: list[Turn] = []
    for turn in turns:
        if isinstance(turn, str):
            call = noop(turn, "?") if turn in ("parse", "void") else Call("move", {"moves": "up"})
            records.append(Turn(Reply(""), Parsed(call, turn not in ("parse", "void")), turn))
            continue
        known = len(views)
        invalid = any(
            move == -1 or not world.step(world.after([*plan, *turn[:i]]), move)[1] for i, move in enumerate(turn)
        )
        plan += turn
        sources += [*([Source.made(bytes(plan[:1]), sources[0])] if drawn else []), state_source(world, plan)]
        for source in range(len(sources) - 1 - drawn, len(sources)):
            views.append(View(len(views), source, FULL, (256, 256), (256, 256), parent=known - 1))
        call = Call("move", {"moves": write_plan(turn, world.moves)})
        shown = tuple(range(known, len(views)))
        records.append(Turn(Reply(""), Parsed(call, True), "bad_move" if invalid else "", shown))  # type: ignore[arg-type]
    there = world.goal(world.after(plan))
    ending = {"stop": "answered", "terminated": True, "answer": write_plan(plan, world.moves)} if there else {}
    ending = ending or {"stop": "malformed", "truncated": True}
    return Trajectory(planning_task(world), tuple(sources), tuple(views), tuple(records), **{**ending, **fields})


def answered(world: World, text: str, *before: Sequence[int] | Error, **fields: Any) -> Trajectory:
    """An episode that ends with a plan as its answer, after turns as those of `walk`."""
    made = walk(world, *before)
    turns = (*made.turns, Turn(Reply(text), Parsed(answer(text), True)))
    ending = {"stop": "answered", "terminated": True, "answer": text, **fields}
    return Trajectory(made.task, made.sources, made.views, turns, **ending)
