"""Tasks from laid-out collages: picture, question and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from o3gym.codec import encode
from o3gym.geometry import compose, from_pixels, intersection, is_empty
from o3gym.suites.collages.drawing import LABEL_CORNERS, label_box, label_of
from o3gym.suites.collages.placement import CollageLayout, Tile, TilePicture
from o3gym.types import Box, Source, Target, Task


@dataclass(frozen=True)
class CollageCandidate:
    """A source task with one picture, and that picture as placement sees it."""

    task: Task
    picture: TilePicture

    @property
    def source(self) -> Source:
        """The task's picture."""
        return self.task.sources[0]


def corners(layout: CollageLayout, candidates: Sequence[CollageCandidate]) -> list[str]:
    """For each tile, the first corner in which its label covers no target of a core; "" if there is none."""
    return [_corner(tile, number, candidates) for number, tile in enumerate(layout.tiles, 1)]


def composed(
    identity: str, origin: Mapping[str, Any], candidates: Sequence[CollageCandidate], layout: CollageLayout
) -> Task:
    """The task of a collage: a question about the first candidate, with the others around it.

    Args:
        identity: id of the task.
        origin: the suite's part of the task's origin, to which tile and cores are added.
        candidates: candidates by picture index in the layout; the cores come first.
        layout: the placed tiles.
    """
    places = {tile.picture: (k, tile) for k, tile in enumerate(layout.tiles, 1) if tile.role == "core"}
    cores = [_core_record(candidates[i].task, *places[i], layout) for i in sorted(places)]
    first, asked = cores[0], candidates[0].task
    boxes = [Target((box[0], box[1], box[2], box[3])) for box in first["targets"]]
    return replace(
        asked,
        id=identity,
        sources=(_picture(candidates, layout),),
        question=first["question"],
        targets=tuple(replace(old, box=new.box) for old, new in zip(asked.targets, boxes, strict=True)),
        tags={**asked.tags, "tiles": str(len(layout.tiles))},
        origin={
            **origin,
            **_inherited_origin(asked),
            "tile": first["tile"],
            "tile_box": first["tile_box"],
            "cores": cores,
        },
    )


def _picture(candidates: Sequence[CollageCandidate], layout: CollageLayout) -> Source:
    tiles = [
        {
            "source": encode(candidates[tile.picture].source),
            "crop": list(tile.crop),
            "box": list(tile.box),
            "corner": corner,
        }
        for tile, corner in zip(layout.tiles, corners(layout, candidates), strict=True)
    ]
    return Source.generated("collage", size=list(layout.size), tiles=tiles)


def _corner(tile: Tile, number: int, candidates: Sequence[CollageCandidate]) -> str:
    """The first corner in which the tile's label covers no target of a core; "" if there is none."""
    targets = candidates[tile.picture].task.targets if tile.role == "core" else ()
    boxes = [_on_canvas(target, tile) for target in targets]
    for corner in LABEL_CORNERS:
        label = label_box(tile.box, number, corner)
        if all(is_empty(intersection(label, box)) for box in boxes):
            return corner
    return ""


def _on_canvas(target: Target, tile: Tile) -> Box:
    """The box of a target in a tile's picture, in pixels of the canvas."""
    x0, y0, x1, y1 = tile.box
    return compose((float(x0), float(y0), float(x1), float(y1)), target.box)


def _core_record(task: Task, number: int, tile: Tile, layout: CollageLayout) -> dict[str, Any]:
    """A core as stored in `origin`: everything that a question about it needs."""
    return {
        "task": task.id,
        "tile": number,
        "tile_box": list(from_pixels(tile.box, layout.size)),
        "targets": [list(from_pixels(_on_canvas(target, tile), layout.size)) for target in task.targets],
        "question": f"In {label_of(number)}: {task.question}",
        "answer": task.answer,
        "choices": list(task.choices),
    }


def _inherited_origin(task: Task) -> dict[str, Any]:
    """The parts of the source task's origin that determine its judge, its scoring and its bootstrap cluster."""
    return {key: task.origin[key] for key in ("judge", "scoring", "cluster") if key in task.origin}
