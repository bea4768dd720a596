"""Tiles have every size that pictures need, and cover them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from o3gym.worlds.tiles import PICTURE_SIDE, cell_edges, draw_tile


@pytest.mark.parametrize("count", range(2, 17))
def test_cells_cover_the_picture(count: int) -> None:
    edges = cell_edges(count)
    sizes = {after - before for before, after in pairwise(edges)}
    assert (edges[0], edges[-1], len(edges)) == (0, PICTURE_SIDE, count + 1)
    assert max(sizes) - min(sizes) <= 1


def test_tiles_are_shared_and_cannot_be_written() -> None:
    tile = draw_tile(("walker",), 43, 42)
    assert tile.shape == (43, 42, 3)
    assert draw_tile(("walker",), 43, 42) is tile
    with pytest.raises(ValueError, match="read-only"):
        tile[0] = 0
