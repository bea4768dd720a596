"""Placement of a collage's tiles: Algorithm 1 of InSight-o3 (appendix C.1), on sizes and boxes alone.

The paper gives the steps and the cap on the target box. The other numbers are those of the released generator
(m-Just/InSight-o3 at 21acec8, insight_o3/scripts/generate_collages.py); see `PlacementRules`. Tiles are rectangles
`(x0, y0, x1, y1)` in whole pixels on a grid, x to the right, y down. They do not overlap, and they cover the canvas.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from o3gym.types import FULL, Box, Size

Rect: TypeAlias = tuple[int, int, int, int]
TileRole: TypeAlias = Literal["core", "companion", "filler"]
RejectionReason: TypeAlias = Literal["canvas", "scale", "covered", "place", "free space"]

TIGHTEST = 3
"""A tile goes into a random one of this many tightest free rectangles, so that equal pictures give varied collages."""
SPOTS = 8
"""Number of positions that are tried for a tile in a free rectangle."""
CUTS = 4
"""Number of cuts that are tried for a panel at every recursion depth."""
SHARE_TOLERANCE = 1e-9
"""Tolerance for comparing shares, which have been through a division."""


class Rejected(Exception):  # noqa: N818 - the algorithm's own word
    """The current canvas is rejected.

    Attributes:
        reason: "canvas" (no canvas size on the grid meets the bounds), "scale" (no tile size meets all bounds),
            "covered" (cores and companions would cover too much), "place" (no room for a tile) or "free space" (no
            picture fits a panel).
    """

    def __init__(self, reason: RejectionReason) -> None:
        super().__init__(reason)
        self.reason: RejectionReason = reason


class TilePicture(NamedTuple):
    """A picture as placement sees it: its size in pixels, and the share of it that its largest target box covers."""

    width: int
    height: int
    share: float = 0.0

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


@dataclass(frozen=True)
class PlacementRules:
    """Parameters of the algorithm, with the paper's symbols. By default, values are those of the released generator.

    Attributes:
        canvas: A_min and A_max, area of the canvas in pixels.
        aspect: a_min and a_max of the canvas, width over height.
        tiles: range of the number of pictures that are placed at their own aspect before panels are filled. In the
            paper's listing this is the target alone; in the released run 4 to 6, and those that are not cores are
            companions of the target.
        cores: how many of these pictures must meet the bounds of a target: 1 in the paper and the released run, 2 to 3
            by the generator's default.
        share: ρ_cap, largest share of the canvas that a target box of a core may cover (paper: 2·10⁻⁴).
        scale: λ_min and λ_max, area of a tile over the area of its picture; at most 1, so that no picture is enlarged.
        jitter: τ_tgt, largest |log| of the change in aspect of a core or companion.
        covered: largest share of the canvas that cores and companions may cover together.
        side: M, shortest side of any tile in pixels.
        grid: G, in pixels. Not in the paper. The generator sets it to M, but then rounding alone changes aspects by far
            more than τ_tgt; the value here is the largest power of two that divides M.
        panel_aspect: AR_min and AR_max of a panel.
        filler_aspect: τ_fill, largest |log| of a filler's aspect over its panel's. Fillers are cropped, not stretched.
        filler_scale: λ_min and λ_max of fillers.
        kept: smallest share of its picture that a filler may show.
        source_area: S_max, in pixels; larger pictures count as shrunk to this area before any scale is applied.
        retries: R, how many sizes are tried for a tile, each with sides `shrink` times those of the one before.
        shrink: see `retries`.
        enlarge: factor by which the canvas area grows, once, if there is no size or no room for cores and companions.
        attempts: T, number of canvases tried per target (released run: 10; the generator's default is 5).
    """

    canvas: tuple[float, float] = (3e6, 12e6)
    aspect: tuple[float, float] = (0.7, 1.6)
    tiles: tuple[int, int] = (1, 1)
    cores: tuple[int, int] = (1, 1)
    share: float = 2e-4
    scale: tuple[float, float] = (0.22, 1.0)
    jitter: float = 0.08
    covered: float = 0.9
    side: int = 224
    grid: int = 32
    panel_aspect: tuple[float, float] = (0.4, 2.5)
    filler_aspect: float = 0.5
    filler_scale: tuple[float, float] = (0.45, 1.8)
    kept: float = 0.5
    source_area: float = 1024.0 * 1024.0
    retries: int = 50
    shrink: float = 0.95
    enlarge: float = 1.2
    attempts: int = 10

    def area(self, picture: TilePicture) -> float:
        """S, the area of a picture that scales refer to, in pixels."""
        return min(float(picture.width * picture.height), self.source_area)


@dataclass(frozen=True)
class Tile:
    """A placed picture.

    Attributes:
        picture: index of the picture.
        box: position in pixels of the canvas.
        role: "core", "companion" or "filler".
        crop: the part of the picture that is shown, unit xyxy; the full picture unless it is a filler.
    """

    picture: int
    box: Rect
    role: TileRole
    crop: Box = FULL


@dataclass(frozen=True)
class CollageLayout:
    """A finished layout: size of the canvas in pixels, tiles in reading order, and whether the canvas was enlarged."""

    size: Size
    tiles: tuple[Tile, ...]
    enlarged: bool = False


def lay_out_collage(pictures: Sequence[TilePicture], cores: int, rules: PlacementRules, rng: Random) -> CollageLayout:
    """Lay out one canvas: steps 1 to 8 of the algorithm.

    Args:
        pictures: the cores, followed by the pictures from which companions and fillers are chosen.
        cores: number of cores.
        rules: parameters of the algorithm.
        rng: source of all random choices.

    Raises:
        Rejected: if the canvas does not work out; the caller may try again.
    """
    count = min(max(cores, rng.randint(*rules.tiles)), len(pictures))
    planned = [*range(cores), *rng.sample(range(cores, len(pictures)), count - cores)]
    aspect, drawn = rng.uniform(*rules.aspect), rng.uniform(*rules.canvas)
    areas = dict.fromkeys((drawn, min(drawn * rules.enlarge, rules.canvas[1])))
    rejected = Rejected("canvas")
    for attempt, area in enumerate(areas):
        try:
            size = _canvas(area, aspect, rules)
            tiles, free = _place(planned, pictures, cores, size, rules, rng)
        except Rejected as problem:
            rejected = problem
            continue
        tiles += _fill(free, pictures, cores, Counter(planned), rules, rng)
        return CollageLayout(size, tuple(sorted(tiles, key=lambda tile: (tile.box[1], tile.box[0]))), attempt > 0)
    raise rejected


def _canvas(area: float, aspect: float, rules: PlacementRules) -> Size:
    """Step 1: the size on the grid that is nearest to the drawn area, within the ranges of area and aspect."""
    sides = product(_around(math.sqrt(area * aspect), rules), _around(math.sqrt(area / aspect), rules))
    low, high = rules.canvas
    allowed = [(w, h) for w, h in sides if low <= w * h <= high and rules.aspect[0] <= w / h <= rules.aspect[1]]
    if not allowed:
        raise Rejected("canvas")
    return min(allowed, key=lambda size: abs(math.log(size[0] * size[1] / area)))


def _around(length: float, rules: PlacementRules) -> tuple[int, int]:
    """The multiples of the grid step just below and above `length`."""
    steps = max(1, math.floor(length / rules.grid))
    return (steps * rules.grid, (steps + 1) * rules.grid)


# ── cores and companions ────────────────────────────────────────────────────────────────────────────────────────────


class _Plan(NamedTuple):
    """A tile to place: picture, role, desired area and aspect, and the allowed range of areas, in pixels."""

    picture: int
    role: TileRole
    area: float
    aspect: float
    low: float
    high: float


def _place(
    planned: Sequence[int], pictures: Sequence[TilePicture], cores: int, size: Size, rules: PlacementRules, rng: Random
) -> tuple[list[Tile], list[Rect]]:
    """Steps 2 to 4: sizes and positions of cores and companions. Returns the tiles and the free rectangles."""
    plans = [_plan(i, pictures[i], "core" if i < cores else "companion", size, rules, rng) for i in planned]
    plans = _limit_coverage(plans, rules.covered * size[0] * size[1])
    least = _least(pictures[cores:], rules)
    tiles: list[Tile] = []
    free: list[Rect] = [(0, 0, *size)]
    for plan in sorted(plans, key=lambda plan: (plan.role != "core", -plan.area)):
        box, free = _place_tile(plan, pictures[plan.picture], free, least, rules, rng)
        tiles.append(Tile(plan.picture, box, plan.role))
    return tiles, free


def _plan(index: int, picture: TilePicture, role: TileRole, size: Size, rules: PlacementRules, rng: Random) -> _Plan:
    """Steps 2 and 3: plan the middle of the range of areas that all bounds allow."""
    canvas, area = size[0] * size[1], rules.area(picture)
    aspect = picture.aspect * math.exp(rng.uniform(-rules.jitter, rules.jitter))
    high = min(rules.scale[1] * area, canvas)
    if role == "core" and picture.share > 0:
        high = min(high, rules.share * canvas / picture.share)
    low = max(rules.scale[0] * area, rules.side**2 * max(aspect, 1 / aspect))
    if low > high:
        raise Rejected("scale")
    return _Plan(index, role, (low + high) / 2, aspect, rules.scale[0] * area, high)


def _limit_coverage(plans: Sequence[_Plan], most: float) -> list[_Plan]:
    """The plans, shrunk if they would cover more than `most` pixels together."""
    total = sum(plan.area for plan in plans)
    shrunk = [plan._replace(area=max(plan.low, plan.area * min(1.0, most / total))) for plan in plans]
    left = most - sum(plan.area for plan in shrunk)
    if left < -SHARE_TOLERANCE * most:
        raise Rejected("covered")
    # Rounding to the grid may enlarge each tile, so the area left to cover is divided among them beforehand.
    spare = max(0.0, left) / len(plans)
    return [plan._replace(high=min(plan.high, plan.area + spare)) for plan in shrunk]


def _place_tile(
    plan: _Plan, picture: TilePicture, free: Sequence[Rect], least: Size, rules: PlacementRules, rng: Random
) -> tuple[Rect, list[Rect]]:
    """Step 4: the tile's box and the remaining free rectangles. The tile is shrunk step by step until there is room."""
    area, sized = plan.area, False
    for _ in range(rules.retries):
        size = _snap_to_grid(area, plan, picture, rules)
        if size is not None:
            sized = True
            for box, rect, rest in _spots(size, free, least, rules, rng):
                return box, [*(other for other in free if other != rect), *rest]
        area *= rules.shrink**2
        if area < plan.low:
            break
    raise Rejected("place" if sized else "scale")


def _snap_to_grid(area: float, plan: _Plan, picture: TilePicture, rules: PlacementRules) -> Size | None:
    """The size on the grid that is nearest to `area` within all bounds, or None if there is none."""
    sides = product(_around(math.sqrt(area * plan.aspect), rules), _around(math.sqrt(area / plan.aspect), rules))
    allowed = [
        (w, h)
        for w, h in sides
        if min(w, h) >= rules.side
        and w <= picture.width
        and h <= picture.height
        and plan.low <= w * h <= plan.high
        and abs(math.log(w / h / picture.aspect)) <= rules.jitter
    ]
    return min(allowed, key=lambda size: abs(math.log(size[0] * size[1] / area)), default=None)


def _spots(
    size: Size, free: Sequence[Rect], least: Size, rules: PlacementRules, rng: Random
) -> Iterator[tuple[Rect, Rect, list[Rect]]]:
    """Yield possible positions of a tile, tightest rectangles first: its box, the rectangle, and what is left of it."""
    tight = sorted((r for r in free if r[2] - r[0] >= size[0] and r[3] - r[1] >= size[1]), key=_area)
    for rect in rng.sample(tight[:TIGHTEST], min(TIGHTEST, len(tight))) + tight[TIGHTEST:]:
        xs, ys = (_offsets(rect[i + 2] - rect[i] - size[i], least[i], rules) for i in (0, 1))
        for _ in range(SPOTS if xs and ys else 0):
            x, y = rect[0] + rng.choice(xs), rect[1] + rng.choice(ys)
            box = (x, y, x + size[0], y + size[1])
            rest = _rest(rect, box, rng)
            if all(part[2] - part[0] >= least[0] and part[3] - part[1] >= least[1] for part in rest):
                yield box, rect, rest


def _offsets(room: int, least: int, rules: PlacementRules) -> list[int]:
    """Offsets of a tile at which the gap on either side is zero or large enough for another tile."""
    return [
        offset
        for offset in range(0, room + 1, rules.grid)
        if all(side == 0 or side >= least for side in (offset, room - offset))
    ]


def _rest(rect: Rect, used: Rect, rng: Random) -> list[Rect]:
    """Up to four rectangles that remain of `rect`. Either those above and below or those beside are full strips."""
    (x0, y0, x1, y1), (a, b, c, d) = rect, used
    if rng.random() < 0.5:
        parts = ((x0, y0, x1, b), (x0, d, x1, y1), (x0, b, a, d), (c, b, x1, d))
    else:
        parts = ((x0, y0, a, y1), (c, y0, x1, y1), (a, y0, c, b), (a, d, c, y1))
    return [part for part in parts if _area(part) > 0]


def _area(rect: Rect) -> int:
    return max(0, rect[2] - rect[0]) * max(0, rect[3] - rect[1])


# ── fillers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _least(pictures: Sequence[TilePicture], rules: PlacementRules) -> Size:
    """Width and height, on the grid, below which a panel fits none of the pictures."""
    width = height = math.inf
    for picture in pictures:
        area = rules.kept * rules.filler_scale[0] * rules.area(picture)
        flat = min(rules.panel_aspect[1], picture.aspect * math.exp(rules.filler_aspect))
        steep = max(rules.panel_aspect[0], picture.aspect * math.exp(-rules.filler_aspect))
        width, height = min(width, math.sqrt(area * steep)), min(height, math.sqrt(area / flat))
    return (_up(max(width, rules.side), rules), _up(max(height, rules.side), rules))


def _up(length: float, rules: PlacementRules) -> int:
    return rules.grid * math.ceil(length / rules.grid) if length < math.inf else rules.side


def _fill(
    free: Sequence[Rect],
    pictures: Sequence[TilePicture],
    cores: int,
    used: Counter[int],
    rules: PlacementRules,
    rng: Random,
) -> list[Tile]:
    """Steps 5 to 7: fill panels, largest first, each with one of the least used pictures that fit."""
    others, tiles = range(cores, len(pictures)), []
    least = _least(pictures[cores:], rules)
    panels = [panel for rect in free for panel in _panels(rect, pictures[cores:], least, rules, rng)]
    for panel in sorted(panels, key=_area, reverse=True):
        crops = {i: crop for i in others if (crop := _crop(pictures[i], panel, rules)) is not None}
        fewest = min(used[i] for i in crops)
        chosen = rng.choice([i for i in crops if used[i] == fewest])
        used[chosen] += 1
        tiles.append(Tile(chosen, panel, "filler", crops[chosen]))
    return tiles


def _panels(rect: Rect, pictures: Sequence[TilePicture], least: Size, rules: PlacementRules, rng: Random) -> list[Rect]:
    """Cut a free rectangle into panels that each fit some picture."""
    if any(_crop(picture, rect, rules) is not None for picture in pictures):
        return [rect]
    for _ in range(CUTS):
        halves = _halves(rect, least, rules, rng)
        if halves is None:
            break
        try:
            return [panel for half in halves for panel in _panels(half, pictures, least, rules, rng)]
        except Rejected:
            continue
    raise Rejected("free space")


def _crop(picture: TilePicture, panel: Rect, rules: PlacementRules) -> Box | None:
    """The central crop (unit xyxy) of a picture that fills a panel without stretching, or None if it does not fit."""
    aspect = (panel[2] - panel[0]) / (panel[3] - panel[1])
    change = aspect / picture.aspect
    if not rules.panel_aspect[0] <= aspect <= rules.panel_aspect[1] or abs(math.log(change)) > rules.filler_aspect:
        return None
    area, low, high = rules.area(picture), *rules.filler_scale
    share = min(change, 1 / change, _area(panel) / (low * area))
    if share < rules.kept or _area(panel) > high * share * area:
        return None
    width, height = math.sqrt(share * change), math.sqrt(share / change)
    return (0.5 - width / 2, 0.5 - height / 2, 0.5 + width / 2, 0.5 + height / 2)


def _halves(panel: Rect, least: Size, rules: PlacementRules, rng: Random) -> tuple[Rect, Rect] | None:
    """Cut a panel across its longer side; None if a half would be too small for any picture."""
    x0, y0, x1, y1 = panel
    wide = x1 - x0 >= y1 - y0
    long, short = (x1 - x0, least[0]) if wide else (y1 - y0, least[1])
    cuts = range(short, long - short + 1, rules.grid)
    if not cuts:
        return None
    cut = rng.choice(cuts)
    if wide:
        return (x0, y0, x0 + cut, y1), (x0 + cut, y0, x1, y1)
    return (x0, y0, x1, y0 + cut), (x0, y0 + cut, x1, y1)
