"""Text: the code on one freight container, set so small that it can be read only when magnified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.base import Family, Scene, jittered_grid, levels
from o3gym.suites.scenes.grounds import Ground, paint_ground
from o3gym.suites.scenes.outlines import SHAPES, move
from o3gym.suites.scenes.painter import Painter, text_width
from o3gym.suites.scenes.palette import CARD, COLOURS, RGB, WHITE, mix, tone
from o3gym.types import Box

ASPECT = 4 / 3
_LETTERS = "ACEFHJKLMNPRTUWXY"
_DIGITS = "3479"
_CELLS: Mapping[str, tuple[int, int]] = {"easy": (3, 3), "medium": (5, 6), "hard": (8, 11)}
_EM: Mapping[str, float] = {"easy": 0.0080, "medium": 0.0064, "hard": 0.0050}
_PRINT: RGB = (84, 88, 98)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True)
class _Container:
    box: Box
    plate: Box
    colour: str
    code: str
    emblem: str


def build(rng: Random, difficulty: str) -> Scene:
    """Lay out a yard of containers and ask for the code of one that is uniquely described."""
    rows, columns = _CELLS[difficulty]
    width, height = ASPECT / columns, 1 / rows
    area = (0.02, 0.03, ASPECT - 0.02, 0.97)
    boxes = jittered_grid(rng, area, columns, rows, (width * 0.84, height * 0.66))
    target = rng.randrange(len(boxes))
    way = rng.choice(("colour", "emblem") if difficulty == "hard" else ("colour", "emblem", "position"))
    colours, emblems = _marks(rng, len(boxes), target, way)
    codes = _codes(rng, len(boxes))
    yard = [
        _Container(box, _plate(rng, box, _EM[difficulty]), colours[i], codes[i], emblems[i])
        for i, box in enumerate(boxes)
    ]
    wanted, ground = yard[target], Ground("slabs", (158, 160, 164), rng.getrandbits(32))

    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        for container in yard:
            _paint_container(painter, container, _EM[difficulty])

    return Scene(
        _question(rng, _description(wanted, way, divmod(target, columns))),
        wanted.code,
        _wrong(rng, wanted.code),
        ((wanted.code, wanted.plate),),
        paint,
    )


def _marks(rng: Random, count: int, target: int, way: str) -> tuple[list[str], list[str]]:
    """Colours and emblems of all containers; the target's own is unique where it is described by it."""
    colour, emblem = rng.choice([c for c in COLOURS if c != "black"]), rng.choice(list(SHAPES))
    palette = [c for c in COLOURS if way != "colour" or c != colour]
    shapes = [s for s in SHAPES if way != "emblem" or s != emblem]
    colours, emblems = rng.choices(palette, k=count), rng.choices(shapes, k=count)
    colours[target], emblems[target] = colour, emblem
    return colours, emblems


def _code(rng: Random) -> str:
    pick = rng.choice
    return f"{pick(_LETTERS)}{pick(_LETTERS)}-{pick(_DIGITS)}{pick(_LETTERS)}{pick(_DIGITS)}"


def _codes(rng: Random, count: int) -> list[str]:
    codes: dict[str, None] = {}
    while len(codes) < count:
        codes[_code(rng)] = None
    return list(codes)


def _wrong(rng: Random, code: str) -> tuple[str, ...]:
    """The code with two characters varied in all combinations: seen alone, no option looks more right than another."""
    first, second = rng.sample((0, 1, 3, 4, 5), 2)
    variants = [code[:first] + one + code[first + 1 :] for one in (code[first], _other(rng, code[first], 1)[0])]
    tails = [code[second], *_other(rng, code[second], rng.choice((1, 2)))]
    near = [variant[:second] + tail + variant[second + 1 :] for variant in variants for tail in tails]
    return tuple(option for option in near if option != code)


def _other(rng: Random, character: str, count: int) -> list[str]:
    kin = _DIGITS if character in _DIGITS else _LETTERS
    return rng.sample([c for c in kin if c != character], count)


def _description(container: _Container, way: str, place: tuple[int, int]) -> str:
    if way == "colour":
        return f"the only {container.colour} container"
    if way == "emblem":
        return f"the only container that shows a white {container.emblem}"
    row, column = (_ORDINALS[i] for i in place)
    return f"the {column} container from the left in the {row} row from the top"


def _question(rng: Random, container: str) -> str:
    return rng.choice(
        (
            f"What is the code on the plate of {container}?",
            f"Which code is printed on the plate of {container}?",
            f"Read the small plate on {container}. What does it say?",
        )
    )


def _plate(rng: Random, box: Box, em: float) -> Box:
    """A place for the plate: somewhere on the lower half, clear of the emblem."""
    width, height = text_width("WW-9W9", em) + em, em * 1.7
    x0, y0, x1, y1 = box
    inset = (x1 - x0) * 0.06
    x = rng.uniform(x0 + inset, x1 - inset - width)
    y = rng.uniform(y0 + (y1 - y0) * 0.62, y1 - inset - height)
    return (x, y, x + width, y + height)


def _paint_container(painter: Painter, container: _Container, em: float) -> None:
    x0, y0, x1, y1 = container.box
    width, height, colour = x1 - x0, y1 - y0, COLOURS[container.colour]
    shade, rim = mix(colour, tone(colour), 0.35), height * 0.05
    painter.box((x0 + rim * 0.8, y0 + rim * 1.2, x1 + rim * 0.8, y1 + rim * 1.2), (30, 30, 40), alpha=0.3)
    painter.box(container.box, tone(colour), rim * 0.4)
    painter.box((x0 + rim, y0 + rim, x1 - rim, y1 - rim), colour)
    ribs = 14
    for i in range(ribs):
        x = x0 + rim + (width - 2 * rim) * (i + 0.25) / ribs
        painter.box((x, y0 + rim, x + width / ribs * 0.4, y1 - rim), shade)
    painter.fill([move(SHAPES[container.emblem], x0 + width * 0.5, y0 + height * 0.32, height * 0.24)], WHITE)
    paint_plate(painter, container.plate, container.code, em)


def paint_plate(painter: Painter, plate: Box, code: str, em: float) -> None:
    """A light plate with a thin rim, and the code in its middle."""
    x0, y0, x1, y1 = plate
    painter.box(plate, _PRINT, em * 0.2)
    painter.box((x0 + em * 0.1, y0 + em * 0.1, x1 - em * 0.1, y1 - em * 0.1), CARD, em * 0.12)
    painter.text(((x0 + x1) / 2, (y0 + y1) / 2), code, em, _PRINT, room=x1 - x0 - em * 0.3)


FAMILY = Family(
    aspect=ASPECT,
    levels=levels(2_000_000, _EM),
    build=build,
)
