"""Text family: the code on one freight container, printed so small that it can be read only when magnified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image

from o3gym.suites.scenes.base import Family, Scene, jittered_grid, levels
from o3gym.suites.scenes.grounds import Ground, paint_ground
from o3gym.suites.scenes.outlines import SHAPES, move
from o3gym.suites.scenes.painter import Painter, text_width
from o3gym.suites.scenes.palette import CARD, COLOURS, RGB, WHITE, mix, tone
from o3gym.types import Box, Size

TEXT_ASPECT = 4 / 3
_LETTERS = "ACEFHJKLMNPRTUWXY"
_DIGITS = "3479"
_CELLS: Mapping[str, tuple[int, int]] = {"easy": (3, 3), "medium": (5, 6), "hard": (8, 11)}
_EM: Mapping[str, float] = {"easy": 0.0080, "medium": 0.0064, "hard": 0.0050}
_RIBS = 14
_PRINT: RGB = (84, 88, 98)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True)
class _Container:
    box: Box
    plate: Box
    colour: str
    code: str
    emblem: str


def build_text(rng: Random, difficulty: str) -> Scene:
    """Lay out a yard of containers and ask for the code of one, which the question describes uniquely."""
    rows, columns = _CELLS[difficulty]
    width, height = TEXT_ASPECT / columns, 1 / rows
    area = (0.02, 0.03, TEXT_ASPECT - 0.02, 0.97)
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
        ask_code(rng, describe_container(wanted.colour, wanted.emblem, way, divmod(target, columns))),
        wanted.code,
        near(rng, wanted.code),
        ((wanted.code, wanted.plate),),
        paint,
        tuple(item for c in yard for item in ((f"{c.colour} {c.emblem}", c.box), (c.code, c.plate))),
    )


def _marks(rng: Random, count: int, target: int, way: str) -> tuple[list[str], list[str]]:
    """Colours and emblems of all containers. The attribute that describes the target is unique."""
    colour, emblem = rng.choice([c for c in COLOURS if c != "black"]), rng.choice(list(SHAPES))
    palette = [c for c in COLOURS if way != "colour" or c != colour]
    shapes = [s for s in SHAPES if way != "emblem" or s != emblem]
    colours, emblems = rng.choices(palette, k=count), rng.choices(shapes, k=count)
    colours[target], emblems[target] = colour, emblem
    return colours, emblems


def plate_code(rng: Random) -> str:
    """A random code: two letters, a hyphen, a digit, a letter and a digit."""
    pick = rng.choice
    return f"{pick(_LETTERS)}{pick(_LETTERS)}-{pick(_DIGITS)}{pick(_LETTERS)}{pick(_DIGITS)}"


def _codes(rng: Random, count: int) -> list[str]:
    codes: dict[str, None] = {}
    while len(codes) < count:
        codes[plate_code(rng)] = None
    return list(codes)


def near(rng: Random, code: str) -> tuple[str, ...]:
    """Wrong codes: two characters varied in all combinations, so that no option stands out as the original."""
    first, second = rng.sample((0, 1, 3, 4, 5), 2)
    variants = [code[:first] + one + code[first + 1 :] for one in (code[first], _other(rng, code[first], 1)[0])]
    tails = [code[second], *_other(rng, code[second], rng.choice((1, 2)))]
    options = [variant[:second] + tail + variant[second + 1 :] for variant in variants for tail in tails]
    return tuple(option for option in options if option != code)


def _other(rng: Random, character: str, count: int) -> list[str]:
    alphabet = _DIGITS if character in _DIGITS else _LETTERS
    return rng.sample([c for c in alphabet if c != character], count)


def describe_container(colour: str, emblem: str, way: str, place: tuple[int, int]) -> str:
    """A description of a container by its colour, emblem or place (row and column from 0), according to `way`."""
    if way == "colour":
        return f"the only {colour} container"
    if way == "emblem":
        return f"the only container that shows a white {emblem}"
    row, column = (_ORDINALS[i] for i in place)
    return f"the {column} container from the left in the {row} row from the top"


def ask_code(rng: Random, container: str) -> str:
    """A question about the code of the described container."""
    return rng.choice(
        (
            f"What is the code on the plate of {container}?",
            f"Which code is printed on the plate of {container}?",
            f"Read the small plate on {container}. What does it say?",
        )
    )


def _plate(rng: Random, box: Box, em: float) -> Box:
    """The box of a plate at a random place in the lower part of the container, clear of the emblem."""
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
    for i in range(_RIBS):
        x = x0 + rim + (width - 2 * rim) * (i + 0.25) / _RIBS
        painter.box((x, y0 + rim, x + width / _RIBS * 0.4, y1 - rim), shade)
    painter.fill([move(SHAPES[container.emblem], x0 + width * 0.5, y0 + height * 0.32, height * 0.24)], WHITE)
    paint_plate(painter, container.plate, container.code, em)


def paint_plate(painter: Painter, plate: Box, code: str, em: float) -> None:
    """Draw a light plate with a thin rim and the code in its middle."""
    x0, y0, x1, y1 = plate
    painter.box(plate, _PRINT, em * 0.2)
    painter.box((x0 + em * 0.1, y0 + em * 0.1, x1 - em * 0.1, y1 - em * 0.1), CARD, em * 0.12)
    painter.text(((x0 + x1) / 2, (y0 + y1) / 2), code, em, _PRINT, room=x1 - x0 - em * 0.3)


def plate_size(scale: float, characters: int = 6) -> tuple[float, float]:
    """Width and height of a plate as in easy pictures, in board units scaled by `scale`."""
    em = _EM["easy"] * scale
    return (text_width("WW-9W9"[:characters], em) + (em if characters > 1 else 0.45 * em), em * 1.7)


def paint_strip(size: Size, scale: float, plates: Sequence[tuple[str, Box]], rng: Random) -> Image.Image:
    """Draw a part of a container's side with several plates, so that there is more to read than in a whole scene.

    Args:
        size: size of the strip in pixels.
        scale: length of an easy picture's board unit in board units of the strip.
        plates: codes and boxes, in board units of the strip.
        rng: source of the random colour.
    """
    aspect = size[0] / size[1]
    painter, colour = Painter(size, aspect), COLOURS[rng.choice(list(COLOURS))]
    painter.box((0, 0, aspect, 1), colour)
    step, shift = TEXT_ASPECT / 3 * 0.84 / _RIBS * scale, rng.random()
    for i in range(-1, round(aspect / step) + 1):
        painter.box(((i + shift) * step, 0, (i + shift + 0.4) * step, 1), mix(colour, tone(colour), 0.35))
    for words, box in plates:
        paint_plate(painter, box, words, _EM["easy"] * scale)
    return painter.image


TEXT_FAMILY = Family(
    aspect=TEXT_ASPECT,
    levels=levels(2_000_000, _EM),
    build=build_text,
)
