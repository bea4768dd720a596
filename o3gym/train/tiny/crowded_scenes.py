"""Crowded scenes: pictures of many small things to name, at the scales and on the grounds of the views of a search.

A view of a search shows about seven things, or a single card. A small model that learns from those alone needs hours to
tell twenty kinds of icons apart. A crowded scene ("board" in recipes) has up to twenty icons, nine cards, 18 letters or
four plates, each jittered within a cell of a grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image

from o3gym.media.pixels import Pixels
from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.tiny.view_size import SIDE
from o3gym.registry import closest
from o3gym.suites.scenes import attribute, hidden, text
from o3gym.suites.scenes.base import jittered_grid
from o3gym.suites.scenes.grounds import choose_ground, paint_ground
from o3gym.suites.scenes.icons import ICONS, paint_icon
from o3gym.suites.scenes.outlines import SHAPES
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.suites.scenes.scatter import TINY
from o3gym.train.tiny.dialogue_builder import Item, asked, listed, visible
from o3gym.types import FULL, Box, Size, View


@dataclass(frozen=True)
class ItemKind:
    """A kind of items, and the geometry of its scenes.

    Attributes:
        height: height in pixels of the easy pictures of the synthetic suite that have such items; sets their scale.
        cell: width and height of a grid cell, in pixels of those pictures.
        scale: pixels that the model sees per pixel of those pictures, as in the looks of a search.
        most: maximum columns and rows, as many as fit into a look.
    """

    height: int
    cell: Size
    scale: float
    most: Size


ITEM_KINDS: Mapping[str, ItemKind] = {
    "icons": ItemKind(949, (72, 70), 0.485, (5, 4)),
    "cards": ItemKind(1200, (125, 125), 0.4267, (3, 3)),
    "letters": ItemKind(1225, (16, 18), 2.34, (6, 3)),
    "plates": ItemKind(1225, (88, 22), 2.34, (2, 2)),
}
"""Geometry by the name that recipes give as `board`."""
SIGNS = 0.15
"""Share of signs among the items of a scene of icons."""


class CrowdedScenes:
    """An endless source of crowded scenes, each with a list of its items.

    Args:
        board: the kind of items, one of `ITEM_KINDS`.
        least, most: minimum and maximum columns and rows, such as "3x2"; by default one cell, and as many as fit.
        fill: minimum share of the cells that hold an item.
        ask: share of scenes of icons and cards with a question; the list then ends at the item that is asked for.
        named: whether such a list begins with the noun that is asked for.
    """

    def __init__(
        self,
        board: str,
        least: str = "1x1",
        most: str = "",
        fill: float = 0.6,
        ask: float = 0.0,
        named: bool = False,
    ) -> None:
        if board not in ITEM_KINDS:
            raise ValueError(f'unknown board "{board}"{closest(board, ITEM_KINDS)} (known: {", ".join(ITEM_KINDS)})')
        self.name, self.kind, self.fill, self.ask, self.named = board, ITEM_KINDS[board], fill, ask, named
        self.least, self.most = _size(least), _size(most) if most else self.kind.most

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the scene at `index`: one picture, one list."""
        # The seed text must not change: the weights that come with o3gym were trained on these very scenes.
        rng = Random(f"boards/{self.name}/{index}/{seed}")
        grid = (rng.randint(self.least[0], self.most[0]), rng.randint(self.least[1], self.most[1]))
        native = (grid[0] * self.kind.cell[0], grid[1] * self.kind.cell[1])
        places = grid[0] * grid[1]
        kept = sorted(rng.sample(range(places), rng.randint(max(1, round(self.fill * places)), places)))
        placed = [(_words(self.name, rng), self._box(place, grid, native, rng)) for place in kept]
        view, look = View(0, 0, FULL, native, self._shown(native)), rng.getrandbits(32)

        def load() -> Pixels:
            picture = self.paint(native, placed, Random(look))
            return np.asarray(picture.resize(view.shown, Image.Resampling.BICUBIC))

        aspect = native[0] / native[1]
        items = [Item(words, (b[0] / aspect, b[1], b[2] / aspect, b[3])) for words, b in placed]
        wanted = rng.choice(items).noun if rng.random() < self.ask else ""
        said, found = listed(visible(items, view), view, wanted, self.named and bool(wanted))
        said += f"\nanswer {found.words.split()[0]}" if found else ""
        question = f"\n{asked(rng, self.name, wanted, found)}" if wanted else "read"
        return [Message("user", ("picture 0", Picture(view, load), question)), Message("assistant", (said,))]

    def _shown(self, native: Size) -> Size:
        width, height = (max(1, round(side * self.kind.scale / SIDE)) * SIDE for side in native)
        return (width, height)

    def _box(self, place: int, grid: Size, native: Size, rng: Random) -> Box:
        """Returns a random place for an item within cell `place`, in board units."""
        (columns, rows), aspect = grid, native[0] / native[1]
        column, row = place % columns, place // columns
        area = (column * aspect / columns, row / rows, (column + 1) * aspect / columns, (row + 1) / rows)
        scale = self.kind.height / native[1]
        if self.name in ("plates", "letters"):
            return jittered_grid(rng, area, 1, 1, text.plate_size(scale, 1 if self.name == "letters" else 6))[0]
        side = (TINY["easy"] if self.name == "icons" else hidden.PLACE_SIDE["easy"]) * scale
        return jittered_grid(rng, area, 1, 1, (side, side))[0]

    def paint(self, native: Size, items: Sequence[tuple[str, Box]], rng: Random) -> Image.Image:
        """Paints a scene of a native size; the items' boxes are in board units (see `o3gym.suites.scenes.painter`)."""
        (width, height), scale = native, self.kind.height / native[1]
        if self.name in ("plates", "letters"):
            return text.paint_strip(native, scale, items, rng)
        painter = Painter(native, width / height)
        ground = _ground(self.kind.height, rng.randrange(40))
        x, y = rng.randrange(ground.width - width), rng.randrange(ground.height - height)
        painter.image.paste(ground.crop((x, y, x + width, y + height)))
        for words, box in items:
            _paint_item(painter, words, box, scale, rng)
        return painter.image


def _size(words: str) -> Size:
    columns, _, rows = words.partition("x")
    if not (columns.isdigit() and rows.isdigit() and int(columns) and int(rows)):
        raise ValueError(f'expected columns and rows like "3x2", got "{words}"')
    return (int(columns), int(rows))


def _paint_item(painter: Painter, words: str, box: Box, scale: float, rng: Random) -> None:
    first, noun = words.split()
    if noun in SHAPES:
        hidden.paint_card(painter, hidden.scatter_place(rng, box, noun, first), hidden.GLYPH["easy"] * scale)
    elif noun == "sign":
        attribute.paint_sign(painter, box, first, rng.choice(list(COLOURS)))
    else:
        paint_icon(painter, noun, box, first)


def _words(kind: str, rng: Random) -> str:
    if kind == "plates":
        return text.plate_code(rng)
    if kind == "letters":
        return rng.choice(text.plate_code(rng).replace("-", ""))
    if kind == "cards":
        return f"{rng.choice(list(COLOURS))} {rng.choice(list(SHAPES))}"
    if rng.random() < SIGNS:
        return f"{rng.choice(list(SHAPES))} sign"
    return f"{rng.choice(list(COLOURS))} {rng.choice(list(ICONS))}"


@lru_cache(maxsize=96)
def _ground(height: int, number: int) -> Image.Image:
    rng = Random(f"ground/{number}")
    aspect = 1.0 if height == ITEM_KINDS["cards"].height else 4 / 3
    painter = Painter((round(height * aspect), height), aspect)
    paint_ground(painter, choose_ground(rng))
    for _ in range(92 if aspect == 1.0 else 0):
        painter.disc(
            (rng.random(), rng.random()), 0.003 + 0.005 * rng.random(), (60, 56, 50), 0.15 + 0.2 * rng.random()
        )
    return painter.image
