"""Every bound of the algorithm, on pictures of any size and target."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from o3gym.suites.collages.placement import CollageLayout, PlacementRules, Rejected, Tile, TilePicture, lay_out_collage
from o3gym.types import FULL

PAPER = PlacementRules()
RELEASED = PlacementRules(tiles=(4, 6))
SMALL = PlacementRules(canvas=(0.6e6, 2e6), tiles=(2, 4), cores=(2, 3), share=2e-3)


def pictures(rng: Random, count: int = 48) -> list[TilePicture]:
    """Of the sizes that VQA data have, with targets as small as the paper's."""
    sizes = [(rng.randint(240, 1600), rng.randint(240, 1600)) for _ in range(count)]
    return [TilePicture(w, h, math.exp(rng.uniform(math.log(5e-4), math.log(0.02)))) for w, h in sizes]


def laid_out(seed: int, rules: PlacementRules, tries: int = 30) -> tuple[list[TilePicture], int, CollageLayout] | None:
    """The first accepted canvas of a seed."""
    rng = Random(seed)
    for _ in range(tries):
        pool, cores = pictures(rng), rng.randint(*rules.cores)
        try:
            return pool, cores, lay_out_collage(pool, cores, rules, rng)
        except Rejected:
            continue
    return None


def size(tile: Tile) -> tuple[int, int]:
    return tile.box[2] - tile.box[0], tile.box[3] - tile.box[1]


def area(tile: Tile) -> int:
    return size(tile)[0] * size(tile)[1]


@pytest.mark.parametrize("rules", [PAPER, RELEASED, SMALL], ids=["paper", "released", "small"])
@given(seed=st.integers(0, 10**9))
def test_every_bound_holds(rules: PlacementRules, seed: int) -> None:
    made = laid_out(seed, rules)
    assume(made is not None)
    assert made is not None
    pool, cores, layout = made
    check_canvas(layout, rules)
    check_cover(layout, rules)
    check_roles(layout, cores, rules)
    for tile in layout.tiles:
        check_fill(tile, pool[tile.picture], rules) if tile.role == "filler" else check_planned(tile, pool, rules)
    canvas = layout.size[0] * layout.size[1]
    for tile in layout.tiles:
        if tile.role == "core":
            assert pool[tile.picture].share * area(tile) <= rules.share * canvas * (1 + 1e-9)


def check_canvas(layout: CollageLayout, rules: PlacementRules) -> None:
    width, height = layout.size
    assert rules.canvas[0] <= width * height <= rules.canvas[1]
    assert rules.aspect[0] <= width / height <= rules.aspect[1]
    assert width % rules.grid == height % rules.grid == 0


def check_cover(layout: CollageLayout, rules: PlacementRules) -> None:
    """Tiles are inside, do not overlap, and leave nothing free."""
    width, height = layout.size
    rows, columns = height // rules.grid, width // rules.grid
    taken: Counter[tuple[int, int]] = Counter()
    for tile in layout.tiles:
        assert all(edge % rules.grid == 0 for edge in tile.box)
        assert min(size(tile)) >= rules.side
        x0, y0, x1, y1 = (edge // rules.grid for edge in tile.box)
        taken.update((x, y) for x in range(x0, x1) for y in range(y0, y1))
    assert taken == Counter((x, y) for x in range(columns) for y in range(rows))


def check_roles(layout: CollageLayout, cores: int, rules: PlacementRules) -> None:
    roles = Counter(tile.role for tile in layout.tiles)
    assert roles["core"] == cores
    assert max(cores, rules.tiles[0]) <= roles["core"] + roles["companion"] <= max(cores, rules.tiles[1])
    assert {tile.picture for tile in layout.tiles if tile.role == "core"} == set(range(cores))
    assert not {tile.picture for tile in layout.tiles if tile.role != "core"} & set(range(cores))
    covered = sum(area(tile) for tile in layout.tiles if tile.role != "filler")
    assert covered <= rules.covered * layout.size[0] * layout.size[1] * (1 + 1e-9)
    order = [(tile.box[1], tile.box[0]) for tile in layout.tiles]
    assert order == sorted(order)


def check_planned(tile: Tile, pool: list[TilePicture], rules: PlacementRules) -> None:
    """A core or companion is shown whole, hardly stretched, and never enlarged."""
    picture, (width, height) = pool[tile.picture], size(tile)
    assert tile.crop == FULL
    assert abs(math.log(width / height / picture.aspect)) <= rules.jitter + 1e-9
    assert rules.scale[0] <= area(tile) / rules.area(picture) * (1 + 1e-9)
    assert area(tile) <= rules.area(picture) * (1 + 1e-9)
    assert width <= picture.width
    assert height <= picture.height


def check_fill(tile: Tile, picture: TilePicture, rules: PlacementRules) -> None:
    """A filler has its panel's aspect without being stretched, and shows at least half of its picture."""
    x0, y0, x1, y1 = tile.crop
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    width, height = size(tile)
    assert rules.panel_aspect[0] <= width / height <= rules.panel_aspect[1]
    assert (x1 - x0) * picture.width / ((y1 - y0) * picture.height) == pytest.approx(width / height)
    assert abs(math.log(width / height / picture.aspect)) <= rules.filler_aspect
    kept = (x1 - x0) * (y1 - y0)
    assert kept >= rules.kept - 1e-9
    assert rules.filler_scale[0] - 1e-9 <= area(tile) / (kept * rules.area(picture)) <= rules.filler_scale[1] + 1e-9


def test_a_seed_gives_one_layout() -> None:
    assert laid_out(5, PAPER) == laid_out(5, PAPER) != laid_out(6, PAPER)


def test_the_canvas_is_enlarged_once_and_then_rejected() -> None:
    """The target fits a canvas of 10 megapixels, which only an enlarged one reaches from 9."""
    picture = TilePicture(640, 480, 2e-4 * 10e6 / (224 * 300))
    rules = replace(PAPER, canvas=(9e6, 11e6), scale=(0.1, 1.0))
    found = Counter()
    for seed in range(200):
        rng = Random(seed)
        try:
            layout = lay_out_collage([picture, *pictures(rng)], 1, rules, rng)
            found["enlarged" if layout.enlarged else "as drawn"] += 1
            assert layout.size[0] * layout.size[1] <= rules.canvas[1]
        except Rejected as rejected:
            found[rejected.reason] += 1
    assert found["enlarged"] > 0
    assert found["as drawn"] > 0


@pytest.mark.parametrize(
    ("target", "others", "rules", "reason"),
    [
        (TilePicture(640, 480, 0.5), 48, PAPER, "scale"),
        (TilePicture(200, 200, 0.001), 48, PAPER, "scale"),
        (TilePicture(640, 480, 0.005), 0, PAPER, "free space"),
        (TilePicture(640, 480, 0.005), 48, replace(PAPER, canvas=(1000.0, 1001.0)), "canvas"),
        (TilePicture(640, 480, 0.0), 48, replace(PAPER, canvas=(6e5, 7e5), tiles=(20, 20)), "covered"),
        (TilePicture(640, 480, 0.0), 48, replace(PAPER, canvas=(5.5e5, 6e5), scale=(0.9, 1.0)), "place"),
    ],
)
def test_reasons(target: TilePicture, others: int, rules: PlacementRules, reason: str) -> None:
    rng = Random(1)
    with pytest.raises(Rejected) as rejected:
        lay_out_collage([target, *(TilePicture(640, 480) for _ in range(others))], 1, rules, rng)
    assert rejected.value.reason == reason


def test_a_picture_comes_again_only_where_no_unused_one_fits() -> None:
    rng = Random(0)
    pool = [TilePicture(640, 480, 0.005), *(TilePicture(640, 480) for _ in range(200))]
    for _ in range(20):
        try:
            layout = lay_out_collage(pool, 1, PAPER, rng)
        except Rejected:
            continue
        assert max(Counter(tile.picture for tile in layout.tiles).values()) == 1
    few = lay_out_collage(pool[:4], 1, PAPER, Random(1))
    uses = Counter(tile.picture for tile in few.tiles if tile.role == "filler")
    assert max(uses.values()) - min(uses.values()) <= 1
