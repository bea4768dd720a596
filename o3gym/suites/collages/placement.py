"""Where the tiles of a collage go: Algorithm 1 of InSight-o3 (appendix C.1), on sizes and boxes alone.

The paper gives the steps and the cap on the target box; the other numbers are those of the released generator
(m-Just/InSight-o3 at 21acec8, insight_o3/scripts/generate_collages.py), see `PlacementRules`. Tiles are rectangles of whole
pixels, `(x0, y0, x1, y1)`, x to the right, y down, on a grid. They do not overlap and leave nothing of the canvas free.
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
"""A tile goes into one of the tightest free rectangles, by chance, so that equal pictures make unequal collages."""
SPOTS = 8
"""Places in a free rectangle at which a tile is tried."""
CUTS = 4
"""Places at which a panel is tried to be cut, at every depth."""
SHARE_TOLERANCE = 1e-9
"""Of comparisons of shares, which went through a division."""


class Rejected(Exception):  # noqa: N818 - the algorithm's own word
    """A canvas is given up.

    Attributes:
        reason: "canvas" (none on the grid), "scale" (no size of a tile meets all bounds), "covered" (too much by
            what is placed first), "place" (no room) or "free space" (a panel that no picture fits).
    """

    def __init__(self, reason: RejectionReason) -> None:
        super().__init__(reason)
        self.reason: RejectionReason = reason


class TilePicture(NamedTuple):
    """What placement knows of a picture: its size in pixels, and the share of it that its largest target box takes."""

    width: int
    height: int
    share: float = 0.0

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height


@dataclass(frozen=True)
class PlacementRules:
    """Parameters of the algorithm, named as in the paper. Where nothing is said, they are the released generator's.

    Attributes:
        canvas: A_min and A_max, pixels.
        aspect: a_min and a_max of the canvas, width over height.
        tiles: how many pictures are placed by their own size, before panels are filled: the target alone in the paper's
            listing; 4 to 6 in the released run, where those that are no core are companions of it.
        cores: how many of these meet the bounds of a target: 1 in the paper and the released run, 2 to 3 by the
            generator's own default.
        share: ρ_cap, greatest share of the canvas that a target box of a core takes (paper: 2·10⁻⁴).
        scale: λ_min and λ_max, area of a tile over that of its picture; 1 at most, so that none is enlarged.
        jitter: τ_tgt, greatest |log| of how the aspect of a core or companion changes.
        covered: greatest share of the canvas that cores and companions cover together.
        side: M, shortest side of any tile, pixels.
        grid: G, pixels. Not in the paper. The generator sets it to M, where rounding alone changes aspects by far more
            than τ_tgt; this is the largest power of two that divides M.
        panel_aspect: AR_min and AR_max of a panel.
        filler_aspect: τ_fill, greatest |log| of a filler's aspect over its panel's; it is cropped and not stretched.
        filler_scale: λ_min and λ_max of fillers.
        kept: least share of its picture that a filler shows.
        source_area: S_max, pixels; larger pictures are shrunk to it before any scale.
        retries: R, how often a tile is shrunk to find room, each time by `shrink` a side.
        shrink: see `retries`.
        enlarge: by how much the area of the canvas grows, once, where cores and companions find no size or no room.
        attempts: T, canvases for one target (released run: 10; the generator's own default is 5).
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
        """S, the area of a picture that scales refer to, pixels."""
        return min(float(picture.width * picture.height), self.source_area)


@dataclass(frozen=True)
class Tile:
    """A placed picture.

    Attributes:
        picture: its index.
        box: where it is, pixels of the canvas.
        role: "core", "companion" or "filler".
        crop: the part of it that is shown, unit xyxy; all of it unless it is a filler.
    """

    picture: int
    box: Rect
    role: TileRole
    crop: Box = FULL


@dataclass(frozen=True)
class CollageLayout:
    """A finished collage: size of the canvas, tiles in reading order, and whether the canvas was enlarged."""

    size: Size
    tiles: tuple[Tile, ...]
    enlarged: bool = False


def lay_out_collage(pictures: Sequence[TilePicture], cores: int, rules: PlacementRules, rng: Random) -> CollageLayout:
    """One canvas: steps 1 to 8 of the algorithm.

    Args:
        pictures: the cores first, then those to choose companions and fillers from.
        cores: how many of them are cores.
        rules: bounds.
        rng: all chance.

    Raises:
        Rejected: to be tried again, with another canvas.
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
    """Step 1: the size on the grid nearest to what was drawn, inside the ranges of area and aspect."""
    sides = product(_around(math.sqrt(area * aspect), rules), _around(math.sqrt(area / aspect), rules))
    low, high = rules.canvas
    allowed = [(w, h) for w, h in sides if low <= w * h <= high and rules.aspect[0] <= w / h <= rules.aspect[1]]
    if not allowed:
        raise Rejected("canvas")
    return min(allowed, key=lambda size: abs(math.log(size[0] * size[1] / area)))


def _around(length: float, rules: PlacementRules) -> tuple[int, int]:
    """The multiples of the grid below and above."""
    steps = max(1, math.floor(length / rules.grid))
    return (steps * rules.grid, (steps + 1) * rules.grid)


# ── cores and companions ────────────────────────────────────────────────────────────────────────────────────────────


class _Plan(NamedTuple):
    """A tile to be placed: picture, role, wanted area and aspect, and the area that it may have, pixels."""

    picture: int
    role: TileRole
    area: float
    aspect: float
    low: float
    high: float


def _place(
    planned: Sequence[int], pictures: Sequence[TilePicture], cores: int, size: Size, rules: PlacementRules, rng: Random
) -> tuple[list[Tile], list[Rect]]:
    """Steps 2 to 4: sizes of cores and companions, and where they go. Returns the tiles and what stays free."""
    plans = [_planned(i, pictures[i], "core" if i < cores else "companion", size, rules, rng) for i in planned]
    plans = _within(plans, rules.covered * size[0] * size[1])
    least = _least(pictures[cores:], rules)
    tiles: list[Tile] = []
    free: list[Rect] = [(0, 0, *size)]
    for plan in sorted(plans, key=lambda plan: (plan.role != "core", -plan.area)):
        box, free = _placed(plan, pictures[plan.picture], free, least, rules, rng)
        tiles.append(Tile(plan.picture, box, plan.role))
    return tiles, free


def _planned(index: int, picture: TilePicture, role: TileRole, size: Size, rules: PlacementRules, rng: Random) -> _Plan:
    """Step 2 and 3: the middle of the areas that all bounds allow."""
    canvas, area = size[0] * size[1], rules.area(picture)
    aspect = picture.aspect * math.exp(rng.uniform(-rules.jitter, rules.jitter))
    high = min(rules.scale[1] * area, canvas)
    if role == "core" and picture.share > 0:
        high = min(high, rules.share * canvas / picture.share)
    low = max(rules.scale[0] * area, rules.side**2 * max(aspect, 1 / aspect))
    if low > high:
        raise Rejected("scale")
    return _Plan(index, role, (low + high) / 2, aspect, rules.scale[0] * area, high)


def _within(plans: Sequence[_Plan], most: float) -> list[_Plan]:
    """All plans, smaller where together they cover more than `most` pixels."""
    total = sum(plan.area for plan in plans)
    shrunk = [plan._replace(area=max(plan.low, plan.area * min(1.0, most / total))) for plan in plans]
    left = most - sum(plan.area for plan in shrunk)
    if left < -SHARE_TOLERANCE * most:
        raise Rejected("covered")
    # rounding to the grid may add to each; what there is left to cover is dealt out beforehand
    spare = max(0.0, left) / len(plans)
    return [plan._replace(high=min(plan.high, plan.area + spare)) for plan in shrunk]


def _placed(
    plan: _Plan, picture: TilePicture, free: Sequence[Rect], least: Size, rules: PlacementRules, rng: Random
) -> tuple[Rect, list[Rect]]:
    """Step 4: the tile's box, and what stays free; the tile is made smaller and smaller until there is room."""
    area, sized = plan.area, False
    for _ in range(rules.retries):
        size = _snapped(area, plan, picture, rules)
        if size is not None:
            sized = True
            for box, rect, rest in _spots(size, free, least, rules, rng):
                return box, [*(other for other in free if other != rect), *rest]
        area *= rules.shrink**2
        if area < plan.low:
            break
    raise Rejected("place" if sized else "scale")


def _snapped(area: float, plan: _Plan, picture: TilePicture, rules: PlacementRules) -> Size | None:
    """The size on the grid that is nearest to `area` and keeps all bounds, None if there is none."""
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
    """Where a tile may go, tightest rectangles first: its box, the rectangle, and what it leaves of that."""
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
    """Where a tile may begin so that on either side there is nothing, or enough for another tile."""
    return [
        offset
        for offset in range(0, room + 1, rules.grid)
        if all(side == 0 or side >= least for side in (offset, room - offset))
    ]


def _rest(rect: Rect, used: Rect, rng: Random) -> list[Rect]:
    """Up to four rectangles that are left of one; those above and below, or those beside, are full strips."""
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
    """Width and height, on the grid, below which no picture fits a panel."""
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
    """Steps 5 to 7: panels, and a picture for each, the largest first; of those that fit, one that is used least."""
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
    """A free rectangle, cut until each part fits some picture."""
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
    """The middle part of a picture that fills a panel without being stretched, unit xyxy; None if it does not fit."""
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
    """A panel cut across its longer side; None where a half would be too small for any picture."""
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
