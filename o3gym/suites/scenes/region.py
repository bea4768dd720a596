"""Region family: a description of one thing, answered with its box, or with none if it is not in the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random

from o3gym.suites.scenes.base import Family, Scene, levels
from o3gym.suites.scenes.chart import grid_boxes, titles
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS, RGB, mix
from o3gym.suites.scenes.panels import PANEL_KINDS, paint_panel, panel_blocks, random_panel
from o3gym.suites.scenes.scatter import Thing, paint_things
from o3gym.types import FULL

REGION_ASPECT = 4 / 3
ABSENT_SHARE = 0.2
"""Share of descriptions that match nothing in the picture."""
_PANELS: Mapping[str, tuple[int, int]] = {"easy": (3, 3), "medium": (5, 5), "hard": (8, 8)}
_EM: Mapping[str, float] = {"easy": 0.013, "medium": 0.0076, "hard": 0.0048}
_SHELVES: Mapping[str, tuple[int, int]] = {"easy": (4, 8), "medium": (7, 16), "hard": (10, 28)}
_FLOOR = 0.84
"""Position of a shelf's board, as a share of the shelf's height from its top."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_STORED = ("mug", "book", "bottle", "lamp", "hat", "bell", "crown", "boat", "fish", "car")
_WOODS: tuple[RGB, ...] = ((222, 206, 182), (206, 212, 220), (214, 220, 206))


def build_region(rng: Random, difficulty: str) -> Scene:
    """Lay out a wall of titled panels, or shelves full of things."""
    return rng.choice((_panel_scene, _shelf_scene))(rng, difficulty)


def _panel_scene(rng: Random, difficulty: str) -> Scene:
    rows, columns = _PANELS[difficulty]
    boxes = grid_boxes(rows, columns, 0.012)
    *shown, spare = titles(rng, len(boxes) + 1)
    names = tuple("ABCDE")
    panels = [random_panel(rng, b, t, rng.choice(PANEL_KINDS), names) for b, t in zip(boxes, shown, strict=True)]
    absent, wanted = rng.random() < ABSENT_SHARE, rng.choice(panels)
    wall, seed, em = rng.choice(_WOODS), rng.getrandbits(32), _EM[difficulty]

    def paint(painter: Painter) -> None:
        painter.backdrop([wall] * 4, seed)
        for panel in panels:
            paint_panel(painter, panel, em)

    title = spare if absent else wanted.title
    description = rng.choice((f'the panel titled "{title}"', f'the chart with the heading "{title}"'))
    parts = tuple(block for panel in panels for block in panel_blocks(panel, em))
    return Scene(_ask(rng, description), "", (), () if absent else ((title, wanted.box),), paint, blocks=parts)


def _shelf_scene(rng: Random, difficulty: str) -> Scene:
    shelves, across = _SHELVES[difficulty]
    rows = [_stock(rng, shelf / shelves, 1 / shelves, across) for shelf in range(shelves)]
    shelf = rng.randrange(shelves)
    wanted, absent = _choose(rng, rows[shelf]), rng.random() < ABSENT_SHARE
    if absent:
        wanted = _missing(rng, rows[shelf])
    wood, seed = rng.choice(_WOODS), rng.getrandbits(32)

    def paint(painter: Painter) -> None:
        painter.backdrop([wood] * 4, seed)
        for i, row in enumerate(rows):
            _paint_board(painter, (i + 1) / shelves, 1 / shelves, wood)
            paint_things(painter, row)

    label = f"{wanted.colour} {wanted.kind}"
    description = f"the {label} on the {_ORDINALS[shelf]} shelf from the top"
    return Scene(_ask(rng, description), "", (), () if absent else ((label, wanted.box),), paint)


def _stock(rng: Random, top: float, height: float, across: int) -> list[Thing]:
    """Things side by side on one shelf, with a few places left empty."""
    step = (REGION_ASPECT - 0.04) / across
    side = min(height * 0.68, step * 0.86)
    bottom = top + height * _FLOOR
    row: list[Thing] = []
    for i in range(across):
        x = 0.02 + step * i + rng.random() * (step - side)
        if rng.random() < 0.9:
            box = (x, bottom - side, x + side, bottom)
            row.append(Thing(rng.choice(_STORED), rng.choice(list(COLOURS)), box))
    return row or _stock(rng, top, height, across)


def _kinds(row: list[Thing]) -> Counter[tuple[str, str]]:
    return Counter((thing.kind, thing.colour) for thing in row)


def _choose(rng: Random, row: list[Thing]) -> Thing:
    """A thing that is the only one of its kind and colour on the shelf."""
    found = _kinds(row)
    single = [thing for thing in row if found[thing.kind, thing.colour] == 1]
    return rng.choice(single)


def _missing(rng: Random, row: list[Thing]) -> Thing:
    """A combination of kind and colour that is not on the shelf, preferably of a kind that is."""
    found, kinds = _kinds(row), {thing.kind for thing in row}
    gone = [(kind, colour) for kind in _STORED for colour in COLOURS if (kind, colour) not in found]
    near = [pair for pair in gone if pair[0] in kinds]
    kind, colour = rng.choice(near or gone)
    return Thing(kind, colour, FULL)


def _paint_board(painter: Painter, bottom: float, height: float, wall: RGB) -> None:
    """Draw one shelf: its board, the board's edge and the shadow below."""
    y = bottom - height * (1 - _FLOOR)
    painter.box((0, y - height * 0.01, painter.aspect, y + height * 0.06), mix(wall, (110, 74, 40), 0.75))
    painter.box((0, y + height * 0.06, painter.aspect, y + height * 0.10), mix(wall, (40, 26, 14), 0.8))
    painter.box((0, y + height * 0.10, painter.aspect, y + height * 0.16), (0, 0, 0), alpha=0.15)


def _ask(rng: Random, description: str) -> str:
    return rng.choice(
        (
            f"Locate {description}.",
            f"Find {description}.",
            f"Mark {description} with a box.",
        )
    )


REGION_FAMILY = Family(
    aspect=REGION_ASPECT,
    levels=levels(1_500_000, _EM),
    build=build_region,
)
