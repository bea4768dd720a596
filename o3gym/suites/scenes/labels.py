"""Labels with a code, each with a coloured rim and at an angle of its own; shared by turned and dim scenes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from o3gym.suites.scenes.base import Level, jittered_grid, square
from o3gym.suites.scenes.outlines import Ring, rectangle
from o3gym.suites.scenes.painter import Painter, font, text_width
from o3gym.suites.scenes.palette import COLOURS, RGB
from o3gym.suites.scenes.text import plate_code
from o3gym.types import Box, Size

LABEL_EM: Mapping[str, float] = {"easy": 0.15, "medium": 0.0085, "hard": 0.0055}
"""Font size of the codes in board units: 16 pixels in easy pictures, 17 in medium and 19 in hard ones."""
LABEL_LEVELS: Mapping[str, Level] = {
    "easy": Level(108 * 108, LABEL_EM["easy"]),
    "medium": Level(4_000_000, LABEL_EM["medium"]),
    "hard": Level(12_000_000, LABEL_EM["hard"]),
}
"""Easy pictures are so small that a model of a million parameters can read the one code in them."""
_GRID: Mapping[str, int] = {"easy": 1, "medium": 4, "hard": 8}
_WIDTH, _HEIGHT, _RIM = text_width("WW-9W9", 1.0) + 1.1, 2.3, 0.3
"""Size of a label and width of its rim, in ems."""
_FINER = 4
"""Factor by which codes are written larger before they are turned and reduced."""


@dataclass(frozen=True)
class Label:
    """A label on a square board.

    Attributes:
        code: what is written on it.
        colour: name of the colour of its rim.
        middle: its middle, in board units.
        em: font size of the code, in board units.
        angle: its angle in degrees, counter-clockwise from upright.
    """

    code: str
    colour: str
    middle: tuple[float, float]
    em: float
    angle: int = 0

    @property
    def box(self) -> Box:
        """The box around the label at its angle, in board units."""
        a = math.radians(self.angle)
        across, up = abs(math.cos(a)) * self.em / 2, abs(math.sin(a)) * self.em / 2
        width, height = across * _WIDTH + up * _HEIGHT, up * _WIDTH + across * _HEIGHT
        x, y = self.middle
        return (x - width, y - height, x + width, y + height)

    def paper(self, size: Size) -> tuple[int, int, int, int]:
        """The paper of the upright label inside of its rim, in pixels of a picture of `size`."""
        x0, y0, x1, y1 = (edge * size[1] for edge in self.box)
        rim = (_RIM + 0.15) * self.em * size[1]
        left, top = math.ceil(x0 + rim), math.ceil(y0 + rim)
        return (left, top, max(left + 1, math.floor(x1 - rim)), max(top + 1, math.floor(y1 - rim)))

    def around(self, size: Size) -> tuple[int, int, int, int]:
        """A square in pixels of a picture of `size` within which the label can be turned."""
        x0, y0, x1, y1 = square(*self.middle, math.hypot(_WIDTH, _HEIGHT) * self.em)
        pixels = size[1]
        return (math.floor(x0 * pixels), math.floor(y0 * pixels), math.ceil(x1 * pixels), math.ceil(y1 * pixels))


def lay_labels(rng: Random, difficulty: str, angles: Sequence[int] = (0,)) -> tuple[list[Label], Label]:
    """All labels of a scene in reading order, and the one that is asked for. No other has its colour.

    On easy, there is one label, in the middle of the board.
    """
    em, cells = LABEL_EM[difficulty], _GRID[difficulty]
    side = 0.96 if cells == 1 else math.hypot(_WIDTH, _HEIGHT) * em
    boxes = jittered_grid(rng, (0.02, 0.02, 0.98, 0.98), cells, cells, (side, side))
    wanted, target = rng.choice([name for name in COLOURS if name != "black"]), rng.randrange(len(boxes))
    rest = [name for name in COLOURS if name != wanted]
    codes: dict[str, None] = {}
    while len(codes) < len(boxes):
        codes[plate_code(rng)] = None
    labels = [
        Label(text, wanted if i == target else rng.choice(rest), _middle(box), em, rng.choice(angles))
        for i, (text, box) in enumerate(zip(codes, boxes, strict=True))
    ]
    return labels, labels[target]


def _middle(box: Box) -> tuple[float, float]:
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def paint_label(painter: Painter, label: Label, paper: RGB, ink: RGB) -> None:
    """Draw a label at its angle: a coloured rim, the paper inside of it, and the code in the middle."""
    painter.fill([_outline(label, 0.0, 0.4)], COLOURS[label.colour])
    painter.fill([_outline(label, _RIM, 0.15)], paper)
    if label.angle:
        _turned_text(painter, label, ink)
    else:
        painter.text(label.middle, label.code, label.em, ink)


def _outline(label: Label, inset: float, radius: float) -> Ring:
    """The label's outline, or a line inside of it; distances from it and radii of corners are in ems."""
    em, a, (x, y) = label.em, math.radians(label.angle), label.middle
    half = ((_WIDTH / 2 - inset) * em, (_HEIGHT / 2 - inset) * em)
    ring = rectangle((-half[0], -half[1], *half), radius * em)
    return [(x + u * math.cos(a) + v * math.sin(a), y - u * math.sin(a) + v * math.cos(a)) for u, v in ring]


def _turned_text(painter: Painter, label: Label, ink: RGB) -> None:
    """Write the code at the label's angle, drawn larger and upright at first."""
    pixels = painter.image.height
    face = font(max(1, round(label.em * pixels * _FINER)))
    width, height = math.ceil(face.getlength(label.code) * 1.1), round(face.size * 1.5)
    upright = Image.new("L", (width, height))
    ImageDraw.Draw(upright).text((width / 2, height / 2), label.code, 255, face, "mm")
    mask = upright.rotate(label.angle, Image.Resampling.BICUBIC, expand=True).reduce(_FINER)
    x, y = (round(part * pixels - side / 2) for part, side in zip(label.middle, mask.size, strict=True))
    painter.image.paste(ink, (x, y, x + mask.width, y + mask.height), mask)


def ask_label(rng: Random, label: Label, alone: bool) -> str:
    """A question about the code on a label, which is told by its colour unless it is alone."""
    which = "the label" if alone else f"the only label whose rim is {label.colour}"
    return rng.choice(
        (f"What is the code on {which}?", f"Which code is written on {which}?", f"Read the code on {which}.")
    )
