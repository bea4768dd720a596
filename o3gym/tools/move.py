"""`move`: make moves in a world of visual planning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.types import FULL, Source
from o3gym.worlds.base import BLOCKED
from o3gym.worlds.plans import read_plan, write_plan
from o3gym.worlds.records import Standing, newest_standing, state_source


class Move(Tool):
    """Makes moves one after another and shows the state after the last one. Reaching the goal ends the episode.

    An invalid move leaves the state as it is and is recorded in the plan; the moves after it are not made. Text that
    cannot be read counts as one invalid move, because a step of VPRL whose action cannot be read is an invalid step.
    Both are carried out, with the error "bad_move", and show the state again.
    """

    name: ClassVar[str] = "move"
    doc: ClassVar[str] = (
        "Make one or more moves, given by their names with spaces between them, and see the state after them."
    )
    args: ClassVar[Mapping[str, Arg]] = {
        "moves": Arg(
            "text", "the names of the moves in order, separated by spaces", words=("up", "down", "left", "right")
        )
    }
    may_end: ClassVar[bool] = True

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Makes the moves. Raises `Invalid("bad_args")` if the task is none of visual planning."""
        standing = planning_standing(self.name, context)
        written = read_plan(args["moves"], standing.world.moves)
        made, why = made_moves(standing, written.moves or (BLOCKED,))
        # The error quotes the text. No tokenizer and no file can encode a lone surrogate in it.
        unread = written.error.encode("utf-8", "replace").decode()
        return moved(standing, made, unread or why, len(context.sources), len(context.views) - 1)


def planning_standing(tool: str, context: ToolContext) -> Standing:
    """Where the episode stands. Raises `Invalid("bad_args")` if its task is none of visual planning."""
    standing = newest_standing(context.sources)
    if standing is None:
        raise Invalid("bad_args", f"this task has no world in which {tool} can make a move")
    return standing


def made_moves(standing: Standing, moves: tuple[int, ...]) -> tuple[list[int], str]:
    """The moves that are made: up to the goal, or up to and including the first invalid one; and why it is invalid."""
    world, state, made = standing.world, standing.state, list[int]()
    for move in moves:
        made.append(move)
        state, valid = world.step(state, move)
        if not valid:
            rest = len(moves) - len(made)
            left = f"; the {rest} after it {'was' if rest == 1 else 'were'} not made" if rest else ""
            return made, f"move {len(made)} is not possible: {write_plan([move], world.moves)}{left}"
        if world.goal(state):
            break
    return made, ""


def moved(
    standing: Standing, made: list[int], why: str, source: int, parent: int, drawn: Source | None = None
) -> ToolResult:
    """The result of moves: the picture of the state after them, and the end of the episode if it is the goal.

    Args:
        standing: where the episode stood before
        made: the moves that were made
        why: why the last one is invalid; "" if it is valid
        source: number of the first new source
        parent: index of the view that the first new view is a change of
        drawn: the picture that the model drew, which is shown before that of the state
    """
    plan = (*standing.plan, *made)
    world = standing.world
    sources = (*([drawn] if drawn else []), state_source(world, plan))
    views = tuple(ViewRequest(source + i, FULL, parent + i) for i in range(len(sources)))
    if world.goal(world.after(plan)):
        return ToolResult(views, sources, stop="answered", answer=write_plan(plan, world.moves))
    return ToolResult(views, sources, why, error="bad_move" if why else "")
