"""Our own picture tokenizer: vector quantisation of the cells of a grid."""

from __future__ import annotations

import hashlib
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from o3gym.policies.planner.tokenizer import PictureBatch
from o3gym.worlds.base import below
from o3gym.worlds.drawing import WORLDS, draw_world
from o3gym.worlds.tiles import PICTURE_SIDE, StatePicture, cell_edges

GRIDS = range(3, 9)
"""Cells per side that a picture may have."""
MAX_PICTURE_TOKENS = 1 + GRIDS[-1] ** 2
"""The greatest number of ids of a picture: one for the grid and one for each cell."""
SAME_TILE = 300.0
"""Mean square error up to which a cell needs no code of its own.

It lies between the differences within a kind of cell, which is drawn in several sizes, and those between kinds (409).
"""
_POINTS = 8
"""Mean colours per side of a cell by which cells are compared."""
_CACHED_PICTURES = 8192

_Integers: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.intp]]
_Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class CellTokenizer:
    """A tokenizer whose codebook holds one tile per code.

    The ids of a picture are first the number of cells per side (id `tiles` stands for 3 cells per side, the next one
    for 4, … up to 8), then the code of each cell, row by row: at most 65 ids.

    Args:
        codebook: for each number of cells per side the tiles of all codes, uint8 (tiles, side, side, 3). Each code has
            a tile for every grid, because walls are so thin that a tile cannot be resized without moving their edges.

    Attributes:
        codebook: the tiles.
        tiles: number of codes that stand for tiles.
    """

    def __init__(self, codebook: Mapping[int, PictureBatch]) -> None:
        self.codebook = {rows: _checked_tiles(rows, codebook.get(rows)) for rows in GRIDS}
        counts = {len(tiles) for tiles in self.codebook.values()}
        if len(counts) != 1:
            raise ValueError(f"codebook: expected equally many tiles for each grid, got {sorted(counts)}")
        self.tiles = counts.pop()
        self._means = {
            rows: np.concatenate([_cell_means(Image.fromarray(tile), 1) for tile in tiles])
            for rows, tiles in self.codebook.items()
        }
        self._known: dict[bytes, tuple[int, ...]] = {}
        self._resized: dict[tuple[int, int, int, int], StatePicture] = {}

    @property
    def codes(self) -> int:
        """The number of ids: one per tile, and one per number of cells per side."""
        return self.tiles + len(GRIDS)

    @classmethod
    def fit(cls, seed: int = 0, layouts: int = 200, most: int = 256) -> CellTokenizer:
        """Trains a codebook on states of layouts of the training split, in seconds on one core.

        Codes are chosen by farthest-point seeding, until every cell is close to one, and are then moved by Lloyd's
        algorithm. Random seeding would spend many codes on common cells and none on rare ones. A kind of cell that no
        drawn state shows is encoded as the closest one.

        Args:
            seed: seed of the layouts; equal arguments give equal codebooks.
            layouts: number of layouts of each world and level.
            most: the largest number of tiles.
        """
        cells = _distinct_cells(_drawn_states(seed, layouts))
        means = np.stack([cell.means for cell in cells])
        nearest = _lloyd(means, _farthest_points(means, most))
        members = [[cells[i] for i in np.flatnonzero(nearest == code)] for code in range(nearest.max() + 1)]
        return cls({rows: np.stack([_tile_of(code, rows) for code in members]) for rows in GRIDS})

    def save(self, path: str | Path) -> None:
        """Writes the codebook as an npz file."""
        with Path(path).open("wb") as file:
            arrays: dict[str, Any] = {f"tiles_{rows}": tiles for rows, tiles in self.codebook.items()}
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> CellTokenizer:
        """Reads a codebook that `save` wrote.

        Raises:
            ValueError: the file is missing or malformed.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls({rows: arrays[f"tiles_{rows}"] for rows in GRIDS})
        except (OSError, KeyError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: expected a codebook that CellTokenizer.save wrote ({error!s:.200})") from None

    def encode(self, pictures: PictureBatch) -> list[list[int]]:
        """Returns the ids of each picture. The grid is the one with the smallest error.

        Pictures of states come up again and again, so the ids of recent ones are kept.
        """
        return [list(self._ids(picture)) for picture in pictures]

    def _ids(self, picture: StatePicture) -> tuple[int, ...]:
        key = hashlib.sha256(np.ascontiguousarray(picture).data).digest()
        ids = self._known.get(key)
        if ids is None:
            if len(self._known) >= _CACHED_PICTURES:
                self._known.clear()
            ids = self._known[key] = self._quantised(picture)
        return ids

    def _quantised(self, picture: StatePicture) -> tuple[int, ...]:
        image = Image.fromarray(picture)
        distances = [_distances(_cell_means(image, rows), self._means[rows]) for rows in GRIDS]
        grid = int(np.argmin([cells.min(1).mean() for cells in distances]))
        return (self.tiles + grid, *distances[grid].argmin(1).tolist())

    def decode(self, ids: Sequence[int]) -> StatePicture | None:
        """Returns the picture of some ids, or None if there is not exactly one tile per cell of a grid."""
        grid = ids[0] - self.tiles if ids else -1
        if not 0 <= grid < len(GRIDS) or len(ids) != 1 + GRIDS[grid] ** 2:
            return None
        if not all(0 <= code < self.tiles for code in ids[1:]):
            return None
        picture = np.empty((PICTURE_SIDE, PICTURE_SIDE, 3), np.uint8)
        for code, (top, bottom, left, right) in zip(ids[1:], _places(GRIDS[grid]), strict=True):
            picture[top:bottom, left:right] = self._tile(code, GRIDS[grid], bottom - top, right - left)
        return picture

    def _tile(self, code: int, rows: int, height: int, width: int) -> StatePicture:
        key = (code, rows, height, width)
        if key not in self._resized:
            self._resized[key] = _resized(self.codebook[rows][code], height, width)
        return self._resized[key]


class _Cell(NamedTuple):
    """A cell of a picture with `rows` cells per side: its pixels, and the mean colours of its parts."""

    rows: int
    pixels: StatePicture
    means: _Floats


def tile_side(rows: int) -> int:
    """Pixels per side of the tiles of a grid: the size of its largest cells."""
    return -(-PICTURE_SIDE // rows)


def _checked_tiles(rows: int, tiles: object) -> PictureBatch:
    shape = (tile_side(rows), tile_side(rows), 3)
    if not isinstance(tiles, np.ndarray) or tiles.dtype != np.uint8 or tiles.shape[1:] != shape or not len(tiles):
        found = f"{tiles.dtype} {tiles.shape}" if isinstance(tiles, np.ndarray) else type(tiles).__name__
        raise ValueError(f"codebook[{rows}]: expected uint8 (tiles, {shape[0]}, {shape[1]}, 3), got {found}")
    return tiles


def _places(rows: int) -> Iterator[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each cell of a grid, row by row."""
    edges = cell_edges(rows)
    for i in range(rows * rows):
        row, column = divmod(i, rows)
        yield edges[row], edges[row + 1], edges[column], edges[column + 1]


def _resized(pixels: StatePicture, height: int, width: int) -> StatePicture:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def _cell_means(image: Image.Image, rows: int) -> _Floats:
    """The mean colours of the parts of a grid's cells: float32 (rows², 192)."""
    side = rows * _POINTS
    means = np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float32)
    return means.reshape(rows, _POINTS, rows, _POINTS, 3).swapaxes(1, 2).reshape(rows * rows, -1)


def _distances(means: _Floats, others: _Floats) -> _Floats:
    """The mean square differences between each of some cells and each of others."""
    squares = np.einsum("ij,ij->i", means, means)[:, None] + np.einsum("ij,ij->i", others, others)
    distances: _Floats = (squares - 2 * (means @ others.T)) / np.float32(means.shape[1])
    return distances


def _drawn_states(seed: int, layouts: int) -> Iterator[tuple[int, StatePicture]]:
    """For layouts of each world and level: cells per side, and the picture of the start, of a goal and of any state."""
    rng = Random(seed)
    for name, kind in WORLDS.items():
        for level in kind.levels:
            for _ in range(layouts):
                world = draw_world(name, below(rng, 1 << 30), level, "train")
                states = list(world.graph)
                goals = [state for state in states if world.goal(state)]
                for state in (world.start, goals[below(rng, len(goals))], states[below(rng, len(states))]):
                    yield world.rows, world.render(state)


def _distinct_cells(pictures: Iterable[tuple[int, StatePicture]]) -> list[_Cell]:
    """The different cells of some pictures."""
    found: dict[tuple[int, bytes], _Cell] = {}
    for rows, picture in pictures:
        means = _cell_means(Image.fromarray(picture), rows)
        for mean, (top, bottom, left, right) in zip(means, _places(rows), strict=True):
            found.setdefault((rows, mean.tobytes()), _Cell(rows, picture[top:bottom, left:right], mean))
    return list(found.values())


def _farthest_points(means: _Floats, most: int) -> list[int]:
    """Chooses cells, each the one that is farthest from those chosen before, until all are close to one of them."""
    chosen = [0]
    distances = _distances(means, means[:1])[:, 0]
    while len(chosen) < most and distances.max() > SAME_TILE:
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, _distances(means, means[chosen[-1:]])[:, 0])
    return chosen


def _lloyd(means: _Floats, chosen: Sequence[int]) -> _Integers:
    """Moves the chosen cells to the middles of the cells closest to them, until none changes sides.

    Returns:
        The code of each cell. Codes are numbered from 0 without gaps.
    """
    centres = means[list(chosen)]
    before: list[int] = []
    while True:
        nearest = np.unique(_distances(means, centres).argmin(1), return_inverse=True)[1]
        if nearest.tolist() == before:
            return nearest
        before = nearest.tolist()
        centres = np.stack([means[nearest == code].mean(0) for code in range(nearest.max() + 1)])


def _tile_of(members: Sequence[_Cell], rows: int) -> StatePicture:
    """The mean of a code's cells, of those that are seen in grids as close as possible to one of `rows` cells."""
    seen: dict[int, list[StatePicture]] = defaultdict(list)
    for cell in members:
        seen[cell.rows].append(_resized(cell.pixels, tile_side(rows), tile_side(rows)))
    tiles = seen[min(seen, key=lambda other: (abs(other - rows), other))]
    return np.asarray(np.mean(tiles, 0).round(), np.uint8)
