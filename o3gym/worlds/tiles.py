"""The tiles of which pictures of worlds are made, drawn once for each size.

The tiles are drawn for the thresholds with which `interpreter.py` reads pictures: an agent changes the mean square of
the grey values of its cell by far more than 500 on every ground, its outline is unlike any other tile's, and in
MiniBehaviour everything but the floor is brighter than 40.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

StatePicture: TypeAlias = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""RGB pixels of shape (height, width, 3)."""
PICTURE_SIDE = 256
"""StatePicture per side of every picture of a world."""
SMOOTHING = 4
"""Drawn pixels for each pixel of a tile, per side."""

ICE, ICE_GRID, HOLE, WATER = (226, 238, 250), (205, 220, 238), (60, 110, 160), (20, 50, 90)
GIFT, RIBBON, COAT, FACE = (120, 190, 110), (240, 210, 60), (150, 25, 35), (70, 40, 30)
WALL, CORRIDOR, FINISH, RUNNER = (0, 0, 0), (255, 255, 255), (90, 160, 255), (200, 30, 30)
FLOOR, FLOOR_GRID, BRICK, WOOD = (0, 0, 0), (30, 30, 30), (100, 100, 100), (190, 150, 100)
PRINTER, TRAY, ARROW = (255, 255, 255), (205, 205, 205), (255, 0, 0)


@cache
def cell_edges(count: int) -> tuple[int, ...]:
    """The pixels at which the cells of a picture with `count` cells per side begin, and where the last one ends."""
    return tuple(round(i * PICTURE_SIDE / count) for i in range(count + 1))


class _Pen:
    """Draws shapes in fractions of a tile."""

    def __init__(self, height: int, width: int, ground: tuple[int, int, int]) -> None:
        self.size = (width * SMOOTHING, height * SMOOTHING)
        self.image = Image.new("RGB", self.size, ground)
        self._draw = ImageDraw.Draw(self.image)

    def _points(self, points: tuple[float, ...]) -> list[float]:
        return [value * self.size[i % 2] for i, value in enumerate(points)]

    def disc(self, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
        self._draw.ellipse(self._points((x - radius, y - radius, x + radius, y + radius)), fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> None:
        self._draw.rectangle(self._points((left, top, right, bottom)), fill=colour)

    def shape(self, points: tuple[float, ...], colour: tuple[int, int, int]) -> None:
        self._draw.polygon(self._points(points), fill=colour)


def _grid(pen: _Pen, colour: tuple[int, int, int]) -> None:
    """A thin line along the left and upper edge, which no threshold sees."""
    pen.box(0, 0, 1, 0.02, colour)
    pen.box(0, 0, 0.02, 1, colour)


def _lake(pen: _Pen, hole: bool = False, gift: bool = False, walker: bool = False) -> None:
    _grid(pen, ICE_GRID)
    if hole:
        pen.disc(0.5, 0.5, 0.44, HOLE)
        pen.disc(0.5, 0.54, 0.36, WATER)
    if gift:
        pen.box(0.12, 0.3, 0.88, 0.9, GIFT)
        pen.box(0.44, 0.3, 0.56, 0.9, RIBBON)
        pen.disc(0.5, 0.24, 0.1, RIBBON)
    if walker:
        pen.shape((0.5, 0.2, 0.82, 0.92, 0.18, 0.92), COAT)
        pen.disc(0.5, 0.24, 0.16, FACE)


def _corridor(pen: _Pen, up: bool, down: bool, left: bool, right: bool, finish: bool, runner: bool) -> None:
    if finish:
        pen.box(0.15, 0.15, 0.85, 0.85, FINISH)
    if runner:
        pen.disc(0.5, 0.5, 0.28, RUNNER)
    # The interpreter leaves out a margin of 5% of a cell, in which walls lie.
    thick = 0.045
    walls = ((up, 0, 0, 1, thick), (down, 0, 1 - thick, 1, 1), (left, 0, 0, thick, 1), (right, 1 - thick, 0, 1, 1))
    for stands, x0, y0, x1, y1 in walls:
        if stands:
            pen.box(x0, y0, x1, y1, WALL)


def _floor(pen: _Pen) -> None:
    _grid(pen, FLOOR_GRID)


def _printer(pen: _Pen) -> None:
    pen.box(0.16, 0.3, 0.84, 0.8, PRINTER)
    pen.box(0.28, 0.14, 0.72, 0.3, TRAY)


def _printer_on_floor(pen: _Pen) -> None:
    _floor(pen)
    _printer(pen)


def _arrow(pen: _Pen, direction: int, carrying: bool) -> None:
    _floor(pen)
    pen.shape(_turned((0.86, 0.5, 0.16, 0.86, 0.16, 0.14), direction), ARROW)
    if carrying:
        pen.box(0.32, 0.38, 0.56, 0.62, PRINTER)


def _turned(points: tuple[float, ...], quarters: int) -> tuple[float, ...]:
    """Turns points clockwise around the middle of the tile."""
    for _ in range(quarters):
        points = tuple(value for x, y in zip(points[::2], points[1::2], strict=True) for value in (1 - y, x))
    return points


_TILES: dict[object, tuple[tuple[int, int, int], Callable[..., None]]] = {
    "ice": (ICE, lambda pen: _lake(pen)),
    "hole": (ICE, lambda pen: _lake(pen, hole=True)),
    "gift": (ICE, lambda pen: _lake(pen, gift=True)),
    "walker": (ICE, lambda pen: _lake(pen, walker=True)),
    "walker on gift": (ICE, lambda pen: _lake(pen, gift=True, walker=True)),
    "corridor": (CORRIDOR, _corridor),
    "brick": (BRICK, lambda pen: None),
    "floor": (FLOOR, _floor),
    "table": (WOOD, lambda pen: None),
    "printer": (FLOOR, _printer_on_floor),
    "printer on table": (WOOD, _printer),
    "arrow": (FLOOR, _arrow),
}
"""The ground of each kind of tile, and what is drawn on it."""


@lru_cache(maxsize=1024)
def draw_tile(kind: tuple[object, ...], height: int, width: int) -> StatePicture:
    """Draws a tile as uint8 RGB pixels of shape (height, width, 3). The array is shared and read-only."""
    name, *arguments = kind
    ground, draw = _TILES[name]
    pen = _Pen(height, width, ground)
    draw(pen, *arguments)
    pixels = np.asarray(pen.image.resize((width, height), Image.Resampling.BOX))
    pixels.flags.writeable = False
    return pixels
