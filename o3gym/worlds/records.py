"""The link between worlds and episodes: layouts as JSON, states as sources of pictures, and the plan of an episode.

A state is written as the layout and the plan that led to it. So a source says everything about an episode of planning
so far, also the invalid moves, which leave the state as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from PIL import Image

from o3gym.types import Size, Source, Task, Trajectory
from o3gym.worlds.base import BLOCKED, LayoutError, World
from o3gym.worlds.frozen_lake import FrozenLake
from o3gym.worlds.maze import Maze
from o3gym.worlds.mini_behaviour import MiniBehaviour
from o3gym.worlds.plans import WrittenPlan, read_plan
from o3gym.worlds.tiles import PICTURE_SIDE

PLANNING_GENERATOR = "planning"
"""The name under which `render_standing` is registered as a generator of pictures."""


class Standing(NamedTuple):
    """Where an episode of planning stands: the layout, the moves so far (−1 for an unreadable one), and the state."""

    world: World
    plan: tuple[int, ...]
    state: int


def layout_record(world: World) -> dict[str, Any]:
    """The layout as JSON values, which `read_layout` reads back.

    The walls of a maze are one hexadecimal digit a cell, the sum of 1 (up), 2 (down), 4 (left) and 8 (right): they are
    part of every source, whose hash is computed in every step.
    """
    common = {"world": world.name, "level": world.level, "start": world.start}
    if isinstance(world, FrozenLake):
        return common | {"holes": sorted(world.holes), "target": world.target}
    if isinstance(world, Maze):
        walls = "".join(f"{sum(1 << side for side in cell):x}" for cell in world.walls)
        return common | {"walls": walls, "target": world.target}
    assert isinstance(world, MiniBehaviour)
    return common | {"table": sorted(world.table), "printer": world.printer, "direction": world.direction}


def read_layout(record: Mapping[str, Any]) -> World:
    """The layout of a record. Layouts never change, so equal records may share one object.

    Raises:
        LayoutError: the record is malformed, or its goal cannot be reached.
    """
    try:
        return _read_layout(json.dumps(record, sort_keys=True))
    except LayoutError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise LayoutError(f"layout: expected the record of a layout, got {record!r:.80} ({error!r:.80})") from None


@lru_cache(maxsize=4096)
def _read_layout(text: str) -> World:
    record = json.loads(text)
    world, level, start = (record[key] for key in ("world", "level", "start"))
    if world == FrozenLake.name:
        return FrozenLake(level, record["holes"], start, record["target"])
    if world == Maze.name:
        if not isinstance(record["walls"], str):
            raise LayoutError(f"maze: walls: expected one hexadecimal digit a cell, got {record['walls']!r:.60}")
        walls = [{side for side in range(4) if int(digit, 16) >> side & 1} for digit in record["walls"]]
        return Maze(level, walls, start, record["target"])
    if world == MiniBehaviour.name:
        return MiniBehaviour(level, record["table"], record["printer"], start, record["direction"])
    raise LayoutError(f"world: expected frozenlake, maze or minibehaviour, got {world!r:.60}")


def state_source(world: World, plan: Sequence[int] = ()) -> Source:
    """The picture of the state in which a plan ends."""
    return Source.generated(PLANNING_GENERATOR, layout=layout_record(world), plan=list(plan))


def render_standing(*, layout: Mapping[str, Any], plan: Sequence[int]) -> Image.Image:
    """Draws the state in which a plan ends, 256 × 256 pixels: the generator of the sources of `state_source`."""
    world = read_layout(layout)
    return Image.fromarray(world.render(world.after(plan)))


def standing_size(**_args: Any) -> Size:
    """Width and height of every picture of a state."""
    return PICTURE_SIDE, PICTURE_SIDE


def standing_of(source: Source) -> Standing | None:
    """Where the episode stands in a source, or in the one that it is derived from; None for other pictures.

    Raises:
        LayoutError: the source's layout or its plan is malformed.
    """
    state = _state_under(source)
    if state is None:
        return None
    world, plan = read_layout(state.args.get("layout", {})), state.args.get("plan")
    moves = range(BLOCKED, len(world.moves))
    if not isinstance(plan, list | tuple) or not all(type(move) is int and move in moves for move in plan):
        raise LayoutError(f"plan: expected a list of moves from {BLOCKED} to {len(world.moves) - 1}, got {plan!r:.60}")
    return Standing(world, tuple(plan), world.after(plan))


def newest_standing(sources: Sequence[Source]) -> Standing | None:
    """Where an episode with these sources stands now; None if it is not an episode of planning.

    Plans only grow, so the newest state is the first one with the longest plan. The last source may show an older
    state again, for example turned.

    Raises:
        LayoutError: as `standing_of`.
    """
    states = [state for source in sources if (state := _state_under(source)) is not None]
    return standing_of(max(states, key=lambda state: len(state.args.get("plan", ())))) if states else None


def _state_under(source: Source) -> Source | None:
    """The picture of a state that a source is, or that a tool or a control derived it from."""
    while source.kind == "derived" and source.parent is not None:
        source = source.parent
    return source if source.kind == "generated" and source.ref == PLANNING_GENERATOR else None


def task_world(task: Task) -> World | None:
    """The layout of a planning task; None for any other task."""
    standing = newest_standing(task.sources)
    return standing.world if standing else None


def planned(trajectory: Trajectory) -> WrittenPlan | None:
    """The plan of an episode: the one that it answered with, as the judge sees it, or else the moves that it made.

    An episode that reaches the goal by moves has these as its answer.

    Returns:
        None if the task is not one of planning. The plan is empty, with an error, if the answer cannot be read.
    """
    standing = newest_standing(trajectory.sources)
    if standing is None:
        return None
    if standing.plan and not trajectory.answer:
        return WrittenPlan(standing.plan)
    return read_plan(trajectory.answer, standing.world.moves)
